"""PNG: 1 to 16 bits, grey, RGB, palette, with or without alpha; chunk checksums are verified."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._header import SEGMENT_LIMIT, Header, Pixels, Raw, default_names
from napari_wsss.types import Bool, Box4

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # colour type -> channels without alpha
_DEFLATE_LIMIT = 1032  # deflate cannot shrink further, so a larger ratio is a lie of the header


def open_png(path: Path) -> tuple[Header, Pixels]:
    """Header and reader of a PNG file."""
    data = path.read_bytes()
    shape, dtype, channels = _check(path, data)
    header = Header(("",), shape, channels, dtype, default_names(channels, channels == 3), channels == 3, shape)
    whole = lru_cache(maxsize=1)(lambda: _decode(path, channels))

    def pixels(plane: int, box: Box4) -> tuple[Raw, Bool]:
        raw, valid = whole()
        y0, x0, y1, x1 = box
        return raw[:, y0:y1, x0:x1], valid[y0:y1, x0:x1]

    return header, pixels


def _check(path: Path, data: bytes) -> tuple[tuple[int, int], np.dtype[np.uint8] | np.dtype[np.uint16], int]:
    """Shape, dtype and channels of a file whose chunks are all there and whose checksums hold."""
    kinds = _chunks(path, data)
    if not kinds or kinds[0] != b"IHDR" or kinds[-1] != b"IEND":
        raise UnreadableImage(f"{path}: PNG file is truncated; copy it again")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or not (0 < width < 2**31 and 0 < height < 2**31):
        raise UnreadableImage(f"{path}: damaged PNG header ({width} x {height}, {depth} bits); copy it again")
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packed = height * ((width * depth * samples + 7) // 8)
    if packed > _DEFLATE_LIMIT * len(data):
        raise UnreadableImage(
            f"{path}: the header claims {width} x {height} pixels, more than {len(data)} bytes can hold; copy it again"
        )
    if height * width * (4 if colour == 3 else samples) * (2 if depth == 16 else 1) > SEGMENT_LIMIT:
        raise UnreadableImage(f"{path}: {width} x {height} is too large for a PNG; save it as a tiled TIFF")
    return (height, width), np.dtype(np.uint16) if depth == 16 else np.dtype(np.uint8), _CHANNELS[colour]


def _chunks(path: Path, data: bytes) -> list[bytes]:
    """Kinds of the chunks up to IEND; a wrong checksum is an error."""
    kinds, at = list[bytes](), len(SIGNATURE)
    while at + 12 <= len(data) and (not kinds or kinds[-1] != b"IEND"):
        (length,) = struct.unpack_from(">I", data, at)
        body, end = data[at + 4 : at + 8 + length], at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(body) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableImage(f"{path}: damaged PNG (checksum of {body[:4]!r} is wrong); copy it again")
        kinds.append(body[:4])
        at = end
    return kinds


def _decode(path: Path, channels: int) -> tuple[Raw, Bool]:
    array = np.atleast_3d(imagecodecs.png_decode(path.read_bytes()))
    raw = np.ascontiguousarray(array[..., :channels].transpose(2, 0, 1))
    valid = array[..., channels] > 0 if array.shape[2] > channels else np.ones(array.shape[:2], bool)
    return raw, valid
