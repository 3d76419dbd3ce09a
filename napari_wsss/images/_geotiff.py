"""GeoTIFF by rasterio: windows, masks, CRS and transform."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._header import (
    Header,
    Pixels,
    Raw,
    check_dtype,
    decoders_say,
    default_names,
    finite,
    no_warnings,
)
from napari_wsss.types import Bool, Box4, Georeference, PixelSize

_CACHE_MB = 64  # GDAL's cache of blocks; its own default is 5 % of the machine's memory
_EARTH = 6378137.0  # metres, equatorial radius of WGS 84
_FLATTENING = 1 / 298.257223563


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The dataset; what GDAL warns of is dropped, as its errors are raised."""
    with decoders_say(), rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
        with no_warnings(NotGeoreferencedWarning):
            data = rasterio.open(path, driver="GTiff")
        with data:
            yield data


def georeference_of(path: Path) -> tuple[Georeference | None, PixelSize | None]:
    """Where the image lies and how large its pixels are."""
    with _opened(path) as data:
        return _place(data)


def open_geotiff(path: Path, written: Callable[[Box4], Bool]) -> tuple[Header, Pixels]:
    """Header and reader of a GeoTIFF with one page; ``written`` tells sparse blocks of a box."""
    with _opened(path) as data:
        colours = data.colorinterp
        bands = [i + 1 for i, c in enumerate(colours) if c != ColorInterp.alpha]
        palette = _palette(data) if colours == (ColorInterp.palette,) else None
        if not bands:
            raise UnreadableImage(f"{path}: it holds an alpha band and nothing else")
        georeference, size = _place(data)
        names = ("red", "green", "blue") if palette is not None else _names(data, bands)
        header = Header(
            planes=("",),
            shape=(data.height, data.width),
            n_channels=len(names),
            dtype=np.dtype(np.uint8) if palette is not None else check_dtype(path, np.dtype(data.dtypes[0])),
            channel_names=names,
            is_rgb=palette is not None
            or tuple(colours[b - 1] for b in bands) == (ColorInterp.red, ColorInterp.green, ColorInterp.blue),
            block=tuple(data.block_shapes[0]),
            georeference=georeference,
            pixel_size=size,
        )

    def pixels(plane: int, box: Box4) -> tuple[Raw, Bool]:
        y0, x0, y1, x1 = box
        window = Window(x0, y0, x1 - x0, y1 - y0)
        with _opened(path) as data:
            raw = data.read(bands, window=window)
            masks = data.read_masks(bands, window=window) > 0
        # the rule of equals_nodata, which sees no masks: 8-bit values that mark nodata are common ones
        valid = masks.any(0) if raw.dtype.itemsize == 1 else masks.all(0)
        if palette is not None:
            raw = palette[:, raw[0]]
        return raw, valid & finite(raw) & written(box)

    return header, pixels


def _names(data: Any, bands: list[int]) -> tuple[str, ...]:
    """Band descriptions, else what colours the bands are said to be."""
    described = tuple(data.descriptions[b - 1] or "" for b in bands)
    if all(described):
        return described
    colours = tuple(data.colorinterp[b - 1].name for b in bands)
    if set(colours) >= {"red", "green", "blue"}:
        return tuple(c if c in ("red", "green", "blue") else f"channel {i + 1}" for i, c in enumerate(colours))
    return default_names(len(bands), False)


def _palette(data: Any) -> Raw:
    """Colours uint8 (3, 65536): index to RGB."""
    table = np.zeros((3, 65536), np.uint8)
    for index, colour in data.colormap(1).items():
        table[:, index] = colour[:3]
    return table


def _place(data: Any) -> tuple[Georeference | None, PixelSize | None]:
    if data.crs is None or data.transform.is_identity:
        return None, None
    t = data.transform
    georeference = Georeference(data.crs.to_wkt(), (t.a, t.b, t.c, t.d, t.e, t.f))
    return georeference, _metres(data)


def _metres(data: Any) -> PixelSize | None:
    """Metres of a pixel: by the CRS's unit; by the middle's latitude for degrees and for Mercator.

    Web Mercator stretches lengths by 1 / cos(latitude), and a degree of longitude shrinks by the
    same, so both are taken at the image's middle row: an approximation over wide images, better
    than 0.7 % (the earth's flattening) where the image is small.
    """
    t = data.transform
    y, x = math.hypot(t.b, t.e), math.hypot(t.a, t.d)
    middle = t.d * data.width / 2 + t.e * data.height / 2 + t.f
    if data.crs.is_geographic:
        y, x = _degrees(y, x, middle)
    elif data.crs.is_projected:
        factor = data.crs.linear_units_factor[1]
        if "mercator" in data.crs.to_wkt().lower() and "transverse" not in data.crs.to_wkt().lower():
            factor *= 1 / math.cosh(min(abs(middle * factor / _EARTH), 20.0))  # cos(latitude) of the sphere
        y, x = y * factor, x * factor
    else:
        return None
    return PixelSize(y, x, "m") if all(math.isfinite(v) and v > 0 for v in (y, x)) else None


def _degrees(y: float, x: float, latitude: float) -> tuple[float, float]:
    """Metres of y degrees along the meridian and x degrees along the parallel of WGS 84."""
    e2 = _FLATTENING * (2 - _FLATTENING)
    sine = math.sin(math.radians(latitude))
    meridian = _EARTH * (1 - e2) / (1 - e2 * sine**2) ** 1.5
    parallel = _EARTH / math.sqrt(1 - e2 * sine**2) * math.cos(math.radians(latitude))
    return math.radians(y) * meridian, math.radians(x) * parallel
