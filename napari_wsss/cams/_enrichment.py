"""Text semantic enrichment and feature-surgery likeness (ExCEL; methods.md A.5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_PASSES = 50


def enriched(texts: Tensor, centres: Tensor, kept: float = 0.9) -> Tensor:
    """Class texts moved towards the attributes they are like.

    Parameters
    ----------
    texts : (k, d), normalised
    centres : (n, d)
        Clusters of the attribute sentences of all classes.
    kept : float
        Share of the clusters that may speak; the rest, the least like the class, have no weight.

    Returns
    -------
    (k, d), normalised
    """
    likeness = texts @ centres.T
    dropped = int((1 - kept) * len(centres) + 1e-9)
    if dropped:
        least = likeness.topk(dropped, dim=1, largest=False).indices
        likeness = likeness.scatter(1, least, -torch.inf)
    return F.normalize(likeness.softmax(1) @ centres + texts, dim=1)


def clusters(points: Tensor, n: int, seed: int) -> Tensor:
    """K-means centres (at most n, d) of points (m, d), started by the k-means++ rule from a seed.

    Where fewer than n points differ, there are as many centres as different points. Equal points and seed
    give equal centres, bit for bit.
    """
    points = points.cpu().double()
    draw = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(len(points), (1,), generator=draw))]
    nearest = (points - points[chosen[0]]).square().sum(1)
    while len(chosen) < n and float(nearest.max()) > 1e-12:
        chosen.append(int(torch.multinomial(nearest, 1, generator=draw)))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
    centres = points[chosen]
    for _ in range(_PASSES):
        member = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        moved = torch.stack(
            [points[member == i].mean(0) if bool((member == i).any()) else c for i, c in enumerate(centres)]
        )
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.float()


def class_weights(vector: Tensor, texts: Tensor) -> Tensor:
    """How much of each class is in a picture: softmax of twice the cosines with its vector (d,), over their mean."""
    weights = (2 * texts @ F.normalize(vector, dim=0)).softmax(0)
    return weights / weights.mean()


def surgery_likeness(features: Tensor, texts: Tensor, weights: Tensor, shared: Tensor | None = None) -> Tensor:
    """Likeness (n, k) of tokens to classes without what all classes share.

    The products ``weights_c · features ⊙ texts_c`` (n, k, d) lose their mean over the classes and are summed
    over the channels. Both steps are linear, so the sum comes first and the products are never held.

    Parameters
    ----------
    features : (n, d)
    texts : (k, d)
    weights : (k,)
    shared : (d,), optional
        A vector added to every class's product; the result does not depend on it.
    """
    sums = features @ texts.T * weights
    if shared is not None:
        sums = sums + shared.sum()
    return sums - sums.mean(1, keepdim=True)
