"""OME-Zarr (NGFF 0.4 on zarr 2, 0.5 on zarr 3; level 0) and plain zarr arrays.

A plain array's axes come from its dimension names; without any, the last two are rows and columns
except that (h, w, c) with c of 2 to 4 has channels last. Of the axes before them the nearest is
channels if it is no longer than 16, and the others are depth and time.

Only codecs known to be harmless are let near the bytes: numcodecs has one that runs what it reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._axes import leading, letters_of
from napari_wsss.images._header import (
    SEGMENT_LIMIT,
    Header,
    Pixels,
    Raw,
    check_dtype,
    default_names,
    finite,
    no_warnings,
)
from napari_wsss.images._tiff_metadata import in_micrometres
from napari_wsss.images._zarr_chunks import check_chunks
from napari_wsss.types import Bool, Box4

MARKS = ("zarr.json", ".zarray", ".zgroup")
_FEW = 16
_SAFE = frozenset(
    [
        *("bytes", "transpose", "crc32c", "sharding_indexed", "gzip", "zstd", "blosc", "zlib", "lz4", "lzma", "bz2"),
        *("delta", "shuffle", "packbits", "bitround", "fixedscaleoffset", "quantize", "astype"),
        *("crc32", "adler32", "fletcher32", "jenkins_lookup3", "zfpy"),
    ]
)
_LETTERS = {
    "t": "t", "time": "t", "z": "z", "depth": "z", "c": "c", "channel": "c", "channels": "c", "band": "c",
    "bands": "c", "wavelength": "c", "s": "c", "y": "y", "lat": "y", "latitude": "y", "row": "y",
    "x": "x", "lon": "x", "longitude": "x", "column": "x", "col": "x",
}  # fmt: skip


def is_zarr(folder: Path) -> bool:
    """The folder is a zarr array or group."""
    return folder.is_dir() and any((folder / mark).is_file() for mark in MARKS)


def open_zarr(path: Path) -> tuple[Header, Pixels]:
    """Header and reader of a zarr folder."""
    folder, ome = _image_folder(path)
    array, codecs = _array(path, folder)
    names, scales, units = _axes(path, array, ome)
    order = "".join(names)
    if order.count("y") != 1 or order.count("x") != 1:
        raise UnreadableImage(f"{path}: no rows and columns among the axes {order!r} of shape {array.shape}")
    y, x = order.index("y"), order.index("x")
    outer = [i for i in range(len(order)) if i not in (y, x)]
    outer_axes, outer_sizes = "".join(order[i] for i in outer), tuple(array.shape[i] for i in outer)
    lead = leading(outer_axes, outer_sizes)
    letters = dict(zip(outer, letters_of(outer_axes, outer_sizes))) | {y: "y", x: "x"}
    n, labels = lead.n_channels, _channel_labels(ome)
    is_rgb = array.dtype == np.uint8 and n == 3 and order.endswith("yxc")
    header = Header(
        planes=lead.planes,
        shape=(array.shape[y], array.shape[x]),
        n_channels=n,
        dtype=check_dtype(path, array.dtype),
        channel_names=labels if len(labels) == n else default_names(n, is_rgb),
        is_rgb=is_rgb,
        block=(array.chunks[y], array.chunks[x]),
        pixel_size=in_micrometres(scales[y], scales[x], units[y], units[x]),
    )

    def pixels(plane: int, box: Box4) -> tuple[Raw, Bool]:
        index = _index([letters[i] for i in range(array.ndim)], array.shape, lead.places[plane], box)
        check_chunks(path, folder, array, codecs, index)
        return _read(array, [letters[i] for i in range(array.ndim)], index)

    return header, pixels


def _index(letters: list[str], shape: tuple[int, ...], place: Mapping[str, int], box: Box4) -> list[tuple[int, int]]:
    """The range of every axis that a box of a plane takes; ``letters`` has one of ours for each axis."""
    y0, x0, y1, x1 = box
    ranges = {"y": (y0, y1), "x": (x0, x1)} | {a: (i, i + 1) for a, i in place.items()}
    return [ranges.get(a, (0, n)) for a, n in zip(letters, shape)]


def _read(array: Any, letters: list[str], index: list[tuple[int, int]]) -> tuple[Raw, Bool]:
    """Raw (c, h, w) of a region of one plane."""
    data = np.asarray(array[tuple(slice(a, b) for a, b in index)])
    y, x = letters.index("y"), letters.index("x")
    outer = [i for i in range(len(letters)) if i not in (y, x)]
    raw = data.transpose([*outer, y, x]).reshape(-1, data.shape[y], data.shape[x])
    raw = raw.astype(np.uint8 if raw.dtype.kind == "b" else raw.dtype.newbyteorder("="), copy=False)
    return raw, finite(raw)


# --------------------------------------------------------------------------- metadata


def _json(path: Path, file: Path) -> dict[str, Any]:
    """A metadata file's object; {} where there is no such file."""
    if not file.is_file():
        return {}
    content: Any = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UnreadableImage(f"{path}: {file.name} is not a zarr metadata file; copy it again")
    return content


def _attributes(path: Path, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = dict(_json(path, folder / "zarr.json").get("attributes") or {})
    found |= _json(path, folder / ".zattrs")
    ome = found.get("ome")
    return found | ome if isinstance(ome, dict) else found


def _is_array(path: Path, folder: Path) -> bool:
    return (folder / ".zarray").is_file() or _json(path, folder / "zarr.json").get("node_type") == "array"


def _image_folder(path: Path) -> tuple[Path, dict[str, Any]]:
    """The array's folder and the OME attributes that describe it ({} for a plain array)."""
    if not is_zarr(path):
        raise UnreadableImage(f"{path}: a folder without zarr metadata ({', '.join(MARKS)}); name its image files")
    if _is_array(path, path):
        return path, {}
    attributes = _attributes(path, path)
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes and is_zarr(path / "0"):
        path = path / "0"
        attributes = _attributes(path, path)
    if "multiscales" in attributes:
        return _below(path, attributes["multiscales"][0]["datasets"][0]["path"]), attributes
    arrays = sorted(f.name for f in path.iterdir() if is_zarr(f) and _is_array(path, f))
    if len(arrays) != 1:
        raise UnreadableImage(f"{path}: a zarr group of {len(arrays)} arrays, not an image; name one array's folder")
    return path / arrays[0], {}


def _below(folder: Path, name: str) -> Path:
    """A dataset's folder, which must lie inside the image's."""
    inside = folder / name
    if not inside.resolve().is_relative_to(folder.resolve()):
        raise UnreadableImage(f"{folder}: its metadata points outside the folder ({name!r})")
    if not is_zarr(inside):
        raise UnreadableImage(f"{folder}: level {name!r} is missing; copy the whole folder again")
    return inside


def _codecs(metadata: Any) -> Iterator[str]:
    """Names of all codecs in a zarr 2 or zarr 3 array's metadata, also those inside shards."""
    items = metadata if isinstance(metadata, list) else [metadata]
    for item in items:
        if isinstance(item, Mapping):
            yield str(item.get("id", item.get("name")))
            inner = item.get("configuration")
            if isinstance(inner, Mapping):
                yield from _codecs(inner.get("codecs") or [])
                yield from _codecs(inner.get("index_codecs") or [])


def _array(path: Path, folder: Path) -> tuple[Any, list[Any]]:
    """The opened array and its codecs, after its codecs, type and chunk size have been found harmless."""
    stated = _json(path, folder / ".zarray") or _json(path, folder / "zarr.json")
    packer = stated.get("compressor")
    codecs = [*(stated.get("filters") or []), *([packer] if packer else []), *(stated.get("codecs") or [])]
    unknown = {name for name in _codecs(codecs) if name.removeprefix("numcodecs.") not in _SAFE}
    if "blosc" in _codecs(codecs[:-1]):
        unknown.add("blosc before another one")  # its length could not be checked (see _zarr_chunks)
    if unknown:
        raise UnreadableImage(f"{path}: codec {', '.join(sorted(unknown))} is not accepted; save it with blosc or zstd")
    with no_warnings():  # zarr warns of codecs that its third specification does not name
        array = zarr.open_array(store=str(folder), mode="r")
    if 0 in array.shape or array.ndim < 2:
        raise UnreadableImage(f"{path}: an array of shape {array.shape} is not an image")
    check_dtype(path, array.dtype)
    if int(np.prod(array.chunks, dtype=object)) * array.dtype.itemsize > SEGMENT_LIMIT:
        raise UnreadableImage(f"{path}: chunks of {array.chunks} are too large; save it in smaller chunks")
    if not any(f.is_file() and not f.name.startswith(".") and f.name != "zarr.json" for f in folder.rglob("*")):
        raise UnreadableImage(f"{path}: no chunk was ever written to it; copy the whole folder again")
    return array, codecs


def _axes(path: Path, array: Any, ome: Mapping[str, Any]) -> tuple[list[str], list[float], list[str | None]]:
    """Our letter (or ``?``), scale and unit of every axis."""
    if not ome:
        return _plain_axes(array), [float("nan")] * array.ndim, [None] * array.ndim
    image = ome["multiscales"][0]
    axes = image.get("axes", "tczyx"[-array.ndim :])
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in axes]
    if len(axes) != array.ndim:
        raise UnreadableImage(f"{path}: {len(axes)} axes are named but the array has {array.ndim}")
    scales = np.ones(array.ndim)
    known = False
    for step in [
        *image["datasets"][0].get("coordinateTransformations", []),
        *image.get("coordinateTransformations", []),
    ]:
        if step.get("type") == "scale" and len(step.get("scale", ())) == array.ndim:
            scales, known = scales * np.asarray(step["scale"], float), True
    units = [a.get("unit") if known else None for a in axes]
    return [_LETTERS.get(str(a["name"]).lower(), "?") for a in axes], scales.tolist(), units


def _plain_axes(array: Any) -> list[str]:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if names and len(names) == array.ndim:
        letters = [_LETTERS.get(str(name).lower(), "?") for name in names]
        if letters.count("y") == 1 and letters.count("x") == 1:
            return letters
    shape = array.shape
    if array.ndim > 2 and 2 <= shape[-1] <= 4 < min(shape[-3:-1]):
        return [*("zt?????"[: array.ndim - 3][::-1]), "y", "x", "c"]
    if array.ndim > 2 and shape[-3] <= _FEW:
        return [*("zt?????"[: array.ndim - 3][::-1]), "c", "y", "x"]
    return [*("zt?????"[: array.ndim - 2][::-1]), "y", "x"]


def _channel_labels(ome: Mapping[str, Any]) -> tuple[str, ...]:
    omero = ome.get("omero")
    channels = omero.get("channels", []) if isinstance(omero, Mapping) else []
    labels = tuple(str(c.get("label") or "") for c in channels if isinstance(c, Mapping))
    return labels if all(labels) else ()
