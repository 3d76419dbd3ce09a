"""The model inside, taught on: its image encoder under the multi-scale head; any number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from napari_wsss.models.embedded.encoder import MIDDLE, SPREAD
from napari_wsss.models.embedded.fine_tuned import FineTunedEncoder
from napari_wsss.models.multi_scale_head import SegmentationNetwork
from napari_wsss.models.store import resolve
from napari_wsss.protocols import Context


class Embedded:
    """Starts from the weights that ship with the product, so that few minutes and few labels go far.

    Parameters
    ----------
    weights : str
        ``embedded``, a file that the model's own program wrote, or empty: random weights.
    width : int
        Channels of the head.
    pace : float
        Learning rate of the encoder as a share of the head's, which starts from nothing.
    """

    @dataclass(frozen=True)
    class Params:
        weights: str = "embedded"
        width: int = 32
        pace: float = 0.2

        def __post_init__(self) -> None:
            if self.width < 8 or not 0 <= self.pace <= 1:
                raise ValueError("width must be at least 8 and pace in [0, 1]")

    inputs: ClassVar[Literal["image", "features"]] = "image"
    normalisation: ClassVar[tuple[float, float]] = (MIDDLE, SPREAD)

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    @property
    def model(self) -> str:
        """Name and hash of the weights that training starts from."""
        if not self.params.weights:
            return ""
        return f"embedded@{resolve(self.params.weights)[1][:8]}"

    def network(self, channels: int, classes: int) -> nn.Module:
        network = SegmentationNetwork(FineTunedEncoder(channels), classes, self.params.width, self.params.width)
        network.pace = self.params.pace
        return network

    def begin(self, network: SegmentationNetwork) -> None:
        """Put in the weights that training starts from."""
        if self.params.weights:
            assert isinstance(network.encoder, FineTunedEncoder)
            network.encoder.start_from(self.params.weights)


METHOD = Embedded
