"""Figures of activation maps as seeds: at one fixed background threshold, and at the best one.

The best threshold peeks at the truth; it is reported with its value and never without the fixed one.
A pixel is the class of its strongest map where that map is above the threshold, else background.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.evaluation.pixels import Counts, Overlaps
from napari_wsss.types import Bool, Classes, Float, Labels

FIXED = 0.4
THRESHOLDS: NDArray[np.float64] = np.arange(101) / 100


@dataclass(frozen=True, eq=False, slots=True)
class SeedCase:
    """One image's maps float32 (k, h, w), their class ids, and its truth uint16 (h, w)."""

    name: str
    truth: Labels
    scores: Float
    class_ids: tuple[int, ...]
    left_out: Bool | None = None


@dataclass(frozen=True, slots=True)
class SeedFigures:
    """mIoU over the classes in the truth, false-positive and false-negative share, at two thresholds.

    ``curve[i]`` is the mIoU at the background threshold i / 100. Every pixel is answered: coverage is 1.
    """

    fixed_threshold: float
    fixed_miou: float
    fixed_fp_ratio: float
    fixed_fn_ratio: float
    best_threshold: float
    best_miou: float
    best_fp_ratio: float
    best_fn_ratio: float
    curve: tuple[float, ...]
    images: int

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary, without the curve."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "curve"}


def evaluate_seeds(cases: Iterable[SeedCase], classes: Classes, fixed: float = FIXED) -> SeedFigures:
    """Score activation maps over all background thresholds 0, 0.01 … 1 in one pass.

    Raises
    ------
    UsageError
        If there is no class ``background``, ``fixed`` is none of the thresholds, or nothing can be scored.
    """
    if classes.background is None:
        raise UsageError("seed figures need a class named background: what is below the threshold becomes it")
    place = round(fixed * 100)
    if not 0 <= place <= 100 or abs(place - fixed * 100) > 1e-9:
        raise UsageError(f"threshold {fixed} must be one of 0, 0.01 … 1")
    table = np.zeros((len(classes) + 1, len(classes) + 1, len(THRESHOLDS) + 1), np.int64)
    images = 0
    for case in cases:
        table += _table(case, len(classes))
        images += 1
    if not table.any():
        raise UsageError(f"nothing to score: no truth in {images} images; is the folder the right one?")
    overlaps = [Overlaps.of(_matrix(table, n, classes.background)) for n in range(len(THRESHOLDS))]
    curve = [float(o.iou[o.in_truth].mean()) for o in overlaps]
    best = int(np.argmax(curve))
    at_fixed, at_best = overlaps[place], overlaps[best]
    return SeedFigures(
        fixed_threshold=float(THRESHOLDS[place]),
        fixed_miou=curve[place],
        fixed_fp_ratio=float(at_fixed.fp[at_fixed.in_truth].mean()),
        fixed_fn_ratio=float(at_fixed.fn[at_fixed.in_truth].mean()),
        best_threshold=float(THRESHOLDS[best]),
        best_miou=curve[best],
        best_fp_ratio=float(at_best.fp[at_best.in_truth].mean()),
        best_fn_ratio=float(at_best.fn[at_best.in_truth].mean()),
        curve=tuple(curve),
        images=images,
    )


def _table(case: SeedCase, classes: int) -> Counts:
    """Pixels of each truth id, each strongest class, and each number of thresholds that its score exceeds."""
    if case.scores.shape != (len(case.class_ids), *case.truth.shape):
        raise WsssError(
            f"{case.name}: maps {case.scores.shape} of {len(case.class_ids)} classes, truth {case.truth.shape}"
        )
    scored = case.truth > 0
    if case.left_out is not None:
        scored &= ~case.left_out
    truth = case.truth[scored].astype(np.int64)
    if not case.class_ids:
        strongest, above = np.zeros_like(truth), np.zeros_like(truth)
    else:
        scores = case.scores[:, scored].astype(np.float64)
        strongest = np.asarray(case.class_ids, np.int64)[scores.argmax(0)]
        above = np.searchsorted(THRESHOLDS, scores.max(0), side="left")
    shape = (classes + 1, classes + 1, len(THRESHOLDS) + 1)
    flat = np.ravel_multi_index((truth, strongest, above), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _matrix(table: Counts, threshold: int, background: int) -> Counts:
    matrix: Counts = table[:, :, threshold + 1 :].sum(2)
    matrix[:, background] += table[:, :, : threshold + 1].sum((1, 2))
    return matrix
