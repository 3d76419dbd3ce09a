"""Outlines of objects along pixel edges: exact, so that filling them gives the object back.

A vertex (x, y) is a pixel corner: pixel (row, column) covers [column, column + 1] × [row, row + 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.features import shapes

from napari_wsss.objects import Object

Ring = NDArray[np.float64]  # (n, 2) of x, y; closed without repeating the first vertex
Part = list[Ring]  # outline first, then holes


def parts_of(thing: Object) -> list[Part]:
    """Outlines of an object in image coordinates, one part a 4-connected piece, each outline before its holes."""
    y0, x0, _, _ = thing.box
    parts: list[Part] = []
    for geometry, _ in shapes(thing.pixels.astype(np.uint8), mask=thing.pixels, connectivity=4):
        rings = [np.asarray(ring[:-1], float) + np.array((x0, y0)) for ring in geometry["coordinates"]]
        parts.append(rings)
    return parts


def signed_area(ring: Ring) -> float:
    """Area by the shoelace formula; above 0 where the ring runs counter-clockwise with y upwards."""
    x, y = (ring - ring[0]).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def turned(ring: Ring, counter_clockwise: bool) -> Ring:
    """The ring, reversed where it runs the other way."""
    return ring if (signed_area(ring) > 0) == counter_clockwise else ring[::-1]


def bridged(rings: Sequence[Ring]) -> Ring:
    """All rings as one closed path: each is reached and left by the same bridge.

    Every bridge is walked twice, so the even-odd fill of the path is that of the rings: holes stay
    holes and pieces stay apart, for formats that know a single outline.
    """
    path = rings[0]
    for ring in rings[1:]:
        here, there = _nearest(path, ring)
        around = np.concatenate([ring[there:], ring[: there + 1]])
        path = np.concatenate([path[: here + 1], around, path[here:]])
    return path


def _nearest(path: Ring, ring: Ring) -> tuple[int, int]:
    # any bridge is right; some 64 vertices of the ring find a short one without a table of all distances
    best = (np.inf, 0, 0)
    for there in range(0, len(ring), max(1, len(ring) // 64)):
        distance = ((path - ring[there]) ** 2).sum(1)
        here = int(distance.argmin())
        best = min(best, (float(distance[here]), here, there))
    return best[1:]
