"""Grad-CAM of a head with a hidden layer, trained on the project's tags, over any encoder's features.

Each feature counts by the gradient of the class's logit (Selvaraju et al., Grad-CAM, 2017; methods.md A.2),
so that what speaks for a class may differ from image to image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from napari_wsss.cams._multilabel import MultiLabelCam, Tokens
from napari_wsss.cams._views import parse_scales


class GradCam(MultiLabelCam):
    """Multi-label head with one hidden layer on average-pooled features; maps by its gradients.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer; 0 makes the head linear and the map that of `head`.
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
        hidden: int = 64
        scales: str = "1,2"
        flip: bool = True
        t_hi: float = 0.5
        t_lo: float = 0.25
        steps: int = 300
        weight_decay: float = 0.01
        untagged: Literal["absent", "unknown"] = "absent"

        def __post_init__(self) -> None:
            parse_scales(self.scales)
            if self.hidden < 0:
                raise ValueError("hidden must not be negative")
            if not 0 <= self.t_lo <= self.t_hi <= 1:
                raise ValueError("t_lo and t_hi must satisfy 0 <= t_lo <= t_hi <= 1")
            if self.steps < 1 or self.weight_decay < 0:
                raise ValueError("steps must be at least 1 and weight_decay not negative")

    def network(self, d: int, k: int) -> nn.Module:
        if self.params.hidden == 0:
            return nn.Linear(d, k)
        return nn.Sequential(nn.Linear(d, self.params.hidden), nn.ReLU(), nn.Linear(self.params.hidden, k))

    def activation(self, tokens: Tokens, head: nn.Module, rows: Sequence[int]) -> Tensor:
        """Grad-CAM before the cut at zero, times the number of tokens.

        The factor makes views of different sizes comparable and a linear head's map equal its CAM.
        """
        activations = tokens.data.detach().requires_grad_(True)
        logits = head(Tokens(activations, tokens.share).pooled()[None])[0]
        maps = []
        for row in rows:
            (gradient,) = torch.autograd.grad(logits[row], activations, retain_graph=True)
            maps.append(torch.einsum("d,dhw->hw", gradient.sum((1, 2)), tokens.data))
        return torch.stack(maps).detach()


METHOD = GradCam
