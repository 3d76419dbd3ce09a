"""Human-given pixels of one image: marks and accepted mask painted in their order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import label as connected

from napari_wsss.errors import WsssError
from napari_wsss.types import Box, Labels, Mark, Point, Stroke, WeakLabels

Shape = tuple[int, int]
Indices = NDArray[np.int64]


@dataclass
class Painting:
    """What has been painted so far.

    Attributes
    ----------
    seed : uint16 (h, w), class ids
    mark : int64 (h, w)
        Number of the point or block that painted the pixel, 0 where a stroke or the mask did.
    region : int64 (h, w)
        Where a stroke or the mask painted: equal, touching values are one component; 0 elsewhere.
    """

    shape: Shape
    seed: Labels = field(init=False)
    mark: Indices = field(init=False)
    region: Indices = field(init=False)
    marks_made: int = 0

    def __post_init__(self) -> None:
        self.seed = np.zeros(self.shape, np.uint16)
        self.mark = np.zeros(self.shape, np.int64)
        self.region = np.zeros(self.shape, np.int64)

    def components(self) -> NDArray[np.int32]:
        """int32 (h, w): number from 1 of each point, block and connected part; 0 = not painted."""
        if not self.region.any():
            numbers = self.mark
        else:
            parts = connected(self.region, background=0, connectivity=2)
            numbers = np.where(parts > 0, parts + self.marks_made, self.mark)
        taken = np.bincount(numbers.ravel()) > 0
        taken[0] = False
        compact: NDArray[np.int32] = (np.cumsum(taken) * taken).astype(np.int32)[numbers]
        return compact


def paint(labels: WeakLabels, n_classes: int, shape: Shape, point_radius: float) -> Painting:
    """Blocks, then points and strokes in the order they were made, then the accepted mask.

    Marks that reach out of the image are cut at its border.

    Raises
    ------
    WsssError
        For a class id above ``n_classes`` or an accepted mask of another size than the image.
    """
    _check(labels, n_classes, shape)
    painting = Painting(shape)
    radii = iter(_disc_limits(labels.points))
    for box in labels.boxes:
        if box.fill:
            _paint_block(painting, box)
    drawn = [m for m in labels.marks if not isinstance(m, Box)]
    for is_point, run in groupby(drawn, key=lambda m: isinstance(m, Point)):
        if is_point:
            points = [m for m in run if isinstance(m, Point)]
            _paint_points(painting, points, [next(radii) for _ in points], point_radius)
        else:
            _paint_strokes(painting, run)
    if labels.mask is not None:
        _paint_mask(painting, labels, n_classes)
    return painting


def _check(labels: WeakLabels, n_classes: int, shape: Shape) -> None:
    ids = [int(m.raster.max(initial=0)) if isinstance(m, Stroke) else m.class_id for m in labels.marks]
    if labels.mask is not None:
        ids.append(int(labels.mask.max(initial=0)))
    if max(ids, default=0) > n_classes:
        raise WsssError(f"a label of class {max(ids)}, but the project has {n_classes} classes: remove that label")
    for what, raster in (("mask", labels.mask), ("instances", labels.instances)):
        if raster is not None and raster.shape != shape:
            raise WsssError(f"accepted {what} of {raster.shape} pixels for an image of {shape}: accept it again")


def _disc_limits(points: Sequence[Point]) -> NDArray[np.float64]:
    """Half the distance (pixels) from each point to the nearest point of another class."""
    limit = np.full(len(points), np.inf)
    at = np.array([(p.y, p.x) for p in points], float).reshape(-1, 2)
    ids = np.array([p.class_id for p in points], int)
    present = np.unique(ids)
    for k in present if len(present) > 1 else ():
        mine = ids == k
        limit[mine] = cKDTree(at[~mine]).query(at[mine])[0] / 2
    return limit


def _paint_points(painting: Painting, points: Sequence[Point], limits: Sequence[float], radius: float) -> None:
    """Discs, later ones over earlier ones: NumPy keeps the last of repeated indices."""
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    distance = np.hypot(dy, dx)
    dy, dx, distance = dy[distance <= radius], dx[distance <= radius], distance[distance <= radius]
    y = np.array([p.y for p in points])[:, None] + dy
    x = np.array([p.x for p in points])[:, None] + dx
    inside = (y >= 0) & (y < painting.shape[0]) & (x >= 0) & (x < painting.shape[1])
    inside &= (distance < np.asarray(limits)[:, None]) | (distance == 0)
    ids = np.broadcast_to(np.array([p.class_id for p in points], np.uint16)[:, None], y.shape)
    numbers = np.broadcast_to(painting.marks_made + 1 + np.arange(len(points))[:, None], y.shape)
    y, x = y[inside], x[inside]
    painting.seed[y, x], painting.mark[y, x], painting.region[y, x] = ids[inside], numbers[inside], 0
    painting.marks_made += len(points)


def _paint_strokes(painting: Painting, strokes: Iterable[Mark]) -> None:
    for stroke in strokes:
        if not isinstance(stroke, Stroke):
            continue
        window, part = clip(stroke.box, painting.shape)
        raster = stroke.raster[part]
        drawn = raster > 0
        painting.seed[window][drawn] = raster[drawn]
        painting.region[window][drawn] = raster[drawn]
        painting.mark[window][drawn] = 0


def _paint_block(painting: Painting, box: Box) -> None:
    painting.marks_made += 1
    window, _ = clip((box.y0, box.x0, box.y1, box.x1), painting.shape)
    painting.seed[window] = box.class_id
    painting.mark[window] = painting.marks_made


def _paint_mask(painting: Painting, labels: WeakLabels, n_classes: int) -> None:
    if labels.mask is None:
        return
    accepted = labels.mask > 0
    # Instance + 1 keeps an accepted region apart from a stroke of the same class beside it.
    objects = np.ones(painting.shape, np.int64)
    if labels.instances is not None:
        objects += labels.instances
    painting.seed[accepted] = labels.mask[accepted]
    painting.region[accepted] = (objects * (n_classes + 1) + labels.mask)[accepted]
    painting.mark[accepted] = 0


def clip(box: tuple[int, int, int, int], shape: Shape) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a half-open box that lies in the image: slices of the image, and of the box's own raster."""
    y0, x0, y1, x1 = box
    top, left = min(max(y0, 0), shape[0]), min(max(x0, 0), shape[1])
    bottom, right = max(min(y1, shape[0]), top), max(min(x1, shape[1]), left)
    inside = (slice(top, bottom), slice(left, right))
    return inside, (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
