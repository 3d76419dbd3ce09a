"""Dense features made comparable channel by channel, and read at any pixel of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.intp]
_FITTED_ON = 20_000  # tokens that channel statistics and the PCA are fitted on


@dataclass(frozen=True, eq=False)
class FeatureGrid:
    """Features (d, h', w') on a grid ``stride`` times coarser than an image, read bilinearly at its pixels."""

    data: Tensor
    stride: float

    def at(self, rows: Indices, columns: Indices) -> Tensor:
        """(n, d): features at n pixels of the image, contiguous."""
        if self.stride == 1:
            y, x = self._index(rows), self._index(columns)
            return self.data[:, y, x].T.contiguous()
        y0, y1, a = self._between(rows, 1)
        x0, x1, b = self._between(columns, 2)
        top = self.data[:, y0, x0] * (1 - b) + self.data[:, y0, x1] * b
        bottom = self.data[:, y1, x0] * (1 - b) + self.data[:, y1, x1] * b
        return (top * (1 - a) + bottom * a).T.contiguous()

    def window(self, rows: Indices, columns: Indices) -> Tensor:
        """(len(rows) * len(columns), d): features at every crossing of evenly spaced rows and columns."""
        if self.stride == 1:
            block = self.data[:, _evenly(rows), _evenly(columns)]
        else:
            y0, y1, a = self._between(rows, 1)
            x0, x1, b = self._between(columns, 2)
            lines = self.data[:, y0] * (1 - a)[:, None] + self.data[:, y1] * a[:, None]
            block = lines[:, :, x0] * (1 - b) + lines[:, :, x1] * b
        return block.reshape(len(self.data), -1).T.contiguous()

    def _index(self, pixels: Indices) -> Tensor:
        return torch.as_tensor(pixels, device=self.data.device)

    def _between(self, pixels: Indices, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """The two tokens that each pixel lies between, and the weight of the second."""
        last = self.data.shape[axis] - 1
        place = np.clip((pixels + 0.5) / self.stride - 0.5, 0, last)
        first = np.floor(place).astype(np.intp)
        weight = torch.as_tensor((place - first).astype(np.float32), device=self.data.device)
        return self._index(first), self._index(np.minimum(first + 1, last)), weight


def _evenly(pixels: Indices) -> slice:
    """Evenly spaced indices as a slice, which copies nothing."""
    step = int(pixels[1] - pixels[0]) if len(pixels) > 1 else 1
    if len(range(int(pixels[0]), int(pixels[-1]) + 1, step)) != len(pixels):
        raise ValueError("rows and columns of a window must be evenly spaced")
    return slice(int(pixels[0]), int(pixels[-1]) + 1, step)


def comparable(features: Tensor, known: Tensor, dims: int, seed: int) -> Tensor:
    """Z-scored features, first reduced to ``dims`` principal components where there are more channels.

    Parameters
    ----------
    features : float32 (d, h, w)
    known : bool (h, w)
        Tokens with data; the others enter no statistic and come out as zeros.
    """
    flat = features.flatten(1)
    tokens = torch.nonzero(known.flatten()).flatten()
    if len(tokens) > _FITTED_ON:
        chosen = np.random.default_rng(seed).choice(len(tokens), _FITTED_ON, replace=False)
        tokens = tokens[torch.as_tensor(np.sort(chosen), device=tokens.device)]
    sample = flat[:, tokens]
    mean, scale = _scale(sample)
    if len(features) > dims:
        z = (sample - mean) * scale
        axes = _principal_axes((z @ z.T / max(len(tokens), 1)).cpu(), dims).to(flat)
        flat = (axes * scale.T) @ flat  # the first z-score is folded into the projection
        mean, scale = _scale(flat[:, tokens])
        # One scale for all: whitening would give axes that hold only noise as much say as the others.
        scale = scale[scale > 0].min() if bool((scale > 0).any()) else scale
    out = torch.addcmul(-mean * scale, flat, scale).view(-1, *known.shape)
    return out if bool(known.all()) else torch.where(known, out, torch.zeros_like(out))


def _principal_axes(covariance: Tensor, dims: int) -> Tensor:
    """(dims, d): an orthonormal basis of the principal subspace in which no axis stands out.

    Mean absolute differences depend on the basis: along the principal axes themselves, a difference
    on one strong axis drowns in the sum over the weak ones. An orthogonal cosine transform spreads
    every principal axis over the whole basis.
    """
    vectors = torch.linalg.eigh(covariance)[1][:, -dims:].T
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    i = torch.arange(dims, dtype=vectors.dtype)
    cosine = torch.cos(torch.pi / dims * (i + 0.5) * i[:, None]) * (2 / dims) ** 0.5
    cosine[0] /= 2**0.5
    spread: Tensor = cosine.T @ (vectors * torch.sign(largest))
    return spread


def _scale(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation of each channel (0 for a constant one), as columns."""
    mean = sample.mean(1, keepdim=True)
    spread = sample.std(1, keepdim=True, correction=0)
    floor = 1e-6 * (mean.abs() + spread.max())
    return mean, torch.where(spread > floor, 1 / spread.clamp_min(1e-30), torch.zeros_like(spread))
