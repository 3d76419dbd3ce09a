"""The mixture's E step: which class, and which of its components, each pixel belongs to.

Arrays lie with pixels along the last axis, so that every reduction over classes or components is
a run of whole-row operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_wsss.label_models._components import Components
from napari_wsss.label_models._feature_grid import FeatureGrid
from napari_wsss.types import Bool, WeakTarget


@dataclass(frozen=True, eq=False)
class Mixture:
    """The mixture's state: centres, the tied scale, and the typical distance with its spread."""

    centres: Tensor
    sigma: Tensor
    middle: Tensor
    spread: Tensor


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels on which an E step runs: features (n, d), allowed classes (K, n), prior (K, n) or None."""

    x: Tensor
    allow: Tensor
    prior: Tensor | None


@dataclass(frozen=True, eq=False)
class EStep:
    """What an E step says of n pixels.

    Attributes
    ----------
    gamma : (K, n), sums to 1 over the classes
    winner : (n,) most probable class, counted from 0
    margin, top : (n,) its probability's lead over the next class's, and the probability
    distance : (n,) to the nearest component of that class
    distances : (j, n) to every component
    possible : bool (n,)
        Some allowed class has a component.
    """

    gamma: Tensor
    winner: Tensor
    top: Tensor
    margin: Tensor
    distance: Tensor
    distances: Tensor
    possible: Tensor


def pixels_of(
    grid: FeatureGrid,
    target: WeakTarget,
    prior: NDArray[np.float32] | None,
    window: tuple[slice, slice],
    use: Bool,
) -> Pixels:
    """Features, allowed classes and prior at the pixels ``use`` of a window of the image."""
    rows, columns = (np.arange(*s.indices(n)) for s, n in zip(window, target.shape, strict=True))
    x = grid.window(rows, columns)
    if not use.all():
        x = x[torch.as_tensor(use.ravel(), device=x.device)]
    allow = torch.as_tensor(np.stack([a[window][use] for a in target.allow]), device=x.device)
    if prior is None:
        return Pixels(x, allow, None)
    return Pixels(x, allow, torch.as_tensor(np.stack([p[window][use] for p in prior]), device=x.device))


def e_step(pixels: Pixels, components: Components, mixture: Mixture, prior_weight: float) -> EStep:
    """Responsibilities by the best component of each class: a sum would turn more strokes into a prior."""
    distances = distances_to(mixture.centres, pixels.x)
    groups = components.groups()
    nearest = [distances[first:last].amin(0) for _, first, last in groups]
    score = torch.full(pixels.allow.shape, -torch.inf, device=distances.device)
    for (k, _, _), of_class in zip(groups, nearest, strict=True):
        score[k - 1] = of_class.square() * (-0.5 / mixture.sigma**2)
    if pixels.prior is not None:
        score += prior_weight * pixels.prior.clamp(0.02, 0.98).log()
    score.masked_fill_(~pixels.allow, -torch.inf)
    possible = score.amax(0) > -torch.inf
    gamma = torch.softmax(score.masked_fill_(~possible, 0.0), 0)
    top, winner, second = two_highest(gamma)
    distance = nearest[0]
    for (k, _, _), of_class in zip(groups[1:], nearest[1:], strict=True):
        distance = torch.where(winner == k - 1, of_class, distance)
    return EStep(gamma, winner, top, top - second, distance, distances, possible)


def distances_to(centres: Tensor, x: Tensor) -> Tensor:
    """(j, n): mean absolute difference from each of j centres to each of n rows of ``x``."""
    return torch.cdist(centres, x, p=1.0) / x.shape[1]


def two_highest(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Highest value of each column of (j, n), its row, and the second highest (0 where j is 1)."""
    highest, second = rows[0].clone(), torch.zeros_like(rows[0])
    index = torch.zeros(rows.shape[1], dtype=torch.int16, device=rows.device)
    for j in range(1, len(rows)):
        index.masked_fill_(rows[j] > highest, j)
        second = torch.maximum(second, torch.minimum(highest, rows[j]))
        highest = torch.maximum(highest, rows[j])
    return highest, index, second


def typicality_of(distance: Tensor, mixture: Mixture) -> Tensor:
    """One-sided: 1 up to the typical distance of a class's own pixels, falling beyond it."""
    beyond = (distance - mixture.middle).clamp_min(0)
    return torch.exp(-(beyond**2) / (2 * mixture.spread**2))
