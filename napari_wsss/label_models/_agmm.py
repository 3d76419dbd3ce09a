"""Adaptive Gaussian mixture on frozen features: a pure function of features, weak labels and a prior.

AGMM (Wu et al., CVPR 2023) reformulated for interactive use on features that are not trained:
components from marks, one tied and adaptive scale, one-sided typicality, anchored online updates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from torch import Tensor

from napari_wsss.label_models._components import Components, components_of
from napari_wsss.label_models._feature_grid import FeatureGrid, comparable
from napari_wsss.label_models._mixture import (
    EStep,
    Mixture,
    Pixels,
    distances_to,
    e_step,
    pixels_of,
    typicality_of,
)
from napari_wsss.types import Bool, Contradiction, Labels, Progress, WeakTarget, no_progress

_PASS_PIXELS = 65_536  # pixels that the passes see; the last E step sees all
_CHUNK = 16_384  # pixels of the last E step at once, so that distances stay in the processor's cache
_IGNORED_TOO_MUCH = 0.3  # share ignored by the start from which updating does more harm than good
_SAME_LOOK = 1.2  # in units of 1 / sqrt(d) above the typical distance: 1.15 times it with 64 features

_OUTWEIGHS = 4  # times the other's pixels from which a mark is right in a contradiction


@dataclass(frozen=True)
class MixtureParams:
    """Numbers of the mixture; the meaning of each is told in :class:`napari_wsss.label_models.agmm.Agmm`."""

    dims: int = 16
    components: int = 16
    passes: int = 8
    prior_weight: float = 0.5
    gate: float = 0.8
    margin: float = 0.2
    typicality: float = 0.3
    fixed_sigma: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """What the mixture says of every pixel, before anything is left out.

    Attributes
    ----------
    probabilities : float16 (K, h, w), sums to 1 where ``known``
    typicality : float16 (h, w)
    best : uint16 (h, w)
        The most probable class; 0 where no class is possible.
    margin : float16 (h, w)
        How much more probable it is than the next.
    contradicted : bool (h, w)
        Pixels that look like two marks of different classes.
    known : bool (h, w)
        Pixels with data and finite features.
    passes : int
        Passes that were made; 0 where the guard stopped them.
    only_class : int
        The class, where only one has components: then typicality alone says where it is. Else 0.
    """

    probabilities: NDArray[np.float16]
    typicality: NDArray[np.float16]
    best: Labels
    margin: NDArray[np.float16]
    contradicted: Bool
    known: Bool
    contradictions: tuple[Contradiction, ...]
    passes: int
    only_class: int


def prepared(
    features: Tensor, stride: float, shape: tuple[int, int], valid: Bool, params: MixtureParams, seed: int = 0
) -> tuple[FeatureGrid, Bool]:
    """Comparable features of an image of ``shape``, and the pixels (h, w) whose features are known."""
    finite = torch.isfinite(features.sum(0))  # one number that is not finite makes the sum so
    rows, columns = (_tokens(n, stride, m) for n, m in zip(shape, finite.shape, strict=True))
    known = valid & finite.cpu().numpy()[np.ix_(rows, columns)]
    has_data = np.zeros(tuple(finite.shape), bool)
    y, x = np.nonzero(known)
    has_data[rows[y], columns[x]] = True
    use = torch.as_tensor(has_data, device=features.device)
    if params.fixed_sigma:  # the public code's fixed scale is a statement about the features as they come
        return FeatureGrid(torch.where(use, features, torch.zeros_like(features)), stride), known
    return FeatureGrid(comparable(torch.nan_to_num(features), use, params.dims, seed), stride), known


def _tokens(n: int, stride: float, tokens: int) -> NDArray[np.intp]:
    """The token that each of n pixels lies on."""
    return np.minimum(((np.arange(n) + 0.5) / stride).astype(np.intp), tokens - 1)


def mixture_answer(
    grid: FeatureGrid,
    known: Bool,
    target: WeakTarget,
    prior: NDArray[np.float32] | None,
    guesses: Labels | None,
    params: MixtureParams,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Answer | None:
    """Fit the mixture to one image and ask it about every pixel.

    Parameters
    ----------
    grid, known
        From :func:`prepared`.
    target : WeakTarget
        Seeds are clamped; ``allow`` holds everywhere.
    prior : float32 (K, h, w) in [0, 1], optional
        Evidence for each class from elsewhere (activation maps, a discriminative head).
    guesses : uint16 (h, w), optional
        Automatic seeds; used for classes without a mark, never clamped.

    Returns
    -------
    Answer or None
        None where there is nothing to start from.
    """
    components = components_of(grid, target.seed * known, target.component * known, guesses, params.components, seed)
    if components is None:
        return None
    step = max(1, int(np.ceil(np.sqrt(known.size / _PASS_PIXELS))))
    every = (slice(step // 2, None, step), slice(step // 2, None, step))
    use = known[every]
    pixels = pixels_of(grid, target, prior, every, use)
    labelled = torch.as_tensor(target.seed[every][use] > 0, device=grid.data.device)
    start = _start(components, pixels, labelled, params)
    contradictions, contradicting = _contradictions(components, start)
    mixture, passes = _updated(start, components, pixels, labelled, float(step * step), params, progress)
    return _everywhere(grid, known, target, prior, components, mixture, contradictions, contradicting, passes, params)


def _start(components: Components, pixels: Pixels, labelled: Tensor, params: MixtureParams) -> Mixture:
    """The mixture before the first update: centres as marked, scales from their distances."""
    nearest = distances_to(components.centres, pixels.x).amin(0)
    free = nearest[~labelled] if bool((~labelled).any()) else nearest
    if not len(free):
        one = nearest.new_tensor(1.0)
        return Mixture(components.centres, _sigma(components, components.centres, nearest, params), one, one / 4)
    sigma = _sigma(components, components.centres, nearest, params)
    if len(components.groups()) == 1:
        return Mixture(components.centres, sigma, *_split(free, params.typicality))
    middle, spread = _typical(_thinned(free))
    return Mixture(components.centres, sigma, middle, torch.maximum(spread, middle / 4))


def _split(distance: Tensor, typicality: float) -> tuple[Tensor, Tensor]:
    """Typical distance and spread where one class is marked.

    The pixels' distances to it are split in two by Otsu's threshold, which gets the typicality from
    which a pixel is answered: a single class never takes the whole image.
    """
    sample = _thinned(distance)
    values = sample.cpu().numpy()
    cut = float(threshold_otsu(values)) if values.min() < values.max() else float(values.max())
    middle = sample[sample <= cut].median().clamp_min(1e-6)
    spread = (cut - middle).clamp_min(0.01 * middle) / (-2 * np.log(max(typicality, 1e-3))) ** 0.5
    return middle, spread


def _thinned(values: Tensor) -> Tensor:
    """Every n-th value, so that a quantile is cheap."""
    return values[:: max(1, len(values) // 20_000)]


def _sigma(components: Components, centres: Tensor, nearest: Tensor, params: MixtureParams) -> Tensor:
    """Tied scale: median half distance from a component to the nearest one of another class."""
    if params.fixed_sigma:
        return centres.new_tensor(0.5**0.5)
    if len(components.groups()) == 1:
        scale = _thinned(nearest).median() / 2 if len(nearest) else centres.new_tensor(1.0)
    else:
        ids = torch.as_tensor(components.class_ids, device=centres.device)
        between = distances_to(centres, centres).masked_fill(ids[:, None] == ids, torch.inf)
        scale = (between.min(1).values / 2).median()
    return scale.clamp_min(1e-6)


def _updated(
    start: Mixture,
    components: Components,
    pixels: Pixels,
    labelled: Tensor,
    area: float,
    params: MixtureParams,
    progress: Progress,
) -> tuple[Mixture, int]:
    """The mixture after the passes, and how many were made (0 where the start ignores too much)."""
    mixture = start
    if bool(labelled.all()):
        return start, 0
    for t in range(params.passes):
        progress(t, params.passes, "mixture")
        e = e_step(pixels, components, mixture, params.prior_weight)
        typical = typicality_of(e.distance, mixture)
        if t == 0 and len(components.groups()) > 1:
            answered = e.possible & (e.margin >= params.margin) & (typical >= params.typicality)
            if float((~answered[~labelled]).float().mean()) > _IGNORED_TOO_MUCH:
                return start, 0
        use = e.possible & ~labelled & (e.top > params.gate) & (typical > params.typicality)
        if not bool(use.any()):
            return mixture, t
        mixture = _m_step(mixture, start, components, pixels.x, e, use, area, (t + 2) ** -0.7, params)
    return mixture, params.passes


def _m_step(
    mixture: Mixture,
    start: Mixture,
    components: Components,
    x: Tensor,
    e: EStep,
    use: Tensor,
    area: float,
    rate: float,
    params: MixtureParams,
) -> Mixture:
    """A step towards the gated pixels' means, each held by the mark that it came from."""
    winners = torch.where(use, e.winner, -1)
    ids = torch.as_tensor(components.class_ids - 1, device=x.device)
    mine = ((e.distances == e.distance) & (winners == ids[:, None])).to(x.dtype)
    n = mine.sum(1, keepdim=True) * area
    anchor = torch.maximum(components.counts[:, None], 0.1 * n)
    centres = torch.lerp(mixture.centres, (anchor * start.centres + mine @ x * area) / (anchor + n), rate)
    used = _thinned(e.distance[use])
    one_class = len(components.groups()) == 1
    middle, spread = _split(e.distance, params.typicality) if one_class else _typical(used)
    sigma = _sigma(components, centres, used, params)
    return Mixture(
        centres,
        torch.lerp(mixture.sigma, sigma, rate),
        torch.lerp(mixture.middle, middle, rate),
        torch.lerp(mixture.spread, spread, rate),
    )


def _typical(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Median of the distances and a robust spread."""
    middle = distance.median().clamp_min(1e-6)
    return middle, torch.maximum(3 * 1.4826 * (distance - middle).abs().median(), 0.1 * middle)


def _contradictions(components: Components, start: Mixture) -> tuple[tuple[Contradiction, ...], NDArray[np.bool_]]:
    """Pairs of marks of different classes that look the same, and whose pixels are not answered until it is settled.

    Each must be the other's nearest: where classes overlap everywhere, that is no mark's mistake. A mark with
    many times the pixels of the other keeps its own: a click in a stroke's midst does not undo the stroke.
    """
    distance = distances_to(components.centres, components.centres).cpu().numpy()
    np.fill_diagonal(distance, np.inf)
    ids, nearest = components.class_ids, distance.argmin(1)
    i = np.arange(len(ids))
    # Distances between pixels of one look scatter by about 0.75 / sqrt(d) around the typical one.
    reach = (1 + _SAME_LOOK / components.centres.shape[1] ** 0.5) * float(start.middle)
    pair = (nearest[nearest] == i) & (ids != ids[nearest]) & (distance[i, nearest] < reach)
    pair &= ~components.automatic & ~components.automatic[nearest]
    places = [(int(y), int(x)) for y, x in components.places]
    found = tuple(
        Contradiction(places[a], places[b], (int(ids[a]), int(ids[b])))
        for a, b in zip(i[pair], nearest[pair], strict=True)
        if a < b
    )
    counts = components.counts.cpu().numpy()
    return found, pair & (counts < _OUTWEIGHS * counts[nearest])


def _everywhere(
    grid: FeatureGrid,
    known: Bool,
    target: WeakTarget,
    prior: NDArray[np.float32] | None,
    components: Components,
    mixture: Mixture,
    contradictions: tuple[Contradiction, ...],
    contradicting: NDArray[np.bool_],
    passes: int,
    params: MixtureParams,
) -> Answer:
    """The last E step, on all pixels, a band of rows at a time."""
    k, (h, w) = len(target.allow), known.shape
    groups = components.groups()
    only = groups[0][0] if len(groups) == 1 else 0
    answer = Answer(
        np.zeros((k, h, w), np.float16), np.zeros((h, w), np.float16), np.zeros((h, w), np.uint16),
        np.zeros((h, w), np.float16), np.zeros((h, w), bool), known, contradictions, passes, only,
    )  # fmt: skip
    rows = max(1, _CHUNK // w)
    for first in range(0, h, rows):
        band = slice(first, min(first + rows, h))
        pixels = pixels_of(grid, target, prior, (band, slice(None)), known[band])
        e = e_step(pixels, components, mixture, params.prior_weight)
        typical = typicality_of(e.distance, mixture)
        if only:
            e = _one_class(e, pixels.allow, typical, only)
        _write(answer, band, e, pixels.allow, typical, _like_conflict(e.distances, contradicting))
    return _clamped(answer, target)


def _one_class(e: EStep, allow: Tensor, typical: Tensor, k: int) -> EStep:
    """With one class marked, what is not typical of it may be any other class that is allowed."""
    others = allow.float()
    others[k - 1] = 0
    left = others.sum(0)
    gamma = others / left.clamp_min(1) * (1 - typical)
    gamma[k - 1] = torch.where(left > 0, typical, torch.ones_like(typical))
    return replace(e, gamma=gamma, winner=torch.full_like(e.winner, k - 1), margin=torch.ones_like(e.margin))


def _like_conflict(distances: Tensor, contradicting: NDArray[np.bool_]) -> Tensor:
    """bool (n,): the nearest component of all is one that contradicts another."""
    if not contradicting.any():
        return torch.zeros(distances.shape[1], dtype=torch.bool, device=distances.device)
    chosen = torch.as_tensor(np.flatnonzero(contradicting), device=distances.device)
    return distances[chosen].amin(0) <= distances.amin(0)


def _write(answer: Answer, band: slice, e: EStep, allow: Tensor, typical: Tensor, conflict: Tensor) -> None:
    """One band of rows of the answer; where no class is possible, all that are allowed are alike."""
    known = answer.known[band]
    gamma = e.gamma
    if not bool(e.possible.all()):
        open_to = torch.where(allow.any(0), allow, torch.ones_like(allow)).float()
        gamma = torch.where(e.possible, gamma, open_to / open_to.sum(0))
    for plane, values in (
        (answer.best, torch.where(e.possible, e.winner + 1, 0)),
        (answer.margin, e.margin),
        (answer.typicality, torch.where(e.possible, typical, 0.0)),
        (answer.contradicted, conflict),
        *zip(answer.probabilities, gamma, strict=True),
    ):
        plane[band][known] = values.cpu().numpy()


def _clamped(answer: Answer, target: WeakTarget) -> Answer:
    """Pixels that a person labelled are of their class."""
    y, x = np.nonzero(target.seed)
    k = target.seed[y, x]
    answer.probabilities[:, y, x] = 0
    answer.probabilities[k - 1, y, x] = 1
    answer.best[y, x], answer.margin[y, x], answer.typicality[y, x] = k, 1, 1
    answer.contradicted[y, x] = False
    return answer
