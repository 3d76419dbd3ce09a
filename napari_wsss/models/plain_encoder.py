"""A plain residual encoder with a wide view and no dilation, for any number of channels.

Basic blocks made deeper and narrower, so that what a pixel sees grows by depth (FFNet: Mehta et al., Simple and
efficient architectures for semantic segmentation, 2022). GroupNorm in place of BatchNorm: batches of a few tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

_GROUP = 8  # channels a group


@dataclass(frozen=True, slots=True)
class Size:
    """Widths of the first layer and the four stages, and blocks of each stage."""

    stem: int
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]


SIZES = {
    "tiny": Size(16, (16, 32, 64, 128), (2, 2, 4, 2)),
    "small": Size(32, (32, 64, 128, 256), (2, 2, 4, 2)),
    "base": Size(64, (64, 128, 256, 512), (3, 4, 6, 3)),
}


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // _GROUP), channels)


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a short cut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([norm(outside), norm(outside)])
        nn.init.zeros_(self.norms[1].weight)  # type: ignore[arg-type]  # a block begins as its short cut
        same = inside == outside and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(inner)) + self.short(x))


class PlainEncoder(nn.Module):
    """Five levels of features, at strides 2, 4, 8, 16 and 32.

    Attributes
    ----------
    widths : tuple of int
        Channels of the levels, fine to coarse.
    """

    multiple = 32
    """Inputs must have sides of this multiple."""

    def __init__(self, channels: int, size: Size) -> None:
        super().__init__()
        self.widths = (size.stem, *size.widths)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, size.stem, 3, 2, 1, bias=False), norm(size.stem), nn.ReLU(inplace=True)
        )
        self.entry = nn.Sequential(
            nn.Conv2d(size.stem, size.widths[0], 3, 2, 1, bias=False), norm(size.widths[0]), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList()
        inside = size.widths[0]
        for number, (width, count) in enumerate(zip(size.widths, size.blocks, strict=True)):
            first = Block(inside, width, 1 if number == 0 else 2)
            self.stages.append(nn.Sequential(first, *(Block(width, width, 1) for _ in range(count - 1))))
            inside = width

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [self.stem(x)]
        inner = self.entry(levels[0])
        for stage in self.stages:
            inner = stage(inner)
            levels.append(inner)
        return levels


def layers_of(size: Size) -> list[tuple[int, int]]:
    """(kernel, stride) of the convolutions on the longest way through the encoder."""
    layers = [(3, 2), (3, 2)]
    for number, count in enumerate(size.blocks):
        for block in range(count):
            layers += [(3, 2 if number and not block else 1), (3, 1)]
    return layers


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Side in input pixels of what one output sees, from (kernel, stride) of layers in a row."""
    side, step = 1, 1
    for kernel, stride in layers:
        side += (kernel - 1) * step
        step *= stride
    return side
