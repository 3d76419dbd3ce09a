"""Windows of an embedding's tokens around prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.types import Bool

_EVEN = 4  # tokens: the decoder halves the grid twice


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens from row ``y`` and column ``x`` on."""

    y: int
    x: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def right(self) -> int:
        return self.x + self.width

    def of(self, tokens: Tensor, sparse: Tensor, former: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """The embedding (1, c, h, w), prompts (b, m, 3) and a first guess at stride 2, as the window sees them."""
        corner = torch.tensor([self.x * STRIDE, self.y * STRIDE, 0], device=sparse.device)
        guess = None if former is None else former[:, :, self.y * 4 : self.bottom * 4, self.x * 4 : self.right * 4]
        return tokens[:, :, self.y : self.bottom, self.x : self.right], sparse - corner, guess

    def is_whole(self, grid: tuple[int, int]) -> bool:
        """Whether there are no tokens outside it."""
        return (self.height, self.width) == grid

    def cut(self, mask: Bool, grid: tuple[int, int]) -> bool:
        """Whether a mask of the window reaches a side of it that is no side of the grid."""
        inner = (self.y > 0, self.x > 0, self.bottom < grid[0], self.right < grid[1])
        sides = (mask[0], mask[:, 0], mask[-1], mask[:, -1])
        return any(i and bool(side.any()) for i, side in zip(inner, sides))


def window_around(places: NDArray[np.float64], grid: tuple[int, int], least: int) -> Window:
    """A window of at least ``least`` tokens a side that holds all places with a quarter of it to spare.

    Parameters
    ----------
    places : float (n, 2)
        Rows and columns in tokens.
    grid : tuple of 2 int
        Tokens that there are, multiples of 4.
    least : int
        A multiple of 4.
    """
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(2), np.array(grid, float))
    corner, size = [], []
    for axis in (0, 1):
        wanted = max(least, math.ceil((high[axis] - low[axis] + least / 2) / _EVEN) * _EVEN)
        length = min(wanted, grid[axis])
        start = round((low[axis] + high[axis]) / 2 - length / 2)
        corner.append(min(max(0, start), grid[axis] - length))
        size.append(length)
    return Window(corner[0], corner[1], size[0], size[1])
