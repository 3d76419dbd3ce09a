"""Strips and tiles of a TIFF: a read takes from the file only the pieces that its box touches."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage
from napari_wsss.images._axes import Leading
from napari_wsss.images._header import SEGMENT_LIMIT, Raw, decoders_say, equals_nodata, finite, one_line
from napari_wsss.types import Bool, Box4

# How far a codec can shrink: nothing, LZW (12-bit codes), deflate (twice), PackBits.
_RATIO_LIMIT = {1: 1, 5: 3000, 8: 1040, 32946: 1040, 32773: 64}

_JPEG_2000 = (33003, 33004, 33005, 34712)


@dataclass(frozen=True, slots=True)
class Page:
    """Where the strips or tiles of one page are in the file; no bytes = never written (sparse)."""

    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    jpeg_tables: bytes | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixels of a TIFF lie in the file.

    Attributes
    ----------
    leading : Leading
        Axes outside a page.
    pages : tuple of Page or None
        In C order of ``leading``; None = stored in another file (OME sets), so nodata here.
    keyframe : tifffile.TiffPage
        Decodes the segments of all pages.
    shaped : (separate samples, h, w, contiguous samples)
    segment : (h, w)
        Of a strip or tile.
    direct : bool
        Uncompressed strips of whole bytes, so rows are found by counting.
    stored : dtype
        With the file's byte order.
    alpha : int or None
        Number of the sample that is alpha.
    palette : uint8 (3, n) or None
    nodata : float or None
    """

    leading: Leading
    pages: tuple[Page | None, ...]
    keyframe: Any
    shaped: tuple[int, int, int, int]
    segment: tuple[int, int]
    direct: bool
    stored: np.dtype[Any]
    alpha: int | None
    palette: NDArray[np.uint8] | None
    nodata: float | None

    @property
    def n_samples(self) -> int:
        """Samples of a page without alpha."""
        return self.shaped[0] * self.shaped[3] - (self.alpha is not None)

    @property
    def grid(self) -> tuple[int, int]:
        """Segments along rows and columns."""
        (_, h, w, _), (sh, sw) = self.shaped, self.segment
        return -(-h // sh), -(-w // sw)


def check_segments(path: Path, layout: Layout, file_size: int) -> None:
    """Refuse a file whose segments are missing, lie beyond its end or cannot hold what the header says."""
    if min(layout.segment) < 1:
        raise UnreadableImage(f"{path}: damaged TIFF (strips or tiles of no size); copy it again")
    if len(layout.pages) != prod(layout.leading.sizes):
        raise UnreadableImage(
            f"{path}: {len(layout.pages)} pages for {prod(layout.leading.sizes)} planes; the file is truncated"
        )
    size = prod(layout.segment) * layout.shaped[3] * layout.stored.itemsize
    if not layout.direct and size > SEGMENT_LIMIT:
        raise UnreadableImage(f"{path}: a strip of {size / 2**30:.0f} GiB is too large; save it as a tiled TIFF")
    for page in layout.pages:
        if page is not None:
            _check_page(path, layout, page, file_size)
    if not any(page is not None and any(page.counts) for page in layout.pages):
        raise UnreadableImage(f"{path}: no pixel was ever written to it; copy it again")


def _check_page(path: Path, layout: Layout, page: Page, file_size: int) -> None:
    expected = layout.shaped[0] * prod(layout.grid)
    if len(page.offsets) != expected or len(page.counts) != expected:
        raise UnreadableImage(
            f"{path}: {len(page.counts)} strips or tiles where {layout.shaped[2]} x {layout.shaped[1]} pixels "
            f"need {expected}; copy it again"
        )
    offsets, counts = np.asarray(page.offsets, np.float64), np.asarray(page.counts, np.float64)
    if (offsets + counts > file_size).any():
        raise UnreadableImage(f"{path}: the file is truncated ({file_size} bytes); copy it again")
    ratio = _RATIO_LIMIT.get(int(layout.keyframe.compression))
    if ratio is not None and ((counts > 0) & (counts * ratio < _least_bytes(layout))).any():
        raise UnreadableImage(f"{path}: strips or tiles are shorter than the header claims; copy it again")


def _least_bytes(layout: Layout) -> NDArray[np.float64]:
    """Unpacked bytes of every segment of a page; the last strip may be lower."""
    (separate, h, _, samples), (sh, sw) = layout.shaped, layout.segment
    rows = np.full(layout.grid, sh, np.float64)
    if not layout.keyframe.is_tiled:
        rows[-1] = h - sh * (layout.grid[0] - 1)
    bits = layout.keyframe.bitspersample
    bits = bits if isinstance(bits, int) else min(bits)
    return np.tile((rows * ((sw * samples * bits) // 8)).ravel(), separate)


def _touched(layout: Layout, box: Box4) -> Iterator[tuple[int, Box4, Box4]]:
    """Each segment (its number in one sample's grid) that a box meets: where in the box, where in the segment."""
    (sh, sw), nx = layout.segment, layout.grid[1]
    y0, x0, y1, x1 = box
    for ty in range(y0 // sh, -(-y1 // sh)):
        for tx in range(x0 // sw, -(-x1 // sw)):
            a, b, c, d = max(y0, ty * sh), max(x0, tx * sw), min(y1, ty * sh + sh), min(x1, tx * sw + sw)
            local = (a - ty * sh, b - tx * sw, c - ty * sh, d - tx * sw)
            yield ty * nx + tx, (a - y0, b - x0, c - y0, d - x0), local


def written(layout: Layout, page_number: int, box: Box4) -> Bool:
    """Bool (h, w) of a box: False where a page was never written (None, or a segment of no bytes)."""
    page, valid = layout.pages[page_number], np.ones((box[2] - box[0], box[3] - box[1]), bool)
    if page is None:
        return np.zeros_like(valid)
    if all(page.counts) and all(page.offsets):
        return valid
    for index, (a, b, c, d), _ in _touched(layout, box):
        for number in range(index, len(page.counts), prod(layout.grid)):
            if not page.counts[number] or not page.offsets[number]:
                valid[a:c, b:d] = False
    return valid


class SegmentReader:
    """Reads boxes of the planes of a TIFF; opens the file for each read, so it holds no handle."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout

    def __call__(self, plane: int, box: Box4) -> tuple[Raw, Bool]:
        """Raw (c, h, w) and valid (h, w) of a box."""
        layout, parts = self.layout, []
        shape = (box[2] - box[0], box[3] - box[1])
        valid = np.ones(shape, bool)
        with self.path.open("rb") as stream, decoders_say() as said:
            for row in layout.leading.rows(plane):
                part = np.zeros((layout.shaped[0] * layout.shaped[3], *shape), layout.stored.newbyteorder("="))
                valid &= written(layout, row, box)
                page = layout.pages[row]
                if page is not None:
                    self._fill(stream, page, box, part)
                parts.append(part)
        if said:
            raise UnreadableImage(f"{self.path}: damaged TIFF ({one_line(said[0])}); copy it again")
        return self._finish(parts, valid)

    def _fill(self, stream: BinaryIO, page: Page, box: Box4, out: Raw) -> None:
        """Copy into ``out`` (samples, h, w) what each touched segment holds of the box."""
        samples, number = self.layout.shaped[3], prod(self.layout.grid)
        for sample in range(self.layout.shaped[0]):
            for index, (a, b, c, d), local in _touched(self.layout, box):
                at = sample * number + index
                if page.counts[at] and page.offsets[at]:
                    data = self._segment(stream, page, at, local)
                    out[sample * samples : (sample + 1) * samples, a:c, b:d] = data

    def _segment(self, stream: BinaryIO, page: Page, index: int, local: Box4) -> Raw:
        """A box (c, h, w) of one segment, in its own coordinates."""
        layout, (y0, x0, y1, x1) = self.layout, local
        if layout.direct:
            width, samples = layout.shaped[2], layout.shaped[3]
            row = width * samples * layout.stored.itemsize
            data = self._bytes(stream, page.offsets[index] + y0 * row, (y1 - y0) * row)
            rows = np.frombuffer(data, layout.stored).reshape(y1 - y0, width, samples)
            return rows[:, x0:x1].transpose(2, 0, 1)
        data = self._bytes(stream, page.offsets[index], page.counts[index])
        self._check_jpeg2000(data)
        keywords = {} if page.jpeg_tables is None else {"jpegtables": page.jpeg_tables}
        segment = layout.keyframe.decode(data, index, **keywords)[0]
        found: Raw = segment[0, y0:y1, x0:x1].transpose(2, 0, 1)
        if found.shape[1:] != (y1 - y0, x1 - x0):
            raise UnreadableImage(f"{self.path}: strip or tile {index} is shorter than it should be; copy it again")
        return found

    def _check_jpeg2000(self, data: bytes) -> None:
        """JPEG 2000 states a size of its own, which its decoder allocates unseen."""
        at = data.find(b"\xff\x4f\xff\x51", 0, 256) if int(self.layout.keyframe.compression) in _JPEG_2000 else -1
        if at >= 0 and len(data) >= at + 16:
            width, height = struct.unpack_from(">II", data, at + 8)
            if width * height > 4 * prod(self.layout.segment):
                raise UnreadableImage(f"{self.path}: a tile claims {width} x {height} pixels; copy it again")

    def _bytes(self, stream: BinaryIO, offset: int, count: int) -> bytes:
        stream.seek(offset)
        data = stream.read(count)
        if len(data) != count:
            raise UnreadableImage(f"{self.path}: the file is truncated; copy it again")
        return data

    def _finish(self, parts: list[Raw], valid: Bool) -> tuple[Raw, Bool]:
        """Channels without alpha, palette applied, nodata found."""
        layout = self.layout
        if layout.alpha is not None:
            for part in parts:
                valid &= part[layout.alpha] != 0
            parts = [np.delete(part, layout.alpha, axis=0) for part in parts]
        raw = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if layout.nodata is not None:
            valid &= ~equals_nodata(raw, layout.nodata)
        if layout.palette is not None:
            raw = layout.palette[:, np.minimum(raw[0], layout.palette.shape[1] - 1)]
        if raw.dtype.kind == "b":
            raw = raw.astype(np.uint8)
        return raw, valid & finite(raw)
