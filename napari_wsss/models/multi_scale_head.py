"""A small head over an encoder's levels: top-down sums, all levels joined at stride 4, one finer step to stride 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_wsss.models.plain_encoder import norm


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What a segmentation network gives: ``logits`` (b, K, h, w) and ``fused`` (b, d, h', w'), its last features."""

    logits: Tensor
    fused: Tensor


class MultiScaleHead(nn.Module):
    """Levels at any falling resolutions to fused features at the finest one.

    Parameters
    ----------
    widths : sequence of int
        Channels of the levels, fine to coarse, at least two; all but the first are joined at the second's size.
    lateral : int
        Channels of each level on the way down.
    width : int
        Channels of the fused features.
    """

    def __init__(self, widths: Sequence[int], lateral: int, width: int) -> None:
        super().__init__()
        coarse = widths[1:]
        self.laterals = nn.ModuleList([nn.Conv2d(w, lateral, 1, bias=False) for w in coarse])
        self.smooth = nn.ModuleList([_conv(lateral, lateral) for _ in coarse])
        self.join = _conv(lateral * len(coarse), width)  # 1 x 1 saves a fifth of the time and loses shapes
        self.fine = nn.Conv2d(widths[0], width, 1, bias=False)
        self.last = _conv(width, width)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        down: list[Tensor] = []
        for level, lateral, smooth in reversed(list(zip(levels[1:], self.laterals, self.smooth, strict=True))):
            here = lateral(level)
            if down:
                here = here + resized(down[-1], here.shape[-2:])
            down.append(smooth(here))
        size = levels[1].shape[-2:]
        joined = self.join(torch.cat([resized(level, size) for level in down], 1))
        fused: Tensor = self.last(self.fine(levels[0]) + resized(joined, levels[0].shape[-2:]))
        return fused


class SegmentationNetwork(nn.Module):
    """An encoder of several levels under the multi-scale head.

    Parameters
    ----------
    encoder : nn.Module
        ``encoder(x)`` gives levels fine to coarse; has ``widths`` and ``multiple``.
    classes : int
    lateral, width : int
        Of the head.

    Attributes
    ----------
    pace : float
        Learning rate of the encoder as a share of the head's.
    """

    pace = 1.0

    def __init__(self, encoder: nn.Module, classes: int, lateral: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        widths: Sequence[int] = encoder.widths  # type: ignore[assignment]
        self.head = MultiScaleHead(widths, lateral, width)
        self.classify = nn.Conv2d(width, classes, 1)
        self.drop_width = int(widths[-1])
        """Channels of what ``drop`` multiplies: the coarsest level."""

    def forward(self, x: Tensor, size: tuple[int, int] | None = None, drop: Tensor | None = None) -> Seen:
        """Logits at ``size`` (default: the input's)."""
        height, width = x.shape[-2:]
        multiple = int(self.encoder.multiple)  # type: ignore[arg-type]
        bottom, right = -height % multiple, -width % multiple
        levels = list(self.encoder(F.pad(x, (0, right, 0, bottom), mode="replicate")))
        if drop is not None:
            levels[-1] = levels[-1] * drop[:, :, None, None]
        fused = self.head(levels)
        logits = resized(self.classify(fused), (height + bottom, width + right))[..., :height, :width]
        if size is not None and size != (height, width):
            logits = resized(logits, size)
        return Seen(logits, fused)


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, with pixels as areas; ``size`` may be the size it has."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, (int(size[0]), int(size[1])), mode="bilinear", align_corners=False)


def _conv(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, 1, 1, bias=False), norm(outside), nn.ReLU(inplace=True))
