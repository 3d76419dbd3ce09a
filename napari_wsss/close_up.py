"""Parts of a large image in which one object is looked for: square, laid on a grid, larger where the object is larger.

A model sees at most some thousand pixels a side. Of a larger image it is shown the part around the clicks at
full resolution; if the object turns out to be larger than that part, a part of twice the side at half the resolution,
and so on up to the whole image. Parts lie on a grid of half their side, so that clicks near one another share one,
and what was computed of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_wsss.types import Bool, Box4, Float, Image

LARGE = 1536
"""An image with a longer side than this is looked at in parts."""

SIDE = 1024
"""Pixels that are shown of a part at most, on its longer side."""

_SPARE = 8  # a part reaches at least its side by this beyond what it is to hold
_STRIP = 2**22  # pixels that are read at once where the resolution is reduced

Read = Callable[[Box4 | None], Image]


@dataclass(frozen=True, slots=True)
class CloseUp:
    """A part of an image: its box, and how many pixels of the image make one pixel shown, down and across."""

    box: Box4
    step: int

    def inside(self, y: int, x: int) -> tuple[int, int]:
        """The pixel shown for a pixel of the image; the nearest one for those outside."""
        y0, x0, y1, x1 = self.box
        return (min(max(y, y0), y1 - 1) - y0) // self.step, (min(max(x, x0), x1 - 1) - x0) // self.step

    def box_inside(self, box: Box4) -> Box4:
        """The pixels shown for a box of the image."""
        (y0, x0), (y1, x1) = self.inside(box[0], box[1]), self.inside(box[2] - 1, box[3] - 1)
        return y0, x0, y1 + 1, x1 + 1

    def pasted(self, mask: Bool) -> Bool:
        """A mask of what is shown, in pixels of the image: an array of the box's size, its steps smoothed."""
        if self.step == 1:
            return mask
        from PIL import Image as Pillow

        h, w = self.box[2] - self.box[0], self.box[3] - self.box[1]
        wide = (mask.shape[1] * self.step, mask.shape[0] * self.step)
        grey = Pillow.fromarray(mask.astype(np.uint8) * 255).resize(wide, Pillow.Resampling.BILINEAR)
        smooth: Bool = np.asarray(grey)[:h, :w] >= 128
        return smooth


def is_large(shape: tuple[int, int]) -> bool:
    """Whether an image of this shape is looked at in parts."""
    return max(shape) > LARGE


def closest(shape: tuple[int, int], places: Iterable[Box4], step: int = 1) -> CloseUp:
    """The smallest part, of this step or a larger one, that holds these boxes with some room around."""
    held = np.array(list(places)).reshape(-1, 4)
    low, high = held[:, :2].min(0), held[:, 2:].max(0)
    while SIDE * step < max(shape):
        side = SIDE * step
        start = [_start(int(a), int(b), side, n) for a, b, n in zip(low, high, shape)]
        spare = side // _SPARE
        if all(
            (s == 0 or s + spare <= a) and (s + side >= n or b <= s + side - spare)
            for s, a, b, n in zip(start, low, high, shape)
        ):
            y0, x0 = start
            return CloseUp((y0, x0, min(y0 + side, shape[0]), min(x0 + side, shape[1])), step)
        step *= 2
    return CloseUp((0, 0, *shape), step)


def _start(low: int, high: int, side: int, length: int) -> int:
    """Where a part of this side begins, so that its middle is nearest to that of what it is to hold."""
    half = side // 2
    return min(max(0, round(((low + high) / 2 - half) / half) * half), max(0, length - side))


def larger(shape: tuple[int, int], part: CloseUp, mask: Bool, places: Iterable[Box4]) -> CloseUp | None:
    """The next larger part, if a mask of what is shown reaches a side of this one that is no side of the image."""
    y0, x0, y1, x1 = part.box
    sides = (y0 > 0, mask[0]), (x0 > 0, mask[:, 0]), (y1 < shape[0], mask[-1]), (x1 < shape[1], mask[:, -1])
    if not any(inner and bool(edge.any()) for inner, edge in sides):
        return None
    return closest(shape, places, 2 * part.step)


def look(read: Read, part: CloseUp) -> Image:
    """What is shown of a part: the mean of each ``step`` x ``step`` pixels; read in strips, so that memory is bounded.

    Parameters
    ----------
    read : callable
        Gives boxes of the image (``Project.reader``).
    """
    y0, x0, y1, x1 = part.box
    if part.step == 1:
        image = read(part.box)
    else:
        rows = max(1, _STRIP // ((x1 - x0) * part.step)) * part.step
        strips = [_reduced(read((y, x0, min(y + rows, y1), x1)), part.step) for y in range(y0, y1, rows)]
        channels = np.concatenate([s.channels for s in strips], 1)
        image = replace(strips[0], channels=channels, valid=np.concatenate([s.valid for s in strips]))
    return replace(image, key=image.key and f"{image.key} {y0},{x0},{y1},{x1}", georeference=None, pixel_size=None)


def _reduced(image: Image, step: int) -> Image:
    valid = _means(image.valid.astype(np.float32)[None], step)[0]
    sums = _means(np.where(image.valid, image.channels, 0), step)
    channels = np.where(valid > 0, sums / np.maximum(valid, 1e-6), 0).astype(np.float32)
    seen: Bool = valid >= 0.5
    return replace(image, channels=np.where(seen, channels, 0).astype(np.float32), valid=seen)


def _means(values: Float | NDArray[np.float32], step: int) -> Float:
    """Means of cells of (c, h, w); those at the far sides may be cut."""
    starts = [np.arange(0, n, step) for n in values.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(values, starts[0], 1), starts[1], 2)
    sizes = [np.minimum(s + step, n) - s for s, n in zip(starts, values.shape[1:])]
    means: Float = (sums / np.outer(*sizes)).astype(np.float32)
    return means
