"""Counts over pixels: the confusion matrix and what follows from it, and how well edges lie.

Counts are summed over the whole set, never averaged per image (methods.md 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.types import Bool, Labels

Counts = NDArray[np.int64]

EDGE_TOLERANCE = 2  # pixels
BAND_SHARE = 0.02  # of the image's diagonal

# all pixel offsets no further than the tolerance
_reach = np.arange(-EDGE_TOLERANCE, EDGE_TOLERANCE + 1)
_NEAR: Bool = _reach[:, None] ** 2 + _reach**2 <= EDGE_TOLERANCE**2


def confusion(truth: Labels, answer: Labels, scored: Bool, classes: int) -> Counts:
    """Pixels of each truth id (rows 0..K) given each answer id (columns 0..K), among the scored ones."""
    pairs = truth[scored].astype(np.int64) * (classes + 1) + answer[scored]
    return np.bincount(pairs, minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)


@dataclass(frozen=True, eq=False, slots=True)
class Overlaps:
    """Per class 1..K of a confusion matrix: shares of the union that are right, too much and too little.

    ``iou + fp + fn`` is 1 for every class that occurs at all.
    """

    iou: NDArray[np.float64]
    fp: NDArray[np.float64]
    fn: NDArray[np.float64]
    in_truth: Bool
    in_answer: Bool

    @classmethod
    def of(cls, matrix: Counts) -> Overlaps:
        hits = np.diag(matrix)[1:]
        truth, answer = matrix.sum(1)[1:], matrix.sum(0)[1:]
        union = np.maximum(truth + answer - hits, 1)
        return cls(hits / union, (answer - hits) / union, (truth - hits) / union, truth > 0, answer > 0)


# --------------------------------------------------------------------------- edges


def edges(labels: Labels, scored: Bool) -> Bool:
    """Both pixels of every pair of scored neighbours (4) whose ids differ."""
    out = np.zeros(labels.shape, bool)
    across = (labels[1:] != labels[:-1]) & scored[1:] & scored[:-1]
    along = (labels[:, 1:] != labels[:, :-1]) & scored[:, 1:] & scored[:, :-1]
    out[1:] |= across
    out[:-1] |= across
    out[:, 1:] |= along
    out[:, :-1] |= along
    return out


def edge_counts(truth: Labels, answer: Labels, scored: Bool) -> Counts:
    """Answer's edges near the truth's, all of them; the truth's near the answer's, all of them."""
    true, found = edges(truth, scored), edges(answer, scored)
    right = found & ndimage.binary_dilation(true, _NEAR)
    met = true & ndimage.binary_dilation(found, _NEAR)
    return np.array([np.count_nonzero(x) for x in (right, found, met, true)], np.int64)


def edge_f1(counts: Counts) -> float | None:
    """F1 of precision and recall of edges; None where the truth has none."""
    right, found, met, true = (int(c) for c in counts)
    if not true:
        return None
    precision, recall = right / max(found, 1), met / true
    return 2 * precision * recall / max(precision + recall, 1e-9)


# --------------------------------------------------------------------------- boundary IoU


def band(mask: Bool, depth: int) -> Bool:
    """Pixels of the mask within ``depth`` of its rim (chessboard distance); the image's border is rim too."""
    inner = ndimage.distance_transform_cdt(np.pad(mask, 1), "chessboard")[1:-1, 1:-1]
    out: Bool = mask & (inner <= depth)
    return out


def boundary_iou(a: Bool, b: Bool, ratio: float = BAND_SHARE) -> float:
    """IoU of the rims of two masks, ``ratio`` of the image's diagonal deep (at least a pixel); 1 if both are empty."""
    depth = band_depth((a.shape[0], a.shape[1]), ratio)
    rim_a, rim_b = band(a, depth), band(b, depth)
    union = np.count_nonzero(rim_a | rim_b)
    return np.count_nonzero(rim_a & rim_b) / union if union else 1.0


def band_depth(shape: tuple[int, int], ratio: float = BAND_SHARE) -> int:
    return max(1, round(ratio * float(np.hypot(*shape))))


def band_counts(truth: Labels, answer: Labels, scored: Bool, classes: int) -> Counts:
    """(2, K, 2): intersection and union of bands a class; depth 2 % of the diagonal, and 2 px.

    Bands are those of the whole labelled area; pixels that are not scored are only not counted,
    for a hint cut out of an object is no rim of it.
    """
    out = np.zeros((2, classes, 2), np.int64)
    depths = (band_depth((truth.shape[0], truth.shape[1])), EDGE_TOLERANCE)
    labelled = truth > 0
    for k in range(1, classes + 1):
        masks = (truth == k, (answer == k) & labelled)
        if not any(m.any() for m in masks):
            continue
        inner = [ndimage.distance_transform_cdt(np.pad(m, 1), "chessboard")[1:-1, 1:-1] for m in masks]
        for n, depth in enumerate(depths):
            true, found = ((m & (i <= depth) & scored) for m, i in zip(masks, inner))
            out[n, k - 1] = np.count_nonzero(true & found), np.count_nonzero(true | found)
    return out


def mean_or_none(values: NDArray[Any], where: Bool) -> float | None:
    """Mean of the chosen values; None where nothing is chosen."""
    return float(values[where].mean()) if where.any() else None
