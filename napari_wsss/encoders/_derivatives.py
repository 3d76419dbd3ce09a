"""What the filter encoder measures at one scale: gradient, Hessian and structure tensor, on the scale's own grid.

Constant factors are gathered into one multiplication, and results are written where they belong: on a map of
256 x 256 the count of operations costs as much as their arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.encoders._scale_space import MARGIN, Scale, along, averaging_step, blur, halved, radius_of

POINT, STRUCTURE = 4, 2
"""How many features `point_features` and `structure_features` give."""

_SLOPE_MARGIN = MARGIN - 4  # divisible by 4, so that it can be halved twice with the grid


@dataclass(frozen=True, slots=True)
class Window:
    """Cells of a grid: the first row and column, counted from the image's own first cell, and how many."""

    top: int
    left: int
    height: int
    width: int

    def of(self, data: Tensor, margin: int, down: int = 0, right: int = 0) -> Tensor:
        """The window, shifted by so many cells, of data (..., h, w) with ``margin`` cells around the image."""
        rows = data.narrow(-2, margin + self.top + down, self.height)
        return rows.narrow(-1, margin + self.left + right, self.width)


@dataclass(frozen=True, slots=True)
class Slope:
    """Derivatives along y and x, times sigma, with ``margin`` cells around the image."""

    dy: Tensor
    dx: Tensor
    margin: int


def slope_of(scale: Scale, structure: bool) -> Slope:
    """Slope of a scale; ``structure``: with the margin that `structure_features` needs.

    On the image's own grid by the Sobel filter, as scikit-image does; on a coarser grid, where that would
    smooth visibly, by plain central differences.
    """
    margin = _SLOPE_MARGIN if structure else 1
    cut, factor = MARGIN - margin - 1, 0.5 * scale.sigma / scale.step
    data = scale.data[:, cut:-cut, cut:-cut]
    if scale.step == 1:
        sobel = [0.5 * factor, 0.25 * factor]
        vertical, horizontal = along(data, sobel, -1), along(data, sobel, -2)
    else:
        data = data * factor
        vertical, horizontal = data[..., 1:-1], data[:, 1:-1]
    return Slope(vertical[:, 2:] - vertical[:, :-2], horizontal[..., 2:] - horizontal[..., :-2], margin)


def point_features(scale: Scale, slope: Slope, window: Window, out: Tensor) -> None:
    """Intensity, gradient magnitude squared, and the Hessian's larger and smaller eigenvalue.

    Written to ``out`` (c, 4, h, w). A length has a kink where it is 0, its square has none and can be
    interpolated.
    """
    dy, dx = (window.of(one, slope.margin) for one in (slope.dy, slope.dx))
    out[:, 0].copy_(window.of(scale.data, MARGIN))
    torch.mul(dy, dy, out=out[:, 1]).addcmul_(dx, dx)
    _hessian(scale, window, out[:, 2:])


def _hessian(scale: Scale, window: Window, out: Tensor) -> None:
    """Eigenvalues of the second derivatives, times sigma^2, larger first, to ``out`` (c, 2, h, w).

    On the image's own grid by two central differences in a row, as scikit-image does; on a coarser grid by
    the narrow second difference.
    """
    wide = 2 if scale.step == 1 else 1

    def at(down: int, right: int) -> Tensor:
        return window.of(scale.data, MARGIN, down, right)

    yy, xx = at(wide, 0) + at(-wide, 0), at(0, wide) + at(0, -wide)  # both lack -2 at(0, 0)
    xy = (at(1, 1) + at(-1, -1)).sub_(at(1, -1)).sub_(at(-1, 1))
    difference = yy - xx
    trace = yy.add_(xx).sub_(at(0, 0), alpha=4)
    _eigenvalues(trace, difference, xy, wide**4 / 4, out)
    out.mul_((scale.sigma / scale.step / wide) ** 2 / 2)


def structure_features(scale: Scale, slope: Slope) -> Tensor:
    """Eigenvalues of the structure tensor, larger first: squares of the features.

    Returns
    -------
    float (c, 2, h + 2, w + 2)
        On a grid of `averaging_step` pixels, with one cell around the image.
    """
    dy, dx = slope.dy, slope.dx
    products = dy.new_empty(3, *dy.shape)
    for part, (a, b) in zip(products, ((dy, dy), (dy, dx), (dx, dx)), strict=True):
        torch.mul(a, b, out=part)
    step, margin = scale.step, slope.margin
    while step < averaging_step(scale.sigma):
        products, margin, step = halved(products), margin // 2, step * 2
    width = 2 * scale.sigma / step
    more = radius_of(width) + 1 - margin
    yy, xy, xx = blur(F.pad(products, (more, more, more, more), mode="replicate"), width)
    out: Tensor = yy.new_empty(yy.shape[0], STRUCTURE, *yy.shape[1:])
    difference = yy - xx
    _eigenvalues(yy.add_(xx), difference, xy, 4.0, out)
    out.mul_(0.5).clamp_(min=0)
    return out


def _eigenvalues(trace: Tensor, difference: Tensor, xy: Tensor, weight: float, out: Tensor) -> None:
    """Twice the larger and twice the smaller eigenvalue of symmetric 2 x 2 matrices, to ``out`` (c, 2, h, w).

    From yy + xx, yy - xx (overwritten) and xy, whose square counts ``weight`` times (4 where it is as large as
    the others).
    """
    spread = difference.mul_(difference).addcmul_(xy, xy, value=weight).sqrt_()
    torch.add(trace, spread, out=out[:, 0])
    torch.sub(trace, spread, out=out[:, 1])
