"""Any timm encoder under the multi-scale head, by name, from a weights file or from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import timm
from torch import Tensor, nn

from napari_wsss.errors import UsageError
from napari_wsss.models.checkpoint import load_weights
from napari_wsss.models.multi_scale_head import SegmentationNetwork
from napari_wsss.protocols import Context
from napari_wsss.types import digest


class Timm:
    """An encoder of the timm library that gives several levels of features.

    Parameters
    ----------
    name : str
        As timm knows it, e.g. ``resnet18``, ``convnext_tiny``, ``mobilenetv3_small_100``.
    weights : str
        A checkpoint file of this encoder; empty = random weights. A first layer for another number of
        channels, and layers of its classifier, are left out.
    """

    @dataclass(frozen=True)
    class Params:
        name: str = "resnet18"
        weights: str = ""

    inputs: ClassVar[Literal["image", "features"]] = "image"

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    @property
    def model(self) -> str:
        """Name and hash of the weights that training starts from; '' where it starts from random ones."""
        path = Path(self.params.weights)
        return f"{self.params.name}@{digest(path.read_bytes())[:8]}" if self.params.weights else ""

    def network(self, channels: int, classes: int) -> nn.Module:
        encoder = TimmEncoder(self.params.name, channels)
        if self.params.weights:
            _start_from(encoder.body, Path(self.params.weights))
        return SegmentationNetwork(encoder, classes, lateral=48, width=48)


class TimmEncoder(nn.Module):
    """Levels of a timm network, fine to coarse."""

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        try:
            self.body = timm.create_model(name, pretrained=False, features_only=True, in_chans=channels)
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            raise UsageError(f"timm has no encoder {name!r} that gives levels of features ({error})") from error
        self.widths = tuple(self.body.feature_info.channels())
        self.multiple = int(max(self.body.feature_info.reduction()))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels: list[Tensor] = self.body(x)
        return levels


def _start_from(body: nn.Module, path: Path) -> None:
    """Put in every weight of the file that the body has in this shape.

    Raises
    ------
    UsageError
        If less than nine tenths of the body's weights are in the file: it is of another network.
    """
    there, own = load_weights(path), body.state_dict()
    fitting = {k: v for k, v in there.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < 0.9 * len(own):
        raise UsageError(f"{path}: fits only {len(fitting)} of the {len(own)} weights of this encoder")
    body.load_state_dict(fitting, strict=False)


METHOD = Timm
