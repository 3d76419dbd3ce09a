"""Writers of small valid files of every format that is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image as Pillow
from rasterio.transform import Affine

Writer = Callable[[Path], Path]


def picture(h: int = 40, w: int = 52, c: int = 3, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Smooth content with noise, (h, w, c); no pixel is 0."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    base = 100 + 40 * np.sin(y / 7)[..., None] + 40 * np.cos(x / 9)[..., None] * np.arange(1, c + 1) / c
    return (base + rng.integers(0, 20, (h, w, c)) + 1).astype(dtype)


def write_geotiff(path: Path, array: np.ndarray, crs: str = "EPSG:32612", transform=None, **options) -> Path:
    """(c, h, w) as a GeoTIFF."""
    c, h, w = array.shape
    profile = {"driver": "GTiff", "count": c, "height": h, "width": w, "dtype": array.dtype, "crs": crs}
    with rasterio.open(path, "w", **profile, transform=transform or Affine(30, 0, 5e5, 0, -30, 4e6), **options) as f:
        f.write(array)
    return path


def write_ome_zarr(path: Path, array: np.ndarray, axes: str, version: int, scale: float = 0.5) -> Path:
    """An OME-Zarr image of one level: NGFF 0.4 on zarr 2 or NGFF 0.5 on zarr 3."""
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in named:
        if axis["type"] == "space":
            axis["unit"] = "micrometer"
    steps = [{"type": "scale", "scale": [scale if a in "zyx" else 1.0 for a in axes]}]
    image = {"axes": named, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    omero = {"channels": [{"label": f"stain{i}"} for i in range(array.shape[axes.index("c")])]} if "c" in axes else None
    if version == 2:
        attributes = {"multiscales": [image | {"version": "0.4"}]} | ({"omero": omero} if omero else {})
    else:
        attributes = {"ome": {"version": "0.5", "multiscales": [image]} | ({"omero": omero} if omero else {})}
    group = zarr.create_group(store=str(path), zarr_format=version, attributes=attributes)
    chunks = (*(1 for _ in array.shape[:-2]), 16, 16)
    group.create_array("0", shape=array.shape, chunks=chunks, dtype=array.dtype)[:] = array
    return path


def _png16(path: Path) -> Path:
    path.write_bytes(imagecodecs.png_encode(picture(dtype="uint16") * 200))
    return path


def _zarr(path: Path, version: int) -> Path:
    array = picture(c=1)[..., 0]
    zarr.create_array(store=str(path), shape=array.shape, chunks=(16, 16), dtype="u1", zarr_format=version)[:] = array
    return path


def _sharded(path: Path) -> Path:
    array = picture(c=1)[..., 0]
    packer = zarr.codecs.BloscCodec(cname="zstd")
    options = {"shape": array.shape, "chunks": (8, 8), "shards": (16, 16), "dtype": "u1", "compressors": packer}
    zarr.create_array(store=str(path), **options)[:] = array
    return path


def _pillow(path: Path, mode: str, **options) -> Path:
    image = Pillow.fromarray(picture())
    (image.quantize(16) if mode == "P" else image.convert(mode)).save(path, **options)
    return path


def _tiff(path: Path, array: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


WRITERS: dict[str, tuple[str, Writer]] = {
    "png": ("a.png", lambda p: _pillow(p, "RGB")),
    "png_palette": ("a.png", lambda p: _pillow(p, "P")),
    "png_16": ("a.png", _png16),
    "jpeg": ("a.jpg", lambda p: _pillow(p, "RGB")),
    "jpeg_progressive": ("a.jpg", lambda p: _pillow(p, "L", progressive=True)),
    "tiff": ("a.tif", lambda p: _tiff(p, picture(), photometric="rgb", rowsperstrip=8)),
    "tiff_lzw": ("a.tif", lambda p: _tiff(p, picture(dtype="uint16"), photometric="rgb", compression="lzw")),
    "tiff_tiled": ("a.tif", lambda p: _tiff(p, picture(c=1)[..., 0], tile=(16, 16), compression="zlib")),
    "tiff_float": ("a.tif", lambda p: _tiff(p, picture(c=1, dtype="float32")[..., 0], predictor=True, compression=8)),
    "bigtiff": ("a.btf", lambda p: _tiff(p, picture(c=1)[..., 0], bigtiff=True)),
    "pages": ("a.tif", lambda p: _tiff(p, picture(c=5).transpose(2, 0, 1), metadata=None, photometric="minisblack")),
    "ome": ("a.ome.tif", lambda p: _tiff(p, picture(c=6).transpose(2, 0, 1), metadata={"axes": "ZYX"})),
    "imagej": ("a.tif", lambda p: _tiff(p, picture(c=6).transpose(2, 0, 1), imagej=True, metadata={"axes": "ZYX"})),
    "geotiff": ("a.tif", lambda p: write_geotiff(p, picture(c=4, dtype="uint16").transpose(2, 0, 1))),
    "geotiff_lzw": ("a.tif", lambda p: write_geotiff(p, picture().transpose(2, 0, 1), compress="lzw", nodata=0)),
    "zarr2": ("a.zarr", lambda p: _zarr(p, 2)),
    "zarr3": ("a.zarr", lambda p: _zarr(p, 3)),
    "sharded": ("a.zarr", _sharded),
    "ngff4": ("a.zarr", lambda p: write_ome_zarr(p, picture(c=2).transpose(2, 0, 1), "cyx", 2)),
    "ngff5": ("a.zarr", lambda p: write_ome_zarr(p, picture(c=2).transpose(2, 0, 1), "cyx", 3)),
}


@pytest.fixture(params=sorted(WRITERS))
def any_format(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small valid file of each format in turn."""
    name, write = WRITERS[request.param]
    return write(tmp_path / name)


@pytest.fixture
def make():
    """``make(kind, folder)`` writes a small valid file of the kind; ``make.kinds`` lists them."""

    def write(kind: str, folder: Path) -> Path:
        name, writer = WRITERS[kind]
        return writer(folder / name)

    write.kinds = tuple(WRITERS)
    write.geotiff, write.ome_zarr, write.picture = write_geotiff, write_ome_zarr, picture
    return write
