"""A plain residual encoder under a small multi-scale head; any channels, learns from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from napari_wsss.models.multi_scale_head import SegmentationNetwork
from napari_wsss.models.plain_encoder import SIZES, PlainEncoder
from napari_wsss.protocols import Context


class Plain:
    """The default segmenter.

    Parameters
    ----------
    size : "tiny", "small" or "base"
        About 1, 4 and 22 million parameters; one token of the coarsest level sees 559, 559 and 895 pixels on a side.
    """

    @dataclass(frozen=True)
    class Params:
        size: Literal["tiny", "small", "base"] = "tiny"

    inputs: ClassVar[Literal["image", "features"]] = "image"
    model = ""  # it starts from random weights

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def network(self, channels: int, classes: int) -> nn.Module:
        size = SIZES[self.params.size]
        width = {"tiny": 32, "small": 48, "base": 96}[self.params.size]
        return SegmentationNetwork(PlainEncoder(channels, size), classes, lateral=width, width=width)


METHOD = Plain
