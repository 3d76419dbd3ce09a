"""From pixels to the ground: coordinates on Earth and areas in square metres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rasterio.warp import transform as warped

from napari_wsss.exporters._polygons import Part, Ring, signed_area
from napari_wsss.types import Georeference, PixelSize

LONGITUDE_LATITUDE = "EPSG:4326"
EQUAL_AREA = "EPSG:6933"


def placed(ring: Ring, where: Georeference, crs: str) -> Ring:
    """Vertices (x, y) in pixels as (x, y) in a coordinate system; for EPSG:4326 (longitude, latitude)."""
    a, b, c, d, e, f = where.transform
    x, y = ring.T
    xs, ys = warped(where.crs, crs, (a * x + b * y + c).tolist(), (d * x + e * y + f).tolist())
    return np.stack([xs, ys], 1)


def square_metres(parts: Sequence[Part], where: Georeference) -> float:
    """Area on the ground of outlines given in pixels: measured in an equal-area projection of the whole Earth.

    The image's own coordinate system would do for UTM but not for web maps, whose metres grow with latitude.
    """
    total = 0.0
    for outline, *holes in parts:
        total += abs(signed_area(placed(outline, where, EQUAL_AREA)))
        total -= sum(abs(signed_area(placed(hole, where, EQUAL_AREA))) for hole in holes)
    return total


def area_of(pixels: int, size: PixelSize) -> tuple[str, float]:
    """Name (``area_um2`` or ``area_m2``) and value of an area given in pixels."""
    return f"area_{size.unit}2", pixels * size.y * size.x
