"""Names of channels and size of a pixel from a TIFF's OME, ImageJ or plain tags."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

from napari_wsss.types import PixelSize

_MICROMETRES = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "a": 1e-4, "angstrom": 1e-4,
    "in": 25400.0, "inch": 25400.0, "ft": 304800.0, "km": 1e9,
    "meter": 1e6, "metre": 1e6, "centimeter": 1e4, "millimeter": 1e3, "millimetre": 1e3,
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "nanometer": 1e-3, "nanometre": 1e-3,
    "kilometer": 1e9, "foot": 304800.0, "picometer": 1e-6,
}  # fmt: skip
_PRINT_UM = 10.0  # a plain TIFF's pixel this large (2540 dpi) or larger is a print density, not a scale


def micrometres(unit: str | None) -> float | None:
    """How many micrometres a unit of length is, None where the word is not one."""
    if not unit:
        return None
    word = re.sub(r"\\u00[bB]5", "u", unit).replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00c5", "angstrom")
    return _MICROMETRES.get(word.strip("\0 ").lower())


def in_micrometres(y: float, x: float, unit_y: str | None, unit_x: str | None) -> PixelSize | None:
    """A pixel's size, None where a number or unit makes no sense."""
    fy, fx = micrometres(unit_y), micrometres(unit_x)
    if fy is None or fx is None or not all(math.isfinite(v) and v > 0 for v in (y, x)):
        return None
    return PixelSize(y * fy, x * fx, "um")


def _ome_pixels(tif: Any) -> ElementTree.Element | None:
    if not tif.is_ome or not tif.ome_metadata:
        return None
    root = ElementTree.fromstring(tif.ome_metadata)
    return next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)


def channel_names(tif: Any, n_channels: int) -> tuple[str, ...]:
    """Names that the file gives to its channels; () where it does not name all of them."""
    pixels = _ome_pixels(tif)
    if pixels is not None:
        elements = [e for e in pixels if e.tag.rpartition("}")[2] == "Channel"]
        names = [e.get("Name") or "" for e in elements]
    else:
        names = _imagej_labels(tif, n_channels)
    return tuple(names) if len(names) == n_channels and all(names) else ()


def _imagej_labels(tif: Any, n_channels: int) -> list[str]:
    metadata = tif.imagej_metadata if tif.is_imagej else None
    labels = (metadata or {}).get("Labels")
    if not isinstance(labels, list) or n_channels < 2 or (metadata or {}).get("channels") != n_channels:
        return []
    return [str(label) for label in labels[:n_channels]]


def pixel_size(tif: Any, page: Any) -> PixelSize | None:
    """Size of a pixel as OME-XML, ImageJ or the resolution tags give it, in that order."""
    pixels = _ome_pixels(tif)
    if pixels is not None:
        try:
            y, x = float(pixels.get("PhysicalSizeY", "nan")), float(pixels.get("PhysicalSizeX", "nan"))
        except ValueError:
            return None
        units = pixels.get("PhysicalSizeYUnit", "um"), pixels.get("PhysicalSizeXUnit", "um")
        return in_micrometres(y, x, *units)
    x_count, y_count = _resolution(page, 282), _resolution(page, 283)
    if not x_count or not y_count:
        return None
    if tif.is_imagej and (tif.imagej_metadata or {}).get("unit"):
        unit = str(tif.imagej_metadata["unit"])
        return in_micrometres(1 / y_count, 1 / x_count, unit, unit)
    unit = {2: "inch", 3: "cm"}.get(int(page.resolutionunit or 1), "")
    size = in_micrometres(1 / y_count, 1 / x_count, unit, unit)
    return size if size is not None and max(size.y, size.x) < _PRINT_UM else None


def _resolution(page: Any, code: int) -> float:
    """Pixels a unit, from a rational tag; 0 where it is missing or makes no sense."""
    tag = page.tags.get(code)
    value = tag.value if tag is not None else None
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return 0.0
    return float(value[0]) / float(value[1])
