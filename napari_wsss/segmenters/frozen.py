"""A light head on frozen features of any encoder: for a laptop with ten minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from napari_wsss.models.multi_scale_head import Seen, resized
from napari_wsss.models.plain_encoder import norm
from napari_wsss.protocols import Context


class Frozen:
    """Learns a head alone; the features of an image are computed once and kept in the cache.

    Parameters
    ----------
    width : int
        Channels of the head.
    reach : int
        Side of the square of feature cells that the head looks at, odd; 1 = each cell alone.
    """

    @dataclass(frozen=True)
    class Params:
        width: int = 64
        reach: int = 3

        def __post_init__(self) -> None:
            if self.width < 8 or self.reach < 1 or self.reach % 2 == 0:
                raise ValueError("width must be at least 8 and reach an odd number")

    inputs: ClassVar[Literal["image", "features"]] = "features"
    model = ""

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def network(self, channels: int, classes: int) -> nn.Module:
        return FeatureHead(channels, classes, self.params.width, self.params.reach)


class FeatureHead(nn.Module):
    """Two pointwise layers with a depthwise look at the neighbours between them."""

    def __init__(self, channels: int, classes: int, width: int, reach: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, width, 1)
        self.look = nn.Conv2d(width, width, reach, padding=reach // 2, groups=width, bias=False)
        self.norms = nn.ModuleList([norm(width), norm(width)])
        self.last = nn.Conv2d(width, width, 1, bias=False)
        self.classify = nn.Conv2d(width, classes, 1)
        self.drop_width = channels

    def forward(self, x: Tensor, size: tuple[int, int] | None = None, drop: Tensor | None = None) -> Seen:
        """Logits at ``size`` (default: the grid of the features)."""
        if drop is not None:
            x = x * drop[:, :, None, None]
        inner = F.relu(self.norms[0](self.mix(x)))
        fused = F.relu(self.norms[1](self.last(inner + self.look(inner))))
        logits = self.classify(fused)
        return Seen(logits if size is None else resized(logits, size), fused)


METHOD = Frozen
