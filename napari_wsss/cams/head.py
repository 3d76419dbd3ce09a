"""Class activation maps of a head trained on the project's tags, over any encoder's features.

The classic map (Zhou et al., Learning Deep Features for Discriminative Localization, 2016): with average
pooling and a linear head, a class's logit is the mean of its map plus a bias (methods.md A.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from napari_wsss.cams._multilabel import MultiLabelCam, Tokens
from napari_wsss.cams._views import parse_scales


class Head(MultiLabelCam):
    """Linear multi-label head on average-pooled features.

    Parameters
    ----------
    scales : str
        Sizes of the image to look at, separated by commas; encoders with a grid of 4 pixels or more.
    flip : bool
        Look at the mirror images too.
    t_hi, t_lo : float
        Seeds: a class where its map reaches ``t_hi``, background below ``t_lo``.
    steps : int
        Steps of training.
    weight_decay : float
    untagged : "absent" or "unknown"
        What a class that an image's tags do not name teaches where the list is not said to be complete.
    """

    @dataclass(frozen=True)
    class Params:
        scales: str = "1,2"
        flip: bool = True
        t_hi: float = 0.5
        t_lo: float = 0.25
        steps: int = 500
        weight_decay: float = 0.01
        untagged: Literal["absent", "unknown"] = "absent"

        def __post_init__(self) -> None:
            parse_scales(self.scales)
            if not 0 <= self.t_lo <= self.t_hi <= 1:
                raise ValueError("t_lo and t_hi must satisfy 0 <= t_lo <= t_hi <= 1")
            if self.steps < 1 or self.weight_decay < 0:
                raise ValueError("steps must be at least 1 and weight_decay not negative")

    def network(self, d: int, k: int) -> nn.Module:
        head = nn.Linear(d, k)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def activation(self, tokens: Tokens, head: nn.Module, rows: Sequence[int]) -> Tensor:
        weight = cast("nn.Linear", head).weight.detach()[list(rows)]
        return torch.einsum("kd,dhw->khw", weight, tokens.data)


METHOD = Head
