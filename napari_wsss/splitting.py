"""One region made into several objects: between points, along a line, or one object a clicked point.

The rule for points is P2Seg's (methods.md F.11): a component with one point is an object, one with several is
divided among them; here by a watershed of the distance from its edge, and by nearness where no neck tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_wsss.objects import Object, objects
from napari_wsss.types import Bool, Instances, Labels, Point

Parts = NDArray[np.int32]
Place = tuple[int, int]

_SLIVER = 0.02  # share of a region below which what a line cut off is no part of its own
_NECK = 0.9  # a border as wide as this share of the smaller part is no neck: perhaps one object

_RIM = 2.0  # depth in pixels up to which what lies along an object is a part of it


@dataclass(frozen=True, eq=False, slots=True)
class Separated:
    """Object ids after every point got its object.

    Attributes
    ----------
    instances : uint32 (h, w)
    divided : int
        Regions that were divided.
    ambiguous : tuple of int
        Ids of parts without a neck between them: their points may lie on one object.
    """

    instances: Instances
    divided: int
    ambiguous: tuple[int, ...]


def between(region: Bool, groups: Sequence[Sequence[Place]]) -> Parts:
    """Divide a region among groups of places (y, x) in it.

    Returns
    -------
    int32 (h, w)
        ``n`` for the part of ``groups[n - 1]``, which holds all its places; 0 off the region.

    Raises
    ------
    ValueError
        A place outside the region.
    """
    for y, x in (place for group in groups for place in group):
        if not region[y, x]:
            raise ValueError(f"({y}, {x}) is not in the region")
    depth = ndimage.gaussian_filter(_depth(region), 1.0) * region
    peaks: dict[Place, int] = {}
    markers = np.zeros(region.shape, np.int32)
    inside: dict[int, list[tuple[int, Place]]] = {}  # the places on the way to each peak, with their group
    for number, group in enumerate(groups, 1):
        for place in group:
            way = _ascent(depth, place)
            peak = peaks.setdefault(way[-1], len(peaks) + 1)
            markers[tuple(np.transpose(way))] = peak
            inside.setdefault(peak, []).append((number, place))
    basins = _everywhere(watershed(-depth, markers, mask=region).astype(np.int32), region)
    parts = np.zeros(region.shape, np.int32)
    for peak, places in inside.items():
        here = basins == peak
        parts[here] = _nearest(here, places)
    return parts


def along(region: Bool, line: Bool) -> Parts:
    """Cut a region along a line of pixels; all 1 where the line does not go through.

    The line's own pixels, and slivers that it cut off, go to the part that is nearest.
    """
    whole, _ = ndimage.label(region)
    pieces, count = ndimage.label(region & ~line)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    large = [n for n in range(1, count + 1) if sizes[n] >= max(1, _SLIVER * sizes[1:].sum())]
    origin = {n: int(whole.ravel()[np.argmax(pieces == n)]) for n in large}
    cut = [n for n in large if list(origin.values()).count(origin[n]) > 1]
    if len(cut) < 2:
        return region.astype(np.int32)
    number = np.zeros(count + 1, np.int32)
    number[cut] = np.arange(1, len(cut) + 1)
    return _everywhere(number[pieces], region)


def ambiguous(parts: Parts) -> list[tuple[int, int]]:
    """Pairs of neighbouring parts without a neck between them."""
    depth = _depth(parts > 0)
    peaks = ndimage.maximum(depth, parts, range(parts.max() + 1))
    width: dict[tuple[int, int], float] = {}
    for a, b, d in (
        (parts[1:], parts[:-1], np.maximum(depth[1:], depth[:-1])),
        (parts[:, 1:], parts[:, :-1], np.maximum(depth[:, 1:], depth[:, :-1])),
    ):
        border = (a != b) & (a > 0) & (b > 0)
        for first, second, wide in zip(a[border], b[border], d[border]):
            pair = int(min(first, second)), int(max(first, second))
            width[pair] = max(width.get(pair, 0.0), float(wide))
    return [pair for pair, wide in sorted(width.items()) if wide >= _NECK * min(peaks[pair[0]], peaks[pair[1]])]


def one_a_point(labels: Labels, instances: Instances | None, points: Sequence[Point]) -> Separated:
    """Object ids such that every clicked object has its own.

    Points that bear one object number lie on one object; a point without a number is an object of its own.
    A region with one object's points becomes that object, one with several is divided among them; objects and
    regions without a point stay as they are.

    Parameters
    ----------
    labels : uint16 (h, w)
    instances : uint32 (h, w) or None
        Ids that there are already.
    """
    h, w = labels.shape
    ids = np.zeros(labels.shape, np.uint32) if instances is None else instances.copy()
    inside = [p for p in points if 0 <= p.y < h and 0 <= p.x < w and labels[p.y, p.x] == p.class_id]
    divided, doubtful = 0, []
    free = max(int(ids.max(initial=0)), *(p.instance for p in inside), 0) + 1
    for thing in list(objects(labels, instances, sorted({p.class_id for p in inside}))):
        groups = _groups(thing, inside)
        if not groups or (len(groups) == 1 and thing.instance):
            continue
        there = ids[thing.box[0] : thing.box[2], thing.box[1] : thing.box[3]]
        there[thing.pixels] = 0
        parts = between(thing.pixels, list(groups.values()))
        numbers = []
        for number, wanted in enumerate(groups, 1):
            taken = wanted <= 0 or bool((ids == wanted).any())
            numbers.append(free if taken else wanted)
            free += taken
            there[parts == number] = numbers[-1]
        divided += len(groups) > 1
        doubtful += [numbers[n - 1] for pair in ambiguous(parts) for n in pair]
    return Separated(ids, divided, tuple(dict.fromkeys(doubtful)))


def each_region(labels: Labels, instances: Instances | None, background: int | None) -> Instances:
    """Object ids such that every region of a class other than the background has one; uint32 (h, w).

    A region without an id is an object of its own; but a rim along an object of its class, no deeper than two pixels,
    is a part of that object: the object was drawn a little smaller than the mask.
    """
    ids = np.zeros(labels.shape, np.uint32) if instances is None else instances.copy()
    free = int(ids.max(initial=0)) + 1
    for class_id in (int(k) for k in np.unique(labels) if k not in (0, background)):
        pieces, _ = ndimage.label((labels == class_id) & (ids == 0))
        for number, (rows, columns) in enumerate(ndimage.find_objects(pieces), 1):
            around = np.s_[max(rows.start - 1, 0) : rows.stop + 1, max(columns.start - 1, 0) : columns.stop + 1]
            piece = pieces[around] == number
            beside = ids[around][ndimage.binary_dilation(piece) & (labels[around] == class_id) & (ids[around] > 0)]
            if beside.size and _depth(piece).max() <= _RIM:
                ids[around][piece] = np.bincount(beside).argmax()
            else:
                ids[around][piece] = free
                free += 1
    return ids


def _groups(thing: Object, points: Sequence[Point]) -> dict[int, list[Place]]:
    """The object's points, in its box: by object number, each without one alone (under a negative number)."""
    y0, x0, y1, x1 = thing.box
    groups: dict[int, list[Place]] = {}
    for n, p in enumerate(points):
        if p.class_id == thing.class_id and y0 <= p.y < y1 and x0 <= p.x < x1 and thing.pixels[p.y - y0, p.x - x0]:
            groups.setdefault(p.instance or -1 - n, []).append((p.y - y0, p.x - x0))
    return groups


def _depth(region: Bool) -> NDArray[np.float64]:
    """Distance of each pixel from the region's edge; the array's border is an edge, too."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    return depth


def _ascent(depth: NDArray[np.float64], place: Place) -> list[Place]:
    """From a place to the summit above it, always to the highest of the eight neighbours.

    A place low on a slope would otherwise lose its own summit to a neighbour that floods over the neck first.
    """
    way = [place]
    while True:
        y, x = way[-1]
        y0, x0 = max(y - 1, 0), max(x - 1, 0)
        around = depth[y0 : y + 2, x0 : x + 2]
        dy, dx = np.unravel_index(int(around.argmax()), around.shape)
        if around[dy, dx] <= depth[y, x]:
            return way
        way.append((y0 + int(dy), x0 + int(dx)))


def _nearest(here: Bool, places: Sequence[tuple[int, Place]]) -> Parts:
    """For the pixels of ``here``, the number of the place that is nearest."""
    if len({number for number, _ in places}) == 1:
        return np.full(int(here.sum()), places[0][0], np.int32)
    pixels = np.argwhere(here)
    away = np.stack([((pixels - np.array(place)) ** 2).sum(1) for _, place in places])
    numbers: Parts = np.array([number for number, _ in places], np.int32)[away.argmin(0)]
    return numbers


def _everywhere(parts: Parts, region: Bool) -> Parts:
    """Pixels of the region without a part go to the nearest one."""
    lacking = region & (parts == 0)
    if lacking.any():
        rows, columns = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        parts = np.where(lacking, parts[rows, columns], parts)
    return parts
