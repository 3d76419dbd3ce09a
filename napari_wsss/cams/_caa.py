"""Class-aware attention affinity: maps spread along the network's own attention (CLIP-ES; methods.md G.1)."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

_ROUNDS = 3  # of column then row sums
_EMPTY = 1e-6  # attention to a dead token, so that no sum is 0


def affinity(attention: Tensor) -> Tensor:
    """Affinity between tokens from attention: balanced, made symmetric, taken two steps.

    Parameters
    ----------
    attention : (n, n)
        Attention among patches, mean over layers and heads.

    Returns
    -------
    (n, n)
        Rows sum to about 1.

    References
    ----------
    Lin et al., "CLIP is Also an Efficient Segmenter", CVPR 2023.
    """
    balanced = symmetric(attention)
    return balanced @ balanced


def symmetric(attention: Tensor) -> Tensor:
    """Attention (n, n) after three rounds of column and row normalisation, averaged with its transpose."""
    a = attention + _EMPTY
    for _ in range(_ROUNDS):
        a = a / a.sum(0, keepdim=True)
        a = a / a.sum(1, keepdim=True)
    return (a + a.T) / 2


def spread(likeness: Tensor, cam: Tensor, box_fraction: float) -> Tensor:
    """A map (h, w) after one affinity step; only tokens inside the map's boxes give, all tokens take.

    The boxes are those of the connected places where the map reaches ``box_fraction`` of its maximum.
    """
    sources = torch.where(boxes(cam, box_fraction), cam, torch.zeros_like(cam))
    return (likeness @ sources.flatten()).reshape(cam.shape)


def boxes(cam: Tensor, fraction: float) -> Tensor:
    """bool (h, w): the bounding boxes of the (8-connected) places that reach ``fraction`` of the maximum."""
    values = cam.detach().cpu().numpy()
    inside = np.zeros(values.shape, bool)
    if values.max() > 0:
        places, _ = ndimage.label(values >= fraction * values.max(), structure=np.ones((3, 3)))
        for box in ndimage.find_objects(places):
            inside[box] = True
    return torch.from_numpy(inside).to(cam.device)


def caa_refine(attention: Tensor, cam: Tensor, box_fraction: float) -> Tensor:
    """A map (h, w) refined by layers of attention (layers, n, n), min-max normalised (methods.md G.1)."""
    return min_max(spread(affinity(attention.mean(0)), cam, box_fraction))


def min_max(cam: Tensor, known: Tensor | None = None) -> Tensor:
    """A map (h, w) stretched to [0, 1] over the ``known`` places; 0 elsewhere, and everywhere if it is flat."""
    inside = torch.ones_like(cam, dtype=torch.bool) if known is None else known
    if not bool(inside.any()):
        return torch.zeros_like(cam)
    low, high = cam[inside].min(), cam[inside].max()
    return torch.where(inside, (cam - low) / (high - low + 1e-8), torch.zeros_like(cam))
