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
from napari_wsss.encoders._derivatives import POINT, Window, point_features, slope_of, structure_features
from napari_wsss.encoders._nodata import any_in_cell, filled
from napari_wsss.encoders._scale_space import Scale, averaging_step, reach, scales, sigmas
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Float, Image

_BASIC = ("intensity", "gradient", "hessian_large", "hessian_small")
_STRUCTURE = ("structure_large", "structure_small")
_VALUES_ON_GPU = 16 << 20  # of one map of the channels that are computed at once: some gigabytes in all


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
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[Image]) -> list[Features]:
        """Features of images of one shape, as `encode` of each; on a GPU all their channels side by side."""
        valids = [image.valid & np.isfinite(image.channels).all(0) for image in images]
        planes = [filled(self._channels(image), valid) for image, valid in zip(images, valids, strict=True)]
        data = self._encode_planes(torch.from_numpy(planes[0] if len(planes) == 1 else np.concatenate(planes)), images)
        for one, valid in zip(data, valids, strict=True):
            if not valid.all():
                one[:, ~any_in_cell(valid, self.params.stride)] = 0
        return [Features(one, float(self.params.stride)) for one in data]

    def _encode_planes(self, planes: Tensor, images: Sequence[Image]) -> Float:
        """Features (images, channels * each, h, w) of all channels (images * channels, h, w)."""
        tile, stride, each = self.params.tile, self.params.stride, len(self._sigmas) * len(self._kinds)
        shape = images[0].shape
        height, width = (-(-n // stride) for n in shape)
        data: Float = np.empty((len(planes), each, height, width), np.float32)
        out, together = torch.from_numpy(data), self._together(shape)
        tiles = list(itertools.product(*(range(0, n, tile) for n in shape)))
        with Crew(self._device, planes.numel()) as crew:
            for done, (y, x) in enumerate(tiles):
                self.context.progress(done, len(tiles), f"filters {images[0].name}")
                for c in range(0, len(planes), together):
                    self._encode_tile(planes[c : c + together], y, x, out[c : c + together], crew)
                    crew.rest(still_running=len(self._sigmas))
            crew.rest()
        self.context.progress(len(tiles), len(tiles), f"filters {images[0].name}")
        return data.reshape(len(images), -1, height, width)

    def _together(self, shape: tuple[int, int]) -> int:
        """Channels computed at once: a CPU is fastest on maps that fit its cache, a GPU on many."""
        if self._device.type == "cpu":
            return 1
        return max(1, _VALUES_ON_GPU // (min(shape[0], self.params.tile) * min(shape[1], self.params.tile)))

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
        coarsest = max(averaging_step(self._sigmas[-1]), stride)
        halo = -(-reach(self._sigmas) // coarsest) * coarsest
        y0, x0 = max(0, y - halo), max(0, x - halo)
        part = channels[:, y0 : y + tile + halo, x0 : x + tile + halo].to(self._device, torch.float32)
        there = out[:, :, y // stride : (y + tile) // stride, x // stride : (x + tile) // stride]
        place = there if self._device.type == "cpu" else torch.empty(there.shape, device=self._device)
        each = len(self._kinds)
        with torch.inference_mode():
            for i, scale in enumerate(scales(_to_multiple(part, coarsest), self._sigmas)):
                here = place[:, i * each : (i + 1) * each]
                crew.do(partial(self._write_scale, scale, (y - y0, x - x0), here))
        if place is not there:
            there.copy_(place)

    def _write_scale(self, scale: Scale, origin: tuple[int, int], place: Tensor) -> None:
        """Features of one scale; ``origin`` is the place's first pixel in the part that was smoothed."""
        stride = self.params.stride
        with torch.inference_mode():
            slope = slope_of(scale, self.params.structure)
            points, window = place[:, :POINT], _window(origin, place, scale.step, stride)
            if scale.step == stride:
                point_features(scale, slope, window, points)
            else:
                maps = place.new_empty(len(place), POINT, window.height, window.width)
                point_features(scale, slope, window, maps)
                _resample(maps, scale.step, stride, points)
            points[:, 1].sqrt_()  # interpolated as a square
            if self.params.structure:
                rest, step = place[:, POINT:], averaging_step(scale.sigma)
                maps = _window(origin, place, step, stride).of(structure_features(scale, slope), margin=1)
                _resample(maps, step, stride, rest)
                rest.sqrt_()


def _to_multiple(data: Tensor, step: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples of ``step``."""
    bottom, right = -data.shape[-2] % step, -data.shape[-1] % step
    return F.pad(data, (0, right, 0, bottom), mode="replicate") if bottom or right else data


def _window(origin: tuple[int, int], place: Tensor, step: int, stride: int) -> Window:
    """Cells of ``step`` pixels that give the place its cells of ``stride`` pixels; one more around to interpolate."""
    top, left = (start // step for start in origin)
    height, width = place.shape[-2:]
    if step <= stride:
        factor = stride // step
        return Window(top, left, height * factor, width * factor)
    factor = step // stride
    return Window(top - 1, left - 1, -(-height // factor) + 2, -(-width // factor) + 2)


def _resample(maps: Tensor, step: int, stride: int, place: Tensor) -> None:
    """Write the window's maps (c, m, h, w) on a grid of ``step`` pixels to place (c, m, H, W) on one of ``stride``."""
    if step <= stride:
        place.copy_(maps if step == stride else F.avg_pool2d(maps, stride // step))
        return
    wide = maps.new_empty(*maps.shape[:3], place.shape[3])
    _interpolate(maps, step // stride, wide, axis=3)  # the slow direction first, on the fewer rows
    _interpolate(wide, step // stride, place, axis=2)


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
        torch.lerp(before, after, offset % 1.0, out=target)


METHOD = Filters
