"""Several levels of a pretrained torchvision or timm network, resized to one grid and joined.

Hypercolumns (Hariharan et al., CVPR 2015) of a frozen network. Where the tokens of a level lie in the image
depends on the network's padding and is accounted for, so that levels and image stay aligned.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.encoders._nodata import any_in_cell, filled
from napari_wsss.models.backbones import Backbone as Network
from napari_wsss.models.backbones import OutputStride, backbone_name, load_backbone
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Float, Image

_HALO = 128  # pixels around a tile; most of what a token sees lies within


class Backbone:
    """Dense features of a pretrained network; needs a weights file.

    Parameters
    ----------
    model : str
        A name of the model catalogue, or ``torchvision/NAME``, ``timm/NAME`` with ``weights``.
    weights : str
        A file or a name of the catalogue; empty = the entry that ``model`` names.
    levels : str
        Levels to join, separated by commas: indices (MobileNetV2, timm) or module names; empty = the
        network's usual four.
    output_stride : "trained", "8", "16" or "32"
        Strides that MobileNetV2 replaces by dilation; other networks only have ``trained``.
    normalise : "l2", "standardise" or "none"
        Of each level: token vectors of length 1, channels of mean 0 and deviation 1 over the image, or as
        they come.
    stride : int
        Grid step of the features in image pixels, 1 to 64.
    long_side : int
        The image is scaled so that its longer side has so many pixels before it goes in; 0 = as it is.
    tile : int
        An image whose scaled sides are longer is computed in tiles of this side, a multiple of 64, with 128
        pixels around each; features near tile borders then differ slightly from those of a whole image.
    """

    @dataclass(frozen=True)
    class Params:
        model: str = "mobilenet_v2_imagenet"
        weights: str = ""
        levels: str = ""
        output_stride: Literal["trained", "8", "16", "32"] = "16"
        normalise: Literal["l2", "standardise", "none"] = "none"
        stride: int = 8
        long_side: int = 0
        tile: int = 1024

        def __post_init__(self) -> None:
            if not 1 <= self.stride <= 64:
                raise ValueError("stride must lie between 1 and 64")
            if self.long_side and not 32 <= self.long_side <= 8192:
                raise ValueError("long_side must be 0 or lie between 32 and 8192")
            if self.tile < 128 or self.tile % 64:
                raise ValueError("tile must be a multiple of 64 and at least 128")

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    @cached_property
    def _network(self) -> Network:
        return load_backbone(self.params.model, self.context.device, self.params.weights)

    @property
    def model(self) -> str:
        """Name and hash of the weights; does not load them."""
        return backbone_name(self.params.model, self.params.weights)

    def encode(self, image: Image) -> Features:
        """Features float32 (sum of the levels' widths, ceil(h / stride), ceil(w / stride)).

        0 where no pixel of a cell is valid; the nearest valid pixel stands in for nodata.

        Raises
        ------
        MissingModel
            If the weights are not on this machine.
        """
        return self.encode_batch([image])[0]

    def encode_batch(self, images: Sequence[Image]) -> list[Features]:
        """Features of images of one shape, which go through the network together; as `encode` of each.

        Raises
        ------
        MissingModel
            If the weights are not on this machine.
        """
        shape, stride = images[0].shape, self.params.stride
        valids = [image.valid & np.isfinite(image.rgb).all(0) for image in images]
        rgb = torch.stack([torch.from_numpy(filled(i.rgb, valid)) for i, valid in zip(images, valids, strict=True)])
        scale = self.params.long_side / max(shape) if self.params.long_side else 1.0
        sizes = [max(1, round(n * scale)) for n in shape]
        if sizes != list(shape):
            rgb = F.interpolate(rgb, sizes, mode="bilinear", align_corners=False, antialias=True)
        grid = [-(-n // stride) for n in shape]
        with torch.inference_mode():
            levels = self._levels(rgb, images[0].name)
            joined = torch.cat([self._fitted(level, step, shape, sizes, grid) for level, step in levels], 1)
            data: Float = joined.cpu().numpy()
        for one, valid in zip(data, valids, strict=True):
            if not valid.all():
                one[:, ~any_in_cell(valid, stride)] = 0
        return [Features(one, float(stride)) for one in data]

    def _levels(self, rgb: Tensor, name: str) -> list[tuple[Tensor, int]]:
        """Level maps (b, d, h', w') of whole pictures and their grid steps in the pictures' pixels."""
        height, width = rgb.shape[-2:]
        tile = self.params.tile
        starts = [list(range(0, n, tile)) if n > tile + _HALO else [0] for n in (height, width)]
        corners = list(itertools.product(*starts))
        rows: dict[int, list[list[Tensor]]] = {}
        steps: list[int] = []
        for done, (y, x) in enumerate(corners):
            self.context.progress(done, len(corners), f"{self.params.model} {name}")
            maps, steps = self._tile(rgb, y, x, len(starts[0]) == 1, len(starts[1]) == 1)
            rows.setdefault(y, []).append(maps)
        self.context.progress(len(corners), len(corners), f"{self.params.model} {name}")
        joined = [
            torch.cat([torch.cat([maps[i] for maps in row], -1) for row in rows.values()], -2)
            for i in range(len(steps))
        ]
        return list(zip(joined, steps, strict=True))

    def _tile(self, rgb: Tensor, y: int, x: int, all_rows: bool, all_columns: bool) -> tuple[list[Tensor], list[int]]:
        """Maps of the tiles that begin at (y, x), their surroundings cut off again, and their grid steps."""
        height, width = rgb.shape[-2:]
        y0, y1 = (0, height) if all_rows else (max(0, y - _HALO), min(height, y + self.params.tile + _HALO))
        x0, x1 = (0, width) if all_columns else (max(0, x - _HALO), min(width, x + self.params.tile + _HALO))
        part = _padded(rgb[:, :, y0:y1, x0:x1], self._network.multiple, int(self._network.corner))
        maps, steps = [], []
        for level in self._network.features(part, self._chosen(), self._output_stride()):
            step = self._step(part.shape, level.shape)
            rows = slice((y - y0) // step, None if all_rows or y1 == height else (y - y0 + self.params.tile) // step)
            cols = slice((x - x0) // step, None if all_columns or x1 == width else (x - x0 + self.params.tile) // step)
            maps.append(level[:, :, rows, cols].float())
            steps.append(step)
        return maps, steps

    def _step(self, size: Sequence[int], tokens: Sequence[int]) -> int:
        """Grid step of a level, from the longer side: n * step + 1 pixels give n + 1 tokens, or n * step give n."""
        pixels, count = max(size[-2:]), max(tokens[-2:])
        if self._network.corner:
            return max(1, round((pixels - 1) / max(1, count - 1)))
        return max(1, round(pixels / count))

    def _chosen(self) -> Sequence[str]:
        return [level.strip() for level in self.params.levels.split(",") if level.strip()]

    def _output_stride(self) -> OutputStride | None:
        chosen = self.params.output_stride
        if chosen == "trained" or not self._network.dilates:
            return None
        return cast("OutputStride", int(chosen))

    def _fitted(
        self, level: Tensor, step: int, shape: tuple[int, int], sizes: Sequence[int], grid: Sequence[int]
    ) -> Tensor:
        """One level (b, d, h', w') normalised and sampled at the middles of the feature grid's cells."""
        if self.params.normalise == "l2":
            level = F.normalize(level, dim=1)
        places = [
            _places(n, cells, scaled, self.params.stride, step, self._network.corner)
            for n, cells, scaled in zip(shape, grid, sizes, strict=True)
        ]
        sampled = _sample(level, places[0].to(level.device), places[1].to(level.device))
        if self.params.normalise == "standardise":
            deviation, mean = torch.std_mean(sampled, (2, 3), keepdim=True, correction=0)
            sampled = (sampled - mean) / deviation.clamp_min(1e-6)
        return sampled


def _places(n: int, cells: int, scaled: int, stride: int, step: int, corner: bool) -> Tensor:
    """Middles of the grid's cells along one axis, in tokens of a level (float, from 0).

    Pixel p of ``n`` lies at (p + 0.5) * scaled / n - 0.5 of the scaled picture; token i at i * step of it, or at
    (i + 0.5) * step - 0.5 for a network that cuts patches.
    """
    pixel = (torch.arange(cells) + 0.5) * stride - 0.5
    there = (pixel.clamp(max=n - 1) + 0.5) * (scaled / n) - 0.5
    return there / step if corner else (there + 0.5) / step - 0.5


def _sample(level: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear values of (b, d, h, w) at the grid of fractional rows y and columns x; the border goes on outside."""
    return _sample_axis(_sample_axis(level, y, 2), x, 3)


def _sample_axis(level: Tensor, at: Tensor, axis: int) -> Tensor:
    last = level.shape[axis] - 1
    at = at.clamp(0, last)
    low = at.floor().long().clamp(max=max(last - 1, 0))
    weight = (at - low).view([-1 if i == axis else 1 for i in range(4)])
    return torch.lerp(level.index_select(axis, low), level.index_select(axis, (low + 1).clamp(max=last)), weight)


def _padded(rgb: Tensor, multiple: int, extra: int) -> Tensor:
    """Repeat the last row and column up to a multiple, plus ``extra``."""
    height, width = rgb.shape[-2:]
    bottom, right = (-(n - extra) % multiple for n in (height, width))
    return F.pad(rgb, (0, right, 0, bottom), mode="replicate") if bottom or right else rgb


METHOD = Backbone
