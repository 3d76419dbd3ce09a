"""The image encoder of the promptable model as an encoder of levels that the trainer goes on teaching."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_wsss.models.embedded.encoder import MULTIPLE, WIDTHS, ImageEncoder
from napari_wsss.models.embedded.network import fold
from napari_wsss.models.embedded.predictor import load_embedded


class FineTunedEncoder(nn.Module):
    """Levels at strides 2, 4, 8 and 16 of an image of any number of channels.

    Batch normalisation is folded into the convolutions from the start: batches of a few tiles have no statistics
    worth keeping, and a step takes a third less time.

    Parameters
    ----------
    channels : int

    Attributes
    ----------
    widths : tuple of int
        Channels of the levels, fine to coarse.
    """

    widths = WIDTHS
    multiple = MULTIPLE

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = ImageEncoder()
        fold(self.body.eval())
        self.channels = channels
        _put_first(self.body, _first(self.body).weight, channels)
        self.body.requires_grad_(True)  # folding leaves biases that do not learn

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.body.pyramid(x))

    def start_from(self, weights: str) -> None:
        """Take the weights of a trained model; the first layer's are shared out over other channels than three.

        Raises
        ------
        WsssError
            If the file is damaged or holds something else.
        """
        theirs = load_embedded(weights).network.image_encoder
        there = {name: value.clone() for name, value in theirs.state_dict().items()}
        first = _first(theirs).weight.detach()
        self.body.load_state_dict({**there, _FIRST: spread_over(first, self.channels)})


_FIRST = "stem.0.0.weight"


def _first(body: nn.Module) -> nn.Conv2d:
    found = body.get_submodule(_FIRST.removesuffix(".weight"))
    assert isinstance(found, nn.Conv2d)
    return found


def _put_first(body: nn.Module, weight: Tensor, channels: int) -> None:
    layer = _first(body)
    layer.weight = nn.Parameter(spread_over(weight.detach(), channels))
    layer.in_channels = channels


def spread_over(weight: Tensor, channels: int) -> Tensor:
    """Weights (o, 3, k, k) for another number of channels: equal channels are answered as grey in RGB is."""
    if channels == weight.shape[1]:
        return weight.clone()
    return (weight.sum(1, keepdim=True) / channels).repeat(1, channels, 1, 1).to(memory_format=torch.contiguous_format)
