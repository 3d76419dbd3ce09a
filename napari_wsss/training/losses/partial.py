"""Cross-entropy and Dice on what a person gave: a pixel that nobody labelled is in no sum."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_NOBODY = -1  # of labels from 0


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p of each labelled pixel, float (b, h, w); 0 where the label is 0."""
    return F.cross_entropy(logits, labels - 1, ignore_index=_NOBODY, reduction="none")


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Mean over labelled pixels, weighted by class and by pixel; 0 where nothing is labelled.

    Parameters
    ----------
    logits : (b, K, h, w)
    labels : int (b, h, w)
        0 = not labelled.
    class_weights : (K,) or None
    weights : (b, h, w) or None
    """
    of_pixel = (labels > 0).to(logits.dtype)
    if class_weights is not None:
        of_pixel = of_pixel * class_weights.to(logits.dtype)[(labels - 1).clamp_min(0)]
    if weights is not None:
        of_pixel = of_pixel * weights
    return (of_pixel * pixel_cross_entropy(logits, labels)).sum() / of_pixel.sum().clamp_min(1e-6)


def doubted(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """Weights p^q (b, h, w) of pixels that may be labelled wrongly, p the network's own probability of the label.

    Cross-entropy weighted so has the gradient of generalised cross-entropy, (1 - p^q) / q (Zhang and Sabuncu, 2018):
    q = 0 is cross-entropy, q = 1 the mean absolute error, which wrong labels hardly move. No gradient flows through
    the weights; they are 1 where the label is 0.
    """
    return torch.exp(-q * pixel_cross_entropy(logits.detach(), labels))


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - Dice of each class that the batch's labels hold, over labelled pixels only; the mean over classes."""
    known = labels > 0
    if not known.any():
        return logits.sum() * 0
    classes = logits.shape[1]
    p = logits.float().softmax(1).movedim(1, -1)[known]
    truth = F.one_hot(labels[known] - 1, classes).to(p.dtype)
    present = truth.sum(0) > 0
    overlap = (p * truth).sum(0)
    return (1 - (2 * overlap + 1) / (p.sum(0) + truth.sum(0) + 1))[present].mean()


def class_weights(counts: Tensor) -> Tensor:
    """Weights (K,) that raise rare classes: one over the square root of their share, at most ten times the least.

    Classes without a labelled pixel get the mean of the others, which no sum uses.
    """
    there = counts > 0
    if not there.any():
        return torch.ones_like(counts, dtype=torch.float32)
    share = counts.float() / counts.sum()
    raised = share.clamp_min(1e-9).rsqrt()
    least = raised[there].min()
    raised = torch.where(there, raised.clamp_max(10 * least), raised[there].mean())
    return raised / (raised * share)[there].sum()
