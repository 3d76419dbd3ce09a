"""Accepted objects of the open image: which one lies under a pixel, and what a person said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_wsss.session.draft import Patch, around
from napari_wsss.session.opened import Opened
from napari_wsss.types import Bool, Box4, Mark, Point, Stroke

_FIRST = 256  # side of the window in which a region without a number is looked for first
_SAME_BOX = 0.5  # IoU from which a drawn box means the object


@dataclass(frozen=True, eq=False, slots=True)
class Thing:
    """An accepted object: its class, its number (0 = a connected region without one) and its pixels."""

    class_id: int
    instance: int
    patch: Patch

    def holds(self, y: int, x: int) -> bool:
        """Whether the pixel is the object's."""
        return bool(self.patch.within((y, x, y + 1, x + 1)).any())


def thing_at(opened: Opened, y: int, x: int) -> Thing | None:
    """The accepted object under a pixel; None where nothing is accepted, or off the image."""
    h, w = opened.shape
    if not (0 <= y < h and 0 <= x < w) or not opened.accepted[y, x]:
        return None
    class_id, instance = int(opened.accepted[y, x]), int(opened.instances[y, x])
    if instance:
        return Thing(class_id, instance, numbered(opened, class_id, instance))
    return Thing(class_id, 0, _region(opened, y, x))


def numbered(opened: Opened, class_id: int, instance: int) -> Patch:
    """The pixels of a class that bear an object number."""
    rows = np.flatnonzero((opened.instances == instance).any(1))
    if not len(rows):
        return Patch.of(np.zeros((0, 0), bool))
    band = np.s_[int(rows[0]) : int(rows[-1]) + 1]
    return Patch.of((opened.instances[band] == instance) & (opened.accepted[band] == class_id), int(rows[0]))


def _region(opened: Opened, y: int, x: int) -> Patch:
    """The connected region of pixels of one class without a number: looked for in ever larger windows."""
    (h, w), reach = opened.shape, _FIRST // 2
    while True:
        y0, x0, y1, x1 = max(y - reach, 0), max(x - reach, 0), min(y + reach, h), min(x + reach, w)
        there = np.s_[y0:y1, x0:x1]
        alike = (opened.accepted[there] == opened.accepted[y, x]) & (opened.instances[there] == 0)
        regions, _ = ndimage.label(alike)
        region: Bool = regions == regions[y - y0, x - x0]
        cut = (
            (y0 > 0 and region[0].any())
            or (y1 < h and region[-1].any())
            or (x0 > 0 and region[:, 0].any())
            or (x1 < w and region[:, -1].any())
        )
        if not cut:
            return Patch.of(region, y0, x0)
        reach *= 2


def said_of(opened: Opened, things: Sequence[Thing]) -> Iterator[tuple[int, Mark, Thing]]:
    """The marks that speak of these objects: points and strokes of the object's class on it, boxes around it."""
    for token, mark in opened.marks.items():
        for thing in things:
            if _means(mark, thing):
                yield token, mark, thing
                break


def drawn_on(stroke: Stroke, thing: Thing) -> Bool:
    """Which pixels of the stroke's raster are of the object's class and on the object."""
    drawn: Bool = thing.patch.within(stroke.box) & (stroke.raster == thing.class_id)
    return drawn


def _means(mark: Mark, thing: Thing) -> bool:
    if isinstance(mark, Stroke):
        return bool(drawn_on(mark, thing).any())
    if mark.class_id != thing.class_id:
        return False
    if isinstance(mark, Point):
        return thing.holds(mark.y, mark.x)
    return not mark.fill and _iou((mark.y0, mark.x0, mark.y1, mark.x1), thing.patch.box) >= _SAME_BOX


def _iou(a: Box4, b: Box4) -> float:
    high, wide = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(high, 0) * max(wide, 0)
    return both / (_area(a) + _area(b) - both)


def _area(box: Box4) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def box_of(things: Sequence[Thing]) -> Box4:
    """The smallest box around objects."""
    return around(*(thing.patch.box for thing in things))
