"""Pixel-adaptive refinement: maps flow along the image's own edges (methods.md A.17)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

DILATIONS = (1, 2, 4, 8, 12, 24)
ITERATIONS = 10
MIN_CONTRAST = 0.01  # of the range 0..1: about 2.5 grey levels of 255, the noise of an 8-bit picture
_SHARPNESS = 0.3
_POSITION_WEIGHT = 0.01
_TILE = 1024  # pixels a side that are refined in one go, besides the halo

_RING = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


class PixelAffinity:
    """How much each pixel listens to its 8 neighbours at each dilation.

    Parameters
    ----------
    channels : float (c, h, w) in [0, 1]
        The picture, any number of channels.
    valid : bool (h, w) or None
        False = nodata: neither speaks nor listens.
    dilations : sequence of int
        Distances of the neighbours, pixels.
    min_contrast : float
        Where the standard deviation over the neighbours stays below this in every channel, there is no edge
        to follow and the pixel listens to nobody.
    """

    def __init__(
        self,
        channels: Tensor,
        valid: Tensor | None = None,
        dilations: Sequence[int] = DILATIONS,
        min_contrast: float = MIN_CONTRAST,
    ) -> None:
        self._offsets = [(dy * d, dx * d) for d in dilations for dy, dx in _RING]
        self._reach = max(dilations)
        self._shape = channels.shape[1:]
        known = torch.ones_like(channels[0]) if valid is None else valid.to(channels.dtype)
        speaks = torch.stack([n[0] for n in self._neighbours(known[None])])
        spread = self._deviation(channels, speaks)
        self.listens = (spread.amax(0) >= min_contrast) & (known > 0) & (speaks.amax(0) > 0)
        self.weights = self._weights(channels, spread.clamp_min(min_contrast), speaks)

    def _neighbours(self, maps: Tensor) -> Iterator[Tensor]:
        h, w = self._shape
        r = self._reach
        padded = F.pad(maps[None], (r, r, r, r), mode="replicate")[0]
        for dy, dx in self._offsets:
            yield padded[:, r + dy : r + dy + h, r + dx : r + dx + w]

    def _deviation(self, channels: Tensor, speaks: Tensor) -> Tensor:
        """Standard deviation of each channel over the neighbours, (c, h, w)."""
        total, square = torch.zeros_like(channels), torch.zeros_like(channels)
        for neighbour, heard in zip(self._neighbours(channels), speaks):
            difference = (neighbour - channels) * heard  # from the centre: no cancellation of big sums
            total += difference
            square.addcmul_(difference, difference)
        n = speaks.sum(0)
        variance = (square - total * total / n.clamp_min(1)) / (n - 1).clamp_min(1)
        return variance.clamp_min(0).sqrt()

    def _weights(self, channels: Tensor, spread: Tensor, speaks: Tensor) -> Tensor:
        """Weights of the neighbours, (n, h, w); they sum to 1 wherever a neighbour is known."""
        scale = 1.0 / (spread * _SHARPNESS)
        alike = torch.empty_like(speaks)
        for j, neighbour in enumerate(self._neighbours(channels)):
            alike[j] = -((neighbour - channels) * scale).square_().mean(0)
        mute = speaks == 0
        weights = alike.masked_fill_(mute, -torch.inf).softmax(0).nan_to_num_(0)
        near = self._nearness(channels).view(-1, 1, 1).expand_as(speaks).masked_fill(mute, -torch.inf)
        weights += _POSITION_WEIGHT * near.softmax(0).nan_to_num_(0)
        return weights / weights.sum(0).clamp_min(1e-12)

    def _nearness(self, like: Tensor) -> Tensor:
        distance = torch.tensor([sqrt(dy * dy + dx * dx) for dy, dx in self._offsets]).to(like)
        return -((distance / (distance.std() * _SHARPNESS)) ** 2)

    def spread(self, maps: Tensor, iterations: int = ITERATIONS, fixed: Tensor | None = None) -> Tensor:
        """Let (k, h, w) maps flow; pixels of the bool (h, w) ``fixed`` keep their values and speak on.

        Constant maps stay constant, so a threshold means the same before and after.
        """
        listens = self.listens if fixed is None else self.listens & ~fixed
        for _ in range(iterations):
            heard = torch.zeros_like(maps)
            for weight, neighbour in zip(self.weights, self._neighbours(maps)):
                heard.addcmul_(weight, neighbour)
            maps = torch.where(listens, heard, maps)
        return maps


def refine_maps(
    maps: Tensor,
    channels: Tensor,
    valid: Tensor | None = None,
    *,
    fixed: Tensor | None = None,
    iterations: int = ITERATIONS,
    dilations: Sequence[int] = DILATIONS,
    min_contrast: float = MIN_CONTRAST,
) -> Tensor:
    """Pixel-adaptive refinement of maps (k, h, w) along the edges of ``channels`` (c, h, w).

    Big images go by overlapping tiles whose halo is as wide as anything can travel, so that tiling changes
    nothing. Source: the refiner shared by ToCo, ExCEL and WeCLIP, from its equations (methods.md A.17).

    Returns
    -------
    Tensor (k, h, w), on the device of ``maps``
    """
    h, w = maps.shape[1:]
    halo = max(dilations) * iterations
    out = torch.empty_like(maps)
    for y0 in range(0, h, _TILE):
        for x0 in range(0, w, _TILE):
            y1, x1 = min(y0 + _TILE, h), min(x0 + _TILE, w)
            top, left = max(y0 - halo, 0), max(x0 - halo, 0)
            rows, columns = slice(top, min(y1 + halo, h)), slice(left, min(x1 + halo, w))
            affinity = PixelAffinity(
                channels[:, rows, columns],
                None if valid is None else valid[rows, columns],
                dilations,
                min_contrast,
            )
            kept = None if fixed is None else fixed[rows, columns]
            part = affinity.spread(maps[:, rows, columns], iterations, kept)
            out[:, y0:y1, x0:x1] = part[:, y0 - top : y1 - top, x0 - left : x1 - left]
    return out
