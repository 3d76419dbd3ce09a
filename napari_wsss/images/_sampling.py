"""A regular sample of a plane, bounded in pixels read and pixels kept, whatever the plane's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, sqrt
from typing import Any

import numpy as np

from napari_wsss.images._header import Raw
from napari_wsss.types import Bool, Box4

SAMPLE = 1_000_000  # pixels kept, at most
WHOLE = 4_000_000  # pixels up to which a plane is read whole
_TILE = 512  # a larger plane is read in tiles of about this side
_TILES = 8  # along each side

ReadBox = Callable[[Box4], tuple[Raw, Bool]]


def sample(read: ReadBox, shape: tuple[int, int], block: tuple[int, int]) -> Raw:
    """Values (c, n) of at most SAMPLE valid pixels; n is 0 only where no pixel at all is valid."""
    boxes = list(sample_boxes(shape, block))
    step = ceil(sqrt(sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in boxes) / SAMPLE))
    parts = []
    for box in boxes:
        raw, valid = read(box)
        parts.append(raw[:, ::step, ::step][:, valid[::step, ::step]])
    found: np.ndarray[Any, Any] = np.concatenate(parts, axis=1)
    return found if found.shape[1] else first_valid(read, shape, block)


def first_valid(read: ReadBox, shape: tuple[int, int], block: tuple[int, int]) -> Raw:
    """Valid pixels (c, n) of the first tile that has any: of the sample's tiles, then of all."""
    found: Raw | None = None
    for boxes in (sample_boxes(shape, block), _all_boxes(shape, block)):
        for box in boxes:
            raw, valid = read(box)
            found = raw[:, valid][:, :SAMPLE]
            if found.shape[1]:
                return found
    return np.zeros((0, 0)) if found is None else found


def sample_boxes(shape: tuple[int, int], block: tuple[int, int]) -> Iterator[Box4]:
    """The whole plane if it is small or cannot be read in parts, else evenly laid tiles of it."""
    (h, w), (th, tw) = shape, _tile(shape, block)
    if h * w <= WHOLE or (th, tw) == (h, w):
        yield 0, 0, h, w
        return
    for y in _places(-(-h // th)):
        for x in _places(-(-w // tw)):
            yield y * th, x * tw, min(y * th + th, h), min(x * tw + tw, w)


def _all_boxes(shape: tuple[int, int], block: tuple[int, int]) -> Iterator[Box4]:
    (h, w), (th, tw) = shape, _tile(shape, block)
    for y in range(0, h, th):
        for x in range(0, w, tw):
            yield y, x, min(y + th, h), min(x + tw, w)


def _tile(shape: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    """A tile of whole blocks, about 512 x 512 pixels in all, or one block if that is larger."""
    (h, w), (bh, bw) = shape, (min(block[0], shape[0]), min(block[1], shape[1]))
    tw = min(max(1, _TILE // bw) * bw, w)
    th = min(max(1, _TILE * _TILE // tw // bh) * bh, h)
    return th, tw


def _places(n: int) -> list[int]:
    """At most 8 of n tiles, evenly laid."""
    return list(range(n)) if n <= _TILES else [int((i + 0.5) * n / _TILES) for i in range(_TILES)]
