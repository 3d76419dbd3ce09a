"""TIFF and BigTIFF, also OME and ImageJ: what the file says of its image.

The first series of a file is its image. Samples of a pixel and an axis named C or S are channels;
axes named T and Z, and the pages of a plain multi-page file (as depth), are planes. A plain array
(h, w, c) with c <= 16, which tifffile stores as h tiny pages, is read as one plane of c channels.
TIFF's own orientation tag is not applied, as in other viewers of scientific images.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._axes import leading
from napari_wsss.images._geotiff import georeference_of, open_geotiff
from napari_wsss.images._header import Header, Pixels, check_dtype, decoders_say, default_names, one_line
from napari_wsss.images._tiff_metadata import channel_names, pixel_size
from napari_wsss.images._tiff_segments import Layout, Page, SegmentReader, check_segments, written

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GEO_TAGS = (33550, 33922, 34264)  # pixel scale, tie points, transformation
_NODATA_TAG = 42113
_FEW = 16  # a last axis up to this long is channels


def open_tiff(path: Path) -> tuple[Header, Pixels]:
    """Header and reader of a TIFF file; a single georeferenced page is read by rasterio."""
    with decoders_say() as said, tifffile.TiffFile(path, _multifile=False) as tif:
        if not len(tif.pages) or not tif.series:
            raise UnreadableImage(f"{path}: TIFF file without an image; copy it again")
        layout = _layout(path, tif.series[0], tif.filehandle.size)
        if said:
            raise UnreadableImage(f"{path}: damaged TIFF ({one_line(said[0])}); copy it again")
        header = _header(tif, layout)
        tags = layout.keyframe.tags
        georeferenced = 34735 in tags and any(tag in tags for tag in _GEO_TAGS)
    if not georeferenced:
        return header, SegmentReader(path, layout)
    if len(layout.pages) == 1:
        return open_geotiff(path, lambda box: written(layout, 0, box))
    georeference, size = georeference_of(path)
    return replace(header, georeference=georeference, pixel_size=size), SegmentReader(path, layout)


def _layout(path: Path, series: Any, file_size: int) -> Layout:
    key = series.keyframe
    check_dtype(path, np.dtype(key.dtype))
    separate, depth, height, width, samples = (int(n) for n in key.shaped)
    if depth != 1 or 0 in key.shaped:
        raise UnreadableImage(f"{path}: pages of shape {key.shape} are not read; save each plane as a page")
    axes, sizes = _outer(series, prod(key.shaped))
    pages = tuple(None if page is None else _page(page) for page in series)
    segment = (key.tilelength, key.tilewidth) if key.is_tiled else (min(key.rowsperstrip, height), width)
    plain = key.compression == 1 and key.predictor == 1 and key.fillorder == 1 and not key.is_tiled
    direct = bool(plain and key.bitspersample == 8 * np.dtype(key.dtype).itemsize)
    start = series.dataoffset if direct else None
    virtual = start is not None and len(pages) < prod(sizes)
    if len(axes) == 1 and axes in "QI" and sizes[0] > _FEW >= width > 1 and samples == 1 and series.kind == "shaped":
        if start is None:
            raise UnreadableImage(f"{path}: pages of {width} x {height}; save it with planarconfig='contig'")
        height, width, samples, axes, sizes, virtual = sizes[0], height, width, "", (), True
    if virtual:
        # several planes behind one page: each becomes a page of a single strip
        segment, size = (height, width), separate * height * width * samples * np.dtype(key.dtype).itemsize
        pages = tuple(_run(start + i * size, size, separate) for i in range(prod(sizes)))
    layout = Layout(
        leading(axes, sizes), pages, key, (separate, height, width, samples), segment, direct,
        np.dtype(key.dtype).newbyteorder(key.parent.byteorder), _alpha(key), _palette(key), _nodata(key),
    )  # fmt: skip
    check_segments(path, layout, file_size)
    return layout


def _outer(series: Any, page_size: int) -> tuple[str, tuple[int, ...]]:
    """Axes and sizes of a series outside one page, axes of length 1 left out."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    inner = next((k for k in range(len(shape), -1, -1) if prod(shape[k:]) == page_size), 0)
    kept = [(a, int(n)) for a, n in zip(axes[:inner], shape[:inner]) if n > 1]
    return "".join(a for a, _ in kept), tuple(n for _, n in kept)


def _page(page: Any) -> Page:
    return Page(tuple(page.dataoffsets), tuple(page.databytecounts), getattr(page, "jpegtables", None))


def _run(start: int, size: int, separate: int) -> Page:
    part = size // separate
    return Page(tuple(start + i * part for i in range(separate)), (part,) * separate, None)


def _alpha(key: Any) -> int | None:
    """Which sample is alpha (associated or not), as ExtraSamples says."""
    extra = tuple(int(e) for e in key.extrasamples)
    first = key.samplesperpixel - len(extra)
    return next((first + i for i, e in enumerate(extra) if e in (1, 2)), None)


def _palette(key: Any) -> NDArray[np.uint8] | None:
    """Colours uint8 (3, n) of a palette image."""
    if key.photometric != 3 or key.colormap is None:
        return None
    colours = np.asarray(key.colormap, np.uint16)
    return (colours >> 8).astype(np.uint8) if colours.max() > 255 else colours.astype(np.uint8)


def _nodata(key: Any) -> float | None:
    """The value of GDAL's nodata tag."""
    tag = key.tags.get(_NODATA_TAG)
    if tag is None:
        return None
    try:
        return float(str(tag.value).strip("\0 "))
    except ValueError:
        return None  # an empty tag: GDAL, too, takes it as "no nodata"


def _header(tif: Any, layout: Layout) -> Header:
    key = layout.keyframe
    colour = layout.palette is not None or (key.photometric in (2, 6) and layout.n_samples == 3)
    n = 3 if layout.palette is not None else layout.n_samples * layout.leading.n_channels
    is_rgb = colour and n == 3
    return Header(
        planes=layout.leading.planes,
        shape=layout.shaped[1:3],
        n_channels=n,
        dtype=np.dtype(np.uint8) if layout.palette is not None or key.dtype == bool else np.dtype(key.dtype),
        channel_names=channel_names(tif, n) or default_names(n, is_rgb),
        is_rgb=is_rgb,
        block=(1, layout.shaped[2]) if layout.direct else layout.segment,
        pixel_size=pixel_size(tif, key),
    )
