"""Lines and rasters as strokes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from skimage.draw import line

from napari_wsss.types import Box4, Labels, Stroke


def polyline(vertices: Sequence[tuple[int, int]], class_id: int, width: int = 1) -> Stroke:
    """The Bresenham line through pixels (y, x), drawn with a round brush ``width`` pixels across."""
    at = np.asarray(vertices, np.int64).reshape(-1, 2)
    pieces = [np.stack(line(*a, *b), 1) for a, b in pairwise(at)]
    pixels = np.concatenate([at[:1], *pieces])
    radius = (width - 1) / 2
    reach = int(np.ceil(radius))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    brush = np.stack([dy, dx], 1)[np.hypot(dy, dx) <= max(radius, 0.5)]
    pixels = (pixels[:, None] + brush).reshape(-1, 2)
    y0, x0 = pixels.min(0)
    height, width_px = pixels.max(0) - (y0, x0) + 1
    raster = np.zeros((height, width_px), np.uint16)
    raster[tuple((pixels - (y0, x0)).T)] = class_id
    return Stroke(int(y0), int(x0), raster)


def lay(stroke: Stroke, box: Box4, onto: Labels) -> None:
    """Draw the part of a stroke that lies in a box onto the array of that box."""
    top, left, bottom, right = stroke.box
    y0, x0, y1, x1 = max(top, box[0]), max(left, box[1]), min(bottom, box[2]), min(right, box[3])
    if y0 < y1 and x0 < x1:
        raster = stroke.raster[y0 - top : y1 - top, x0 - left : x1 - left]
        there = onto[y0 - box[0] : y1 - box[0], x0 - box[1] : x1 - box[1]]
        there[raster > 0] = raster[raster > 0]


def cropped_stroke(raster: Labels, y0: int = 0, x0: int = 0) -> Stroke | None:
    """A raster of strokes cut to its drawn pixels; None where nothing is drawn."""
    rows, columns = np.flatnonzero(raster.any(1)), np.flatnonzero(raster.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    part = raster[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint16)
    return Stroke(y0 + top, x0 + left, part)
