"""What the network is asked for: masks whatever their size, and an honest opinion of each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

OTHERS = 0.05
"""Weight of the masks that were not the best of the three, so that none dies."""


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Normalised focal loss and Dice, one value a mask.

    Sofiiuk et al., "Reviving Iterative Training with Mask Guidance", 2021, and Milletari et al., 2016.

    Parameters
    ----------
    logits : (b, m, h, w)
    truth : (b, 1, h, w)
        Share of each cell that is the object, 0 to 1.

    Returns
    -------
    (b, m)
    """
    logits = logits.float()
    truth = truth.expand_as(logits)
    chance = torch.sigmoid(logits)
    hard = (chance - truth).abs().detach() ** 2
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    focal = (hard * entropy).sum((2, 3)) / (hard.sum((2, 3)) + 1)
    overlap = 2 * (chance * truth).sum((2, 3)) + 1
    dice = 1 - overlap / ((chance + truth).sum((2, 3)) + 1)
    return focal + dice


def overlap(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU (b, m) of thresholded masks with the truth."""
    found, true = logits > 0, truth > 0.5
    both = (found & true).sum((2, 3)).float()
    either = (found | true).sum((2, 3)).float()
    return both / either.clamp(min=1)


def total_loss(logits: Tensor, iou: Tensor, truth: Tensor) -> Tensor:
    """Mask 0 fits the target; of the three others the best one; every opinion fits the real IoU."""
    each = mask_loss(logits, truth)
    best, mean = each[:, 1:].min(1).values, each[:, 1:].mean(1)
    opinion = (iou.float() - overlap(logits.detach(), truth)) ** 2
    return (each[:, 0] + (1 - OTHERS) * best + OTHERS * mean).mean() + 2 * opinion.mean()
