"""Gaussian scale space on an octave pyramid: the arithmetic of the filter encoder.

A Gaussian of width sigma leaves nothing above a frequency of about 1/sigma, so that a scale of 8 or 16
pixels needs no full grid: it is smoothed from the scale below it, on a grid 2 or 4 times coarser. Smoothing
adds variances (Lindeberg, Scale-Space Theory, 1994), which gives the kernel between two scales; the mean of
2 x 2 pixels, by which a grid is coarsened, adds 1/4.

The image goes on outside itself as its border pixels, as in scikit-image's `multiscale_basic_features`.
At a level where a scale is s grid steps wide this extension is constant from 4 s steps outside, so a margin
of that width can be kept and repeated outwards without error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 16
"""Grid steps kept around the image at every level: 4 times the largest scale, 4 steps."""

_SMOOTH = 4.0  # square grid steps
_TRUNCATE = 3.5  # kernel radius in standard deviations: 0.05 % of the mass is left out
_COARSE = 4.0  # grid steps in a scale once its grid is coarser than the image's; with 2, features correlate at 0.98


@dataclass(frozen=True, slots=True)
class Scale:
    """The image smoothed to one scale: ``data`` (c, h + 2 MARGIN, w + 2 MARGIN) on a grid of ``step`` pixels."""

    sigma: float
    step: int
    data: Tensor


def sigmas(smallest: float, largest: float) -> tuple[float, ...]:
    """``smallest`` times the powers of two, up to ``largest``."""
    count = int(math.log2(largest) - math.log2(smallest) + 1 + 1e-9)
    return tuple(smallest * 2.0**i for i in range(count))


def step_of(sigma: float) -> int:
    """Grid step in pixels on which this scale is computed."""
    return 1 << max(0, math.floor(math.log2(sigma / _COARSE) + 1e-9))


def averaging_step(sigma: float) -> int:
    """Grid step in pixels on which the structure tensor of this scale is averaged.

    It is averaged over twice the scale; a grid as coarse as half of that holds it.
    """
    step = step_of(sigma)
    return 2 * step if sigma / step < _COARSE else 4 * step


def scales(image: Tensor, widths: Sequence[float]) -> Iterator[Scale]:
    """The image smoothed to each width, smallest first.

    Parameters
    ----------
    image : float (c, h, w)
        h and w multiples of the coarsest grid step.
    widths : sequence of float
        Standard deviations in pixels, ascending.
    """
    data, margin, step, variance = image, 0, 1, 0.0
    for sigma in widths:
        while step < step_of(sigma):
            if variance < _COARSE**2:  # what a coarser grid cannot hold goes first
                data, margin = _smoothed(data, margin, _COARSE**2 - variance, variance), MARGIN
                variance = _COARSE**2
            data, margin = halved(data), margin // 2
            step, variance = step * 2, (variance + 0.25) / 4
        data, margin = _smoothed(data, margin, (sigma / step) ** 2 - variance, variance), MARGIN
        variance = (sigma / step) ** 2
        yield Scale(sigma, step, data)


def blur(data: Tensor, sigma: float, skip: int = 1) -> Tensor:
    """Gaussian smoothing of (..., h, w) by ``sigma`` grid steps; smaller by its radius on every side.

    ``skip``: only every so many-th weight is used.
    """
    kernel = _kernel(sigma, skip)
    return along(along(data, kernel, -2, skip), kernel, -1, skip)


def halved(data: Tensor) -> Tensor:
    """Means of 2 x 2 grid steps; sizes must be even."""
    rows = torch.add(data[..., 0::2, :], data[..., 1::2, :])
    return torch.add(rows[..., 0::2], rows[..., 1::2]).mul_(0.25)


def radius_of(sigma: float, skip: int = 1) -> int:
    """Radius in grid steps of `blur`'s kernel."""
    return skip * max(1, math.ceil(_TRUNCATE * sigma / skip))


def reach(widths: Sequence[float]) -> int:
    """Pixels beyond which nothing changes a feature: the halo that a tile needs."""
    far, step, variance = 0, 1, 0.0
    for sigma in widths:
        while step < step_of(sigma):
            if variance < _COARSE**2:
                far += step * _radius(_COARSE**2 - variance, variance)
                variance = _COARSE**2
            far, step, variance = far + step, step * 2, (variance + 0.25) / 4
        far += step * _radius((sigma / step) ** 2 - variance, variance)
        variance = (sigma / step) ** 2
    # structure tensor: gradient, a coarser grid, its own smoothing, interpolation
    coarse = averaging_step(widths[-1])
    return far + step + coarse * (radius_of(2 * widths[-1] / coarse) + 2)


def _smoothed(data: Tensor, margin: int, variance: float, before: float) -> Tensor:
    """Smooth by a variance in square grid steps; the result has MARGIN steps around the image.

    ``before`` is the variance that the data has already.
    """
    more = MARGIN + _radius(variance, before) - margin
    sigma, skip = math.sqrt(variance), _skip(variance, before)
    return blur(F.pad(data, (more, more, more, more), mode="replicate"), sigma, skip)


def _radius(variance: float, before: float) -> int:
    return radius_of(math.sqrt(variance), _skip(variance, before))


def _skip(variance: float, before: float) -> int:
    """2 where every second weight is enough to add this variance to data that has one before (a trous).

    Every second weight lets also pass what is near the highest frequency. Of that such data has nothing left: the
    sum differs by less than 1e-4 of the data at any frequency.
    """
    return 2 if min(variance, before) >= _SMOOTH else 1


def _kernel(sigma: float, skip: int) -> list[float]:
    """Weights at distance 0, skip, 2 skip, ... of a sampled Gaussian whose whole sums to 1."""
    half = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(0, radius_of(sigma, skip) + 1, skip)]
    total = half[0] + 2 * sum(half[1:])
    return [v / total for v in half]


def along(data: Tensor, kernel: list[float], axis: int, skip: int = 1) -> Tensor:
    """Symmetric convolution along one axis, -2 or -1, valid part only; weights lie ``skip`` steps apart.

    A sum of shifted views: each pass streams through memory once and beats a depthwise convolution call.
    """
    last = len(kernel) - 1
    windows = data.unfold(axis, data.shape[axis] - 2 * last * skip, skip)
    shifted = windows.unbind(-2) if axis == -1 else windows.mT.unbind(-3)
    result = torch.mul(shifted[last], kernel[0])
    for i in range(1, last + 1):
        result.add_(shifted[last - i], alpha=kernel[i]).add_(shifted[last + i], alpha=kernel[i])
    return result
