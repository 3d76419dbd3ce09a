"""JPEG: grey, RGB and CMYK, turned as the EXIF orientation says."""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import JpegImagePlugin

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._header import SEGMENT_LIMIT, Header, Pixels, Raw, default_names, no_warnings
from napari_wsss.types import Bool, Box4

SIGNATURE = b"\xff\xd8\xff"
_RATIO_LIMIT = 2000  # a blank 8 x 8 block of three components costs more than a bit of entropy-coded data


def open_jpeg(path: Path) -> tuple[Header, Pixels]:
    """Header and reader of a JPEG file."""
    with path.open("rb") as stream:
        image = _header_of(stream)
        (width, height), grey = image.size, image.mode == "L"
        turn = exif_orientation(image.info.get("exif", b""))
    size = path.stat().st_size
    channels = 1 if grey else 3
    if width * height > _RATIO_LIMIT * size:
        raise UnreadableImage(
            f"{path}: the header claims {width} x {height} pixels, more than {size} bytes can hold; copy it again"
        )
    if width * height * channels > SEGMENT_LIMIT:
        raise UnreadableImage(f"{path}: {width} x {height} is too large for a JPEG; save it as a tiled TIFF")
    shape = (width, height) if turn >= 5 else (height, width)
    names = default_names(channels, not grey)
    header = Header(("",), shape, channels, np.dtype(np.uint8), names, not grey, shape)
    whole = lru_cache(maxsize=1)(lambda: _decode(path, turn))

    def pixels(plane: int, box: Box4) -> tuple[Raw, Bool]:
        y0, x0, y1, x1 = box
        raw = whole()[:, y0:y1, x0:x1]
        return raw, np.ones(raw.shape[1:], bool)

    return header, pixels


def _header_of(stream: BinaryIO) -> JpegImagePlugin.JpegImageFile:
    # the plugin's class, not PIL.Image.open, whose check of sizes warns on the screen; ours is above
    with no_warnings():  # of damaged EXIF, which Pillow reads for a density that we do not want
        return JpegImagePlugin.JpegImageFile(stream)


def _decode(path: Path, turn: int) -> Raw:
    with path.open("rb") as stream:
        image = _header_of(stream)
        image.load()
        array = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return np.ascontiguousarray(oriented(np.atleast_3d(array), turn).transpose(2, 0, 1))


def oriented(array: Raw, turn: int) -> Raw:
    """The (h, w, c) array as its EXIF orientation 1..8 says it is to be seen."""
    if turn >= 5:
        array = array.swapaxes(0, 1)
    flip_rows, flip_columns = turn in (3, 4, 7, 8), turn in (2, 3, 6, 7)
    return array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def exif_orientation(exif: bytes) -> int:
    """Tag 0x0112 of an APP1 segment, 1 where there is none or it makes no sense."""
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, at)
        if tag == 0x0112 and kind == 3:
            (turn,) = struct.unpack_from(order + "H", tiff, at + 8)
            return turn if 1 <= turn <= 8 else 1
    return 1
