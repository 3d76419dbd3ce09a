"""Strokes as clicks: whether a stroke lies in an object that the embedded model sees, the rest of the stroke tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.models.embedded.many import Cutout
from napari_wsss.models.prompts import Prompt
from napari_wsss.types import Labels, WeakLabels
from napari_wsss.weak_labels import lay

_DOT = 5  # pixels; what is smaller names no object
_HELD = 0.9
"""Share of a stroke that the mask of its middle must hold."""
_TRUSTED = 0.85
"""Share of an image's strokes that must be held, so that any of them is believed; counted with one held and one not."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A connected stroke: its class and its pixels, int (n, 2)."""

    class_id: int
    inside: NDArray[np.int64]

    @property
    def prompt(self) -> Prompt:
        """A click on the stroke's middle, and nothing else: its other pixels are there to judge the answer."""
        far = np.abs(self.inside - self.inside.mean(0)).sum(1)
        return Prompt(self.inside[far.argmin()][None], np.ones(1, bool))

    def is_held(self, cutout: Cutout, raster: Labels) -> bool:
        """Whether a mask holds nearly all of the stroke, and next to nothing of strokes of other classes."""
        y0, x0, y1, x1 = cutout.box
        mask, part = cutout.mask, raster[y0:y1, x0:x1]
        own = cutout.in_image((raster.shape[0], raster.shape[1]))[self.inside[:, 0], self.inside[:, 1]].mean()
        others = int((mask & (part > 0) & (part != self.class_id)).sum())
        return bool(own >= _HELD) and others <= (1 - _HELD) * len(self.inside)


def stroked(labels: WeakLabels, shape: tuple[int, int]) -> Labels:
    """Class ids of all strokes, uint16 (h, w); the latest on top."""
    raster: Labels = np.zeros(shape, np.uint16)
    for stroke in labels.strokes:
        lay(stroke, (0, 0, *shape), raster)
    return raster


def pieces(raster: Labels, ground: int) -> Iterator[Piece]:
    """Each connected stroke, more than a dot, of each class but ``ground``."""
    for class_id in np.unique(raster[(raster > 0) & (raster != ground)]).tolist():
        numbered, _ = ndimage.label(raster == class_id, np.ones((3, 3)))
        for number, window in enumerate(ndimage.find_objects(numbered), 1):
            inside = np.argwhere(numbered[window] == number) + np.array([window[0].start, window[1].start])
            if len(inside) >= _DOT:
                yield Piece(class_id, inside)


def believed(strokes: Sequence[Piece], cutouts: Sequence[Cutout], raster: Labels) -> list[bool]:
    """Which masks to believe: those that hold their stroke, in an image where most do.

    Where the model sees other things than the person means (a roof's half, a whole block), few strokes are held, and
    those that are may be so by chance.
    """
    held = [stroke.is_held(cutout, raster) for stroke, cutout in zip(strokes, cutouts, strict=True)]
    trusted = (sum(held) + 1) / (len(held) + 2) >= _TRUSTED
    return [trusted and one for one in held]
