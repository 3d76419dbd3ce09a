"""Dropout whose coins are cheap on a CPU, where drawing them took torch as long as a small head takes for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SIDES = 256  # of a coin: a byte


class Dropout(nn.Module):
    """Zeroes a share of the elements and raises the others so that the mean stays (Srivastava et al., JMLR 2014).

    On a CPU the share is a multiple of 1/256 and each element's coin a byte of torch's generator, which gives eight at
    once; elsewhere it is torch's own.

    Parameters
    ----------
    share : float
        From 0, nothing, to below 1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"the share of elements to drop must lie in [0, 1), not {share}")
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Like x."""
        if not self.training or x.device.type != "cpu":
            return F.dropout(x, self.share, self.training)
        dropped = min(round(self.share * _SIDES), _SIDES - 1)
        if not dropped:
            return x
        eights = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        coins = eights.view(torch.uint8)[: x.numel()].view(x.shape)
        return x * (coins >= dropped).to(x.dtype).mul_(_SIDES / (_SIDES - dropped))
