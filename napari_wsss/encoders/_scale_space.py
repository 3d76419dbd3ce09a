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
                data, margin = _smoothed(data, margin, _COARSE**2 - variance), MARGIN
                variance = _COARSE**2
            data, margin = halved(data), margin // 2
            step, variance = step * 2, (variance + 0.25) / 4
        data, margin = _smoothed(data, margin, (sigma / step) ** 2 - variance), MARGIN
        variance = (sigma / step) ** 2
        yield Scale(sigma, step, data)


def blur(data: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of (c, h, w) by ``sigma`` grid steps; smaller by its radius on every side."""
    kernel = _kernel(sigma)
    return _along(_along(data, kernel, -2), kernel, -1)


def halved(data: Tensor) -> Tensor:
    """Means of 2 x 2 grid steps; sizes must be even."""
    rows = torch.add(data[:, 0::2], data[:, 1::2])
    return torch.add(rows[..., 0::2], rows[..., 1::2]).mul_(0.25)


def radius_of(sigma: float) -> int:
    """Radius in grid steps of `blur`'s kernel."""
    return max(1, math.ceil(_TRUNCATE * sigma))


def eigenvalues(yy: Tensor, xy: Tensor, xx: Tensor) -> tuple[Tensor, Tensor]:
    """Larger and smaller eigenvalue of the symmetric 2 x 2 matrices [[yy, xy], [xy, xx]]; overwrites them."""
    mean = torch.add(yy, xx).mul_(0.5)
    half = yy.sub_(xx).mul_(0.5)
    spread = half.mul_(half).addcmul_(xy, xy).sqrt_()
    return mean + spread, mean.sub_(spread)


def reach(widths: Sequence[float]) -> int:
    """Pixels beyond which nothing changes a feature: the halo that a tile needs."""
    far, step, variance = 0, 1, 0.0
    for sigma in widths:
        while step < step_of(sigma):
            if variance < _COARSE**2:
                far += step * radius_of(math.sqrt(_COARSE**2 - variance))
                variance = _COARSE**2
            far, step, variance = far + step, step * 2, (variance + 0.25) / 4
        far += step * radius_of(math.sqrt((sigma / step) ** 2 - variance))
        variance = (sigma / step) ** 2
    # structure tensor: gradient, a grid twice as coarse, its own smoothing, interpolation
    coarse = step * 2
    return far + step + coarse * (radius_of(widths[-1] / step) + 2)


def _smoothed(data: Tensor, margin: int, variance: float) -> Tensor:
    """Smooth by a variance in square grid steps; the result has MARGIN steps around the image."""
    sigma = math.sqrt(variance)
    more = MARGIN + radius_of(sigma) - margin
    return blur(F.pad(data, (more, more, more, more), mode="replicate"), sigma)


def _kernel(sigma: float) -> list[float]:
    """Weights at distance 0, 1, ... of a sampled Gaussian whose whole sums to 1."""
    half = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius_of(sigma) + 1)]
    total = half[0] + 2 * sum(half[1:])
    return [v / total for v in half]


def _along(data: Tensor, kernel: list[float], axis: int) -> Tensor:
    """Symmetric convolution along one axis, valid part only.

    A sum of shifted views: each pass streams through memory once and beats a depthwise convolution call.
    """
    radius = len(kernel) - 1
    size = data.shape[axis] - 2 * radius
    result = data.narrow(axis, radius, size) * kernel[0]
    pair = torch.empty_like(result)
    for i in range(1, radius + 1):
        torch.add(data.narrow(axis, radius - i, size), data.narrow(axis, radius + i, size), out=pair)
        result.add_(pair, alpha=kernel[i])
    return result


@dataclass(frozen=True, slots=True)
class Maps:
    """Feature maps (c, h + 2, w + 2) on a grid of ``step`` pixels.

    Those numbered in ``squares`` are squares of the feature. A length has a kink where it is 0, its square
    has none and can be interpolated; the root is taken afterwards.
    """

    maps: list[Tensor]
    step: int
    squares: tuple[int, ...]


def scale_features(scale: Scale, structure: bool) -> Iterator[Maps]:
    """Features of one scale.

    First intensity, gradient magnitude (squared) and the larger and the smaller eigenvalue of the Hessian;
    then, on a grid twice as coarse, the structure tensor's eigenvalues (squares of its features).
    """
    slope = _gradient(scale)
    off = _SLOPE_MARGIN - 1
    dy, dx = (s[:, off:-off, off:-off] for s in slope)
    length = torch.mul(dy, dy).addcmul_(dx, dx)
    yield Maps([_around(scale.data, 0, 0), length, *_hessian(scale)], scale.step, (1,))
    if structure:
        yield Maps(_structure(*slope, scale.sigma / scale.step), 2 * scale.step, (0, 1))


_SLOPE_MARGIN = MARGIN - 2  # even, so that it can be halved with the grid; 2 steps less for the stencils


def _around(data: Tensor, dy: int, dx: int, margin: int = 1) -> Tensor:
    """View shifted by (dy, dx) grid steps that keeps ``margin`` steps around the image."""
    off = MARGIN - margin
    height, width = data.shape[-2] - 2 * off, data.shape[-1] - 2 * off
    return data.narrow(-2, off + dy, height).narrow(-1, off + dx, width)


def _gradient(scale: Scale) -> tuple[Tensor, Tensor]:
    """Derivatives along y and x, times sigma, with _SLOPE_MARGIN steps around the image.

    On the image's own grid by the Sobel filter, as scikit-image does; on a coarser grid, where that would
    smooth visibly, by plain central differences.
    """
    factor = 0.5 * scale.sigma / scale.step
    vertical, horizontal = scale.data, scale.data
    off = MARGIN - _SLOPE_MARGIN
    if scale.step == 1:
        sobel = [0.5, 0.25]
        vertical, horizontal = _along(scale.data, sobel, -1), _along(scale.data, sobel, -2)
        vertical, horizontal = vertical[..., off - 1 : 1 - off], horizontal[:, off - 1 : 1 - off]
    else:
        vertical, horizontal = vertical[..., off:-off], horizontal[:, off:-off]
    dy = torch.sub(vertical[:, off + 1 : 1 - off or None], vertical[:, off - 1 : -off - 1]).mul_(factor)
    dx = torch.sub(horizontal[..., off + 1 : 1 - off or None], horizontal[..., off - 1 : -off - 1]).mul_(factor)
    return dy, dx


def _hessian(scale: Scale) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the second derivatives, times sigma^2, larger first.

    On the image's own grid by two central differences in a row, as scikit-image does; on a coarser grid by
    the narrow second difference.
    """
    wide = 2 if scale.step == 1 else 1
    factor = (scale.sigma / scale.step) ** 2
    middle = _around(scale.data, 0, 0)
    second = [
        torch.add(_around(scale.data, wide * dy, wide * dx), _around(scale.data, -wide * dy, -wide * dx))
        .sub_(middle, alpha=2)
        .mul_(factor / wide**2)
        for dy, dx in ((1, 0), (0, 1))
    ]
    mixed = torch.add(_around(scale.data, 1, 1), _around(scale.data, -1, -1))
    mixed.sub_(_around(scale.data, 1, -1)).sub_(_around(scale.data, -1, 1)).mul_(factor / 4)
    return eigenvalues(second[0], mixed, second[1])


def _structure(dy: Tensor, dx: Tensor, sigma: float) -> list[Tensor]:
    """Eigenvalues of the structure tensor, larger first, on a grid twice as coarse.

    ``sigma`` is the gradient's scale on its own grid, so the averaging width on the coarser one is twice that.
    """
    products = torch.cat([torch.mul(dy, dy), torch.mul(dy, dx), torch.mul(dx, dx)])
    more = radius_of(sigma) + 1 - _SLOPE_MARGIN // 2
    coarse = F.pad(halved(products), (more, more, more, more), mode="replicate")
    yy, xy, xx = blur(coarse, sigma).chunk(3)
    return [value.clamp_(min=0) for value in eigenvalues(yy, xy, xx)]
