"""Adaptive Gaussian mixture on features: labelled pixels make prototypes, distance to them teaches the others.

Wu et al., Sparsely annotated semantic segmentation with adaptive Gaussian mixtures, CVPR 2023. Distances are mean
absolute differences over channels. Against the public code: the scale of each class is measured (a fixed one
is dead for features of another size), prototypes of the separation term are means over images and not sums,
padding multiplies the response and not the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.models.multi_scale_head import resized

_EPS = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Mixture:
    """Prototypes of a batch.

    Attributes
    ----------
    means : (b, K, d)
        Of each image's labelled features; 0 where a class has none.
    present : bool (b, K)
    """

    means: Tensor
    present: Tensor


def prototypes(features: Tensor, labels: Tensor, classes: int) -> Mixture:
    """Means of the features (b, d, h', w'), raised to the labels' size (b, h, w), at labelled pixels."""
    raised = resized(features, labels.shape[-2:]).flatten(2)
    truth = F.one_hot(labels, classes + 1)[..., 1:].flatten(1, 2).to(raised.dtype)
    counts = truth.sum(1)
    sums = torch.einsum("bdn,bnk->bkd", raised, truth)
    return Mixture(sums / counts.clamp_min(1)[..., None], counts > 0)


def distances(features: Tensor, means: Tensor) -> Tensor:
    """Mean absolute difference of each token to each prototype, (b, K, h', w')."""
    planes = [(features - means[:, k, :, None, None]).abs().mean(1) for k in range(means.shape[1])]
    return torch.stack(planes, 1)


def responses(
    features: Tensor, mixture: Mixture, p: Tensor | None, size: tuple[int, int], inside: Tensor
) -> tuple[Tensor, Tensor]:
    """exp(-d^2 / 2 sigma^2) of each class at each pixel, and the scales 2 sigma^2.

    Parameters
    ----------
    p : (b, K, h', w') or None
        Probabilities on the features' grid, which weigh the scale; None = the published fixed scale, 2 sigma^2 = 1.
    inside : bool (b, h, w)

    Returns
    -------
    r : (b, K, *size)
        1 at a token equal to its prototype; 0 for absent classes and outside. Not normalised over classes.
    scale : (b, K)
    """
    d = distances(features, mixture.means)
    if p is None:
        scale = d.new_ones(d.shape[:2])
    else:
        weight, squared = p.detach(), d.detach() ** 2
        scale = 2 * (weight * squared).sum((2, 3)) / weight.sum((2, 3)).clamp_min(_EPS)
        scale = scale.clamp_min(_EPS)
    r = resized(torch.exp(-(d**2) / scale[..., None, None]), size)
    return r * mixture.present[..., None, None] * inside[:, None], scale


def agreement(r: Tensor, p: Tensor, present: Tensor, inside: Tensor) -> Tensor:
    """Symmetric soft self-training: half the cross-entropy between response and probability, over present classes."""
    p = p.clamp(_EPS, 1 - _EPS)
    each = -(r * p.log() + (1 - r) * (1 - p).log()) / 2
    share = present / present.sum(1, keepdim=True).clamp_min(1)
    of_pixel = (each * share[..., None, None]).sum(1)
    return (of_pixel * inside).sum() / inside.sum().clamp_min(1)


def answers(r: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """The response must be 1 for the given class and 0 for the other present ones, at labelled pixels."""
    known = labels > 0
    truth = F.one_hot(labels, r.shape[1] + 1)[..., 1:].movedim(-1, 1).to(r.dtype)
    r = r.clamp(_EPS, 1 - _EPS)
    each = -(truth * r.log() + (1 - truth) * (1 - r).log())
    share = present / present.sum(1, keepdim=True).clamp_min(1)
    of_pixel = (each * share[..., None, None]).sum(1)
    return (of_pixel * known).sum() / known.sum().clamp_min(1)


def separation(mixture: Mixture, scale: Tensor) -> Tensor:
    """Mean over pairs of classes of exp(-d^2 / 2 sigma^2) between their prototypes, means over the batch's images."""
    there = mixture.present.any(0)
    if there.sum() < 2:
        return mixture.means.sum() * 0
    weight = mixture.present.to(mixture.means.dtype)
    counts = weight.sum(0).clamp_min(1)
    means = ((mixture.means * weight[..., None]).sum(0) / counts[:, None])[there]
    typical = ((scale.detach() * weight).sum(0) / counts)[there].mean()
    first, second = torch.triu_indices(len(means), len(means), 1, device=means.device)
    d = (means[first] - means[second]).abs().mean(1)
    return torch.exp(-(d**2) / typical).mean()


def gaussian(features: Tensor, logits: Tensor, labels: Tensor, inside: Tensor, settled: bool) -> Tensor:
    """The three terms together.

    Parameters
    ----------
    features : (b, d, h', w')
    settled : bool
        False in the first part of a run: the response then teaches the probabilities and does not follow them, for a
        wrong pair of both would hold each other.
    """
    size = (logits.shape[-2], logits.shape[-1])
    p = logits.float().softmax(1)
    mixture = prototypes(features.float(), labels, p.shape[1])
    coarse = resized(p, features.shape[-2:])
    r, scale = responses(features.float(), mixture, coarse, size, inside)
    drawn = r if settled else r.detach()
    return (
        agreement(drawn, p, mixture.present, inside) + answers(r, labels, mixture.present) + separation(mixture, scale)
    )
