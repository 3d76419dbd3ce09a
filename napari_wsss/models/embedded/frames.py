"""The frames in which the model looks at an image, coarse and fine, and prompts in a frame's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.models.embedded.encoder import MULTIPLE, STRIDE
from napari_wsss.models.embedded.prompts import CORNER, NOTHING, OPPOSITE
from napari_wsss.models.prompts import LOWEST_LOGIT, Embedding, Prompt, lowres_extent

SIDE = 256
"""Of the square low-resolution frame, which prompts and answers share."""

CELL = 2
"""Pixels of a frame for each logit."""

COARSE, FINE, FINEST = 256, 512, 1024
"""Longer sides of the frames; the last one only for images that are larger than its half and a half again."""

COMFORTABLE = 60.0
"""Pixels of a frame at which the model sees an object best: square root of its area."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An image of ``shape`` scaled to ``rows`` x ``columns`` pixels, then padded below and right."""

    shape: tuple[int, int]
    rows: int
    columns: int

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns that are added, so that both are multiples of what the encoder halves."""
        return -self.rows % MULTIPLE, -self.columns % MULTIPLE

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        below, right = self.padding
        return (self.rows + below) // STRIDE, (self.columns + right) // STRIDE

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the frame for each pixel of the image, down and across."""
        return self.rows / self.shape[0], self.columns / self.shape[1]

    def sparse(self, prompt: Prompt) -> Tensor:
        """A prompt's points and box as (1, m, 3): x, y in pixels of the frame, kind."""
        down, across = self.scale
        rows: list[tuple[float, float, float]] = [
            ((x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5, float(positive))
            for (y, x), positive in zip(prompt.points, prompt.positive)
        ]
        if prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            rows += [(x0 * across, y0 * down, float(CORNER)), (x1 * across, y1 * down, float(OPPOSITE))]
        return torch.tensor([rows or [(0.0, 0.0, float(NOTHING))]], dtype=torch.float32)

    def guess(self, prompt: Prompt) -> Tensor | None:
        """A prompt's first guess as logits (1, 1, h / 2, w / 2) of the whole padded frame."""
        if prompt.mask_logits is None:
            return None
        inner = lowres_extent(self.shape, SIDE)
        given = torch.from_numpy(prompt.mask_logits[: inner[0], : inner[1]].astype(np.float32))[None, None]
        size = (-(-self.rows // CELL), -(-self.columns // CELL))
        seen = F.interpolate(given, size, mode="bilinear", align_corners=False)
        h, w = self.grid
        return F.pad(seen, (0, w * STRIDE // CELL - size[1], 0, h * STRIDE // CELL - size[0]), value=LOWEST_LOGIT)


def frames(shape: tuple[int, int]) -> tuple[Frame, ...]:
    """The frames for an image of this shape, the finest first."""
    longest = max(shape)
    sides = [FINE, COARSE]
    if longest > 1.5 * FINE:
        sides.insert(0, min(longest, FINEST))
    return tuple(Frame(shape, *(max(1, round(n * side / longest)) for n in shape)) for side in sides)


def levels(embedding: Embedding) -> tuple[tuple[Frame, NDArray[np.float32]], ...]:
    """Each frame with its embedding."""
    return tuple(zip(frames(embedding.shape), (embedding.data, *embedding.coarser)))


def comfortable(shape: tuple[int, int], prompt: Prompt) -> int | None:
    """Index of the frame in which what the prompt speaks of has the best size; None if it does not say how large it is.

    A first guess says so, or else a box.
    """
    area = 0.0
    if prompt.mask_logits is not None:
        inner = lowres_extent(shape, SIDE)
        seen = prompt.mask_logits[: inner[0], : inner[1]] > 0
        area = float(seen.mean()) * shape[0] * shape[1]
    if not area and prompt.box is not None:
        y0, x0, y1, x1 = prompt.box
        area = 0.7 * (y1 - y0) * (x1 - x0)
    if not area:
        return None
    sizes = [math.sqrt(area * frame.scale[0] * frame.scale[1]) for frame in frames(shape)]
    return int(np.argmin([abs(math.log(size / COMFORTABLE)) for size in sizes]))
