"""Hardness level learning (HL): a second head learns which labelled pixels are hard, and they weigh more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_wsss.models.multi_scale_head import resized

_WEIGHT = 0.01


class HardnessHead(nn.Module):
    """One plane from features that get no gradient of it; removed after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1))

    def forward(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """(b, h, w), not bounded."""
        plane: Tensor = resized(self.layers(fused.detach()), size)[:, 0]
        return plane


def hardness(plane: Tensor, known: Tensor) -> Tensor:
    """Weights (b, h, w) that sum to 1 over the labelled pixels of the batch, at most 11 times apart; 0 elsewhere."""
    level = (torch.sigmoid(plane) + 0.1) * known
    return level / level.sum().clamp_min(1e-9)


def segmentation_loss(weights: Tensor, ce: Tensor) -> Tensor:
    """Cross-entropy weighted by hardness; teaches the network only."""
    return (weights.detach() * ce).sum()


def hardness_loss(weights: Tensor, ce: Tensor) -> Tensor:
    """Negative: the head climbs to where the cross-entropy is large; teaches the head only."""
    return -_WEIGHT * (weights * ce.detach()).sum()
