"""The objects of a mask: one an instance id, or one a connected region where a class has no ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.types import Bool, Box4, Instances, Labels


@dataclass(frozen=True, eq=False, slots=True)
class Object:
    """One object: its class, its id (0 = a connected region), its half-open box and its pixels in that box.

    ``crowd`` marks what is left of a class whose other pixels bear ids: objects that nobody told apart.
    """

    class_id: int
    instance: int
    box: Box4
    pixels: Bool
    crowd: bool = False

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))


def has_ids(labels: Labels, instances: Instances | None, class_id: int) -> bool:
    """Whether any pixel of the class bears an instance id."""
    return instances is not None and bool((instances[labels == class_id] > 0).any())


def objects(
    labels: Labels, instances: Instances | None, class_ids: Sequence[int], *, crowds: bool = False
) -> Iterator[Object]:
    """Every object of the classes, class by class, ids ascending, regions in raster order.

    Parameters
    ----------
    labels : uint16 (h, w)
    instances : uint32 (h, w) or None
    class_ids : sequence of int
    crowds : bool
        Pixels without an id in a class that has ids elsewhere become one crowd object a class;
        otherwise they are split into connected regions (4-neighbours) like a class without ids.
    """
    for class_id in class_ids:
        of_class = labels == class_id
        if not of_class.any():
            continue
        if instances is None or not (ids := np.where(of_class, instances, 0)).any():
            yield from _regions(of_class, class_id)
            continue
        yield from _by_id(ids, class_id)
        rest = of_class & (ids == 0)
        if rest.any():
            yield from _crowd(rest, class_id) if crowds else _regions(rest, class_id)


def numbered(labels: Labels, instances: Instances | None, class_id: int) -> NDArray[np.int32]:
    """The class's objects numbered 1..n, int32 (h, w), 0 elsewhere; crowds count as regions."""
    out = np.zeros(labels.shape, np.int32)
    for number, thing in enumerate(objects(labels, instances, (class_id,)), 1):
        y0, x0, y1, x1 = thing.box
        out[y0:y1, x0:x1][thing.pixels] = number
    return out


def _by_id(ids: NDArray[np.uint32], class_id: int) -> Iterator[Object]:
    flat = ids.ravel()
    where = np.flatnonzero(flat)
    values, number = np.unique(flat[where], return_inverse=True)
    compact = np.zeros(ids.shape, np.int32)
    compact.flat[where] = number + 1
    for n, slices in enumerate(ndimage.find_objects(compact), 1):
        yield Object(class_id, int(values[n - 1]), _box(slices), compact[slices] == n)


def _regions(of_class: Bool, class_id: int) -> Iterator[Object]:
    regions, _ = ndimage.label(of_class)
    for n, slices in enumerate(ndimage.find_objects(regions), 1):
        yield Object(class_id, 0, _box(slices), regions[slices] == n)


def _crowd(rest: Bool, class_id: int) -> Iterator[Object]:
    (slices,) = ndimage.find_objects(rest.astype(np.int8))
    yield Object(class_id, 0, _box(slices), rest[slices], crowd=True)


def _box(slices: tuple[slice, slice]) -> Box4:
    rows, columns = slices
    return int(rows.start), int(columns.start), int(rows.stop), int(columns.stop)
