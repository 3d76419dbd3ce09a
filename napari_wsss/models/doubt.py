"""Maps of doubt from class probabilities: entropy, impurity of a neighbourhood, uncertainty of a region.

RIPU (Xie et al., Towards fewer annotations: active learning via region impurity and prediction uncertainty for
domain adaptive semantic segmentation, CVPR 2022), with log K where the public code has log 19. Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float64]
EPS = 1e-6
_EVEN = 1e-9  # maps whose values differ by less tell no place from another


@dataclass(frozen=True, eq=False, slots=True)
class RegionScores:
    """Float64 (h, w) each: score S = P U, impurity P and uncertainty U of the window around each pixel."""

    score: Map
    impurity: Map
    uncertainty: Map


def box_sum(values: NDArray[np.generic], k: int) -> Map:
    """Sum over the (2k + 1)^2 window around each pixel, clipped at the border; cost does not depend on k."""
    out: Map = np.asarray(values, np.float64)
    for axis in (0, 1):
        n = out.shape[axis]
        sums = np.concatenate([np.zeros_like(out.take([0], axis)), out.cumsum(axis)], axis)
        at = np.arange(n)
        out = sums.take(np.minimum(at + k + 1, n), axis) - sums.take(np.maximum(at - k, 0), axis)
    return out


def box_mean(values: NDArray[np.generic], k: int) -> Map:
    """Mean over the part of the (2k + 1)^2 window around each pixel that lies inside."""
    mean: Map = box_sum(values, k) / window_sizes((values.shape[0], values.shape[1]), k)
    return mean


def window_sizes(shape: tuple[int, int], k: int) -> Map:
    """Pixels of the window around each pixel that lie inside: for k = 1, 4 in corners, 6 at edges, 9 within."""
    return box_sum(np.ones(shape), k)


def entropy(p: NDArray[np.floating], normalised: bool = True) -> Map:
    """-sum p log(p + 1e-6) over classes (K, h, w), divided by log K."""
    p = np.asarray(p, np.float64)
    raw: Map = -(p * np.log(p + EPS)).sum(0)
    return np.maximum(raw / (_log_classes(len(p)) if normalised else 1.0), 0)


def impurity(p: NDArray[np.floating], k: int, normalised: bool = True) -> Map:
    """Entropy of the shares of predicted classes in the window around each pixel; at least 0."""
    best = np.asarray(p).argmax(0)
    n = window_sizes((best.shape[0], best.shape[1]), k)
    total = np.zeros(best.shape)
    for c in np.unique(best):
        share = box_sum(best == c, k) / n
        total -= share * np.log(share + EPS)
    return np.maximum(total / (_log_classes(len(p)) if normalised else 1.0), 0)


def region_scores(p: NDArray[np.floating], k: int) -> RegionScores:
    """RIPU's scores of the (2k + 1)^2 window around each pixel (RA)."""
    mixed = impurity(p, k)
    unsure = box_mean(entropy(p), k)
    return RegionScores(mixed * unsure, mixed, unsure)


def pixel_scores(p: NDArray[np.floating], k: int = 32) -> Map:
    """RIPU's score of single pixels (PA): entropy of the pixel times impurity around it, neither normalised."""
    return entropy(p, normalised=False) * impurity(p, k, normalised=False)


def margin(p: NDArray[np.floating]) -> Map:
    """1 - (first - second probability): 1 where two classes are equally likely."""
    if len(p) < 2:
        return np.zeros(p.shape[1:])
    top = np.partition(np.asarray(p, np.float64), len(p) - 2, axis=0)
    lead: Map = top[-1] - top[-2]
    return 1 - lead


def is_even(scores: Map, among: NDArray[np.bool_] | None = None) -> bool:
    """Whether a map tells no place from another (constant, or nothing left to choose from)."""
    values = scores[among] if among is not None else scores.ravel()
    return values.size == 0 or float(values.max() - values.min()) <= _EVEN


def pick(scores: Map, taken: NDArray[np.bool_], k: int, suppress: int) -> Iterator[tuple[int, int]]:
    """Centres (y, x), best first, first in reading order among equals; ``taken`` is written as it goes.

    After each, the window of half side ``suppress`` is taken: with 2k, windows of half side k never overlap. Ends
    when everything is taken or the best score left is not above 0.
    """
    left = np.where(taken, -np.inf, scores)
    while True:
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        if not left[y, x] > 0:
            return
        around = np.s_[max(0, y - suppress) : y + suppress + 1, max(0, x - suppress) : x + suppress + 1]
        left[around] = -np.inf
        taken[around] = True
        yield int(y), int(x)


def _log_classes(k: int) -> float:
    return float(np.log(max(k, 2)))
