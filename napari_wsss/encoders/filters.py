"""Multiscale intensity, gradient, Hessian and structure-tensor features; any channels, no weights.

The first four of each scale are those of scikit-image's `multiscale_basic_features`, in units that do not
depend on the scale: a derivative of order n is multiplied by sigma^n (Lindeberg, Feature detection with
automatic scale selection, 1998). The structure tensor (Bigun and Granlund 1987) is the gradient's outer
product averaged over twice the scale; the square roots of its eigenvalues measure the contrast across and
along the local direction.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.encoders._crew import Crew
from napari_wsss.encoders._nodata import any_in_cell, filled
from napari_wsss.encoders._scale_space import Scale, reach, scale_features, scales, sigmas, step_of
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Float, Image

_BASIC = ("intensity", "gradient", "hessian_large", "hessian_small")
_STRUCTURE = ("structure_large", "structure_small")


class Filters:
    """Hand-made features at several scales; the encoder that always works.

    Parameters
    ----------
    sigma_min, sigma_max : float
        Smallest and largest scale in pixels; those between are powers of two times the smallest.
    structure : bool
        Also give the structure tensor's two features of each scale.
    colour : "none" or "opponent"
        ``opponent`` replaces the three RGB channels by brightness, red against green and yellow
        against blue; an image without three different RGB channels is left as it is.
    stride : int
        Grid step of the features in pixels: 1, 2, 4, 8 or 16. A coarser grid holds means.
    tile : int
        An image larger than this is computed in tiles of this side, a multiple of 64; the result is
        the same and the working memory bounded.
    """

    faster_than_disk: ClassVar[bool] = True
    """Reading these features back takes longer than computing them: they have 30 planes a channel."""

    @dataclass(frozen=True)
    class Params:
        sigma_min: float = 1.0
        sigma_max: float = 16.0
        structure: bool = True
        colour: Literal["none", "opponent"] = "none"
        stride: int = 1
        tile: int = 2048

        def __post_init__(self) -> None:
            if not 0.5 <= self.sigma_min <= self.sigma_max <= 64:
                raise ValueError("sigma_min and sigma_max must satisfy 0.5 <= sigma_min <= sigma_max <= 64")
            if self.stride not in (1, 2, 4, 8, 16):
                raise ValueError("stride must be 1, 2, 4, 8 or 16")
            if self.tile < 64 or self.tile % 64:
                raise ValueError("tile must be a multiple of 64")

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context
        self._device = torch.device(context.device)
        self._sigmas = sigmas(params.sigma_min, params.sigma_max)
        self._kinds = _BASIC + _STRUCTURE * params.structure
        # a CPU is fastest on maps that fit its cache, a GPU on many at once
        self._together = 1 if self._device.type == "cpu" else 4

    @property
    def model(self) -> str:
        """'': there are no weights."""
        return ""

    def feature_names(self, channels: int) -> tuple[str, ...]:
        """Names of the features of an image with this many channels, in order, e.g. ``c0.s4.gradient``."""
        return tuple(f"c{c}.s{s:g}.{kind}" for c in range(channels) for s in self._sigmas for kind in self._kinds)

    def encode(self, image: Image) -> Features:
        """Features float32 (channels * scales * kinds, ceil(h / stride), ceil(w / stride)).

        Finite everywhere; 0 where no pixel of a cell is valid. What lies in nodata has no influence: the
        nearest valid pixel stands in for it.
        """
        valid = image.valid & np.isfinite(image.channels).all(0)
        channels = torch.from_numpy(filled(self._channels(image), valid))
        stride, each = self.params.stride, len(self._sigmas) * len(self._kinds)
        height, width = (-(-n // stride) for n in image.shape)
        data: Float = np.empty((len(channels) * each, height, width), np.float32)
        out = torch.from_numpy(data).view(len(channels), each, height, width)
        tiles = list(itertools.product(*(range(0, n, self.params.tile) for n in image.shape)))
        with Crew(self._device, image.channels.size) as crew:
            for done, (y, x) in enumerate(tiles):
                self.context.progress(done, len(tiles), f"filters {image.name}")
                for c in range(0, len(channels), self._together):
                    several = slice(c, c + self._together)
                    self._encode_tile(channels[several], y, x, out[several], crew)
                    crew.rest(still_running=len(self._sigmas))
            crew.rest()
        self.context.progress(len(tiles), len(tiles), f"filters {image.name}")
        if not valid.all():
            data[:, ~any_in_cell(valid, stride)] = 0
        return Features(data, float(stride))

    def _channels(self, image: Image) -> Float:
        rgb = list(image.rgb_channels)
        if self.params.colour == "none" or len(set(rgb)) < 3:
            return image.channels
        changed = image.channels.copy()
        red, green, blue = image.channels[rgb]
        changed[rgb] = (red + green + blue) / 3, (red - green) / 2, (red + green - 2 * blue) / 4
        return changed

    def _encode_tile(self, channels: Tensor, y: int, x: int, out: Tensor, crew: Crew) -> None:
        """Features of some channels in the tile that begins at (y, x), written to their place in ``out``."""
        tile, stride = self.params.tile, self.params.stride
        coarsest = max(2 * step_of(self._sigmas[-1]), stride)
        halo = -(-reach(self._sigmas) // coarsest) * coarsest
        y0, x0 = max(0, y - halo), max(0, x - halo)
        part = channels[:, y0 : y + tile + halo, x0 : x + tile + halo].to(self._device, torch.float32)
        place = out[:, :, y // stride : (y + tile) // stride, x // stride : (x + tile) // stride]
        each = len(self._kinds)
        with torch.inference_mode():
            for i, scale in enumerate(scales(_to_multiple(part, coarsest), self._sigmas)):
                here = place[:, i * each : (i + 1) * each]
                crew.do(partial(self._write_scale, scale, (y - y0, x - x0), here))

    def _write_scale(self, scale: Scale, origin: tuple[int, int], place: Tensor) -> None:
        """Features of one scale; ``origin`` is the place's first pixel in the part that was smoothed."""
        at = 0
        with torch.inference_mode():
            for group in scale_features(scale, self.params.structure):
                here = place[:, at : at + len(group.maps)]
                start = (origin[0] // group.step, origin[1] // group.step)
                _resample(group.maps, group.step, self.params.stride, start, here)
                at += len(group.maps)
                for i in group.squares:
                    here[:, i].sqrt_()


def _to_multiple(data: Tensor, step: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples of ``step``."""
    bottom, right = -data.shape[-2] % step, -data.shape[-1] % step
    return F.pad(data, (0, right, 0, bottom), mode="replicate") if bottom or right else data


def _resample(maps: Sequence[Tensor], step: int, stride: int, origin: tuple[int, int], place: Tensor) -> None:
    """Write maps (c, h + 2, w + 2) on a grid of ``step`` pixels into place (c, maps, H, W) on one of ``stride``.

    ``origin`` is the place's first cell in the maps, not counting their margin of 1.
    """
    height, width = place.shape[-2:]
    for i, one in enumerate(maps):
        if step <= stride:
            factor = stride // step
            y, x = origin[0] + 1, origin[1] + 1
            cells = one[:, y : y + height * factor, x : x + width * factor]
            place[:, i].copy_(cells if factor == 1 else F.avg_pool2d(cells, factor))
        else:
            factor = step // stride
            rows, columns = -(-height // factor) + 2, -(-width // factor) + 2
            cells = one[:, origin[0] : origin[0] + rows, origin[1] : origin[1] + columns]
            wide = torch.empty(*cells.shape[:2], width, device=cells.device)
            _interpolate(cells, factor, wide, axis=2)  # the slow direction first, on the fewer rows
            _interpolate(wide, factor, place[:, i], axis=1)


def _interpolate(data: Tensor, factor: int, place: Tensor, axis: int) -> None:
    """Linear interpolation along one axis: n + 2 entries into up to n * factor.

    Phase by phase, each a weighted mean of two shifted views; several times faster than
    `torch.nn.functional.interpolate` on one thread.
    """
    for phase in range(min(factor, place.shape[axis])):
        target = place[(slice(None),) * axis + (slice(phase, None, factor),)]
        offset = (phase + 0.5) / factor - 0.5
        first, count = int(offset >= 0), target.shape[axis]
        before, after = data.narrow(axis, first, count), data.narrow(axis, first + 1, count)
        target.copy_(torch.lerp(before, after, offset % 1.0))


METHOD = Filters
