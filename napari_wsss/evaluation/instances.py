"""Counts over objects: which were found (IoU above 0.5), and how well.

AP50 is TP / (TP + FP + FN), as cell segmentation is scored: masks carry no confidence, so there is no
curve to integrate. PQ is Σ IoU of TP / (TP + FP/2 + FN/2) (Kirillov et al., CVPR 2019). Both per
class, then averaged over the classes whose truth has ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_wsss.objects import has_ids, numbered
from napari_wsss.types import Bool, Instances, Labels

MATCH = 0.5
"""An answer matches a true object where their IoU is above this: at most one can."""


@dataclass(slots=True)
class Tally:
    """Objects of one class over a set: matches, their summed IoU, answers and true objects."""

    matched: int = 0
    iou: float = 0.0
    found: int = 0
    true: int = 0

    @property
    def ap50(self) -> float:
        return self.matched / max(self.found + self.true - self.matched, 1)

    @property
    def pq(self) -> float:
        return self.iou / max((self.found + self.true) / 2, 1e-9)


@dataclass(slots=True)
class ObjectCounts:
    """Tallies of every class; classes whose truth never bears an id are left out at the end.

    A class's image counts where its truth has ids or the class does not occur in it. Answers without ids
    count one object a connected region. Pixels whose truth is not known (or not told apart) are
    nobody's: they belong to no area, and an unmatched answer mostly made of them is no error.
    """

    classes: int
    images: int = 0
    tallies: dict[int, Tally] = field(default_factory=dict)

    def add(self, truth: Labels, ids: Instances, answer: Labels, answer_ids: Instances | None) -> None:
        """One image."""
        self.images += 1
        for k in range(1, self.classes + 1):
            of_class = truth == k
            if of_class.any() and not has_ids(truth, ids, k):
                continue
            nobody = (truth == 0) | (of_class & (ids == 0))
            true = numbered(np.where(nobody, 0, truth).astype(np.uint16), ids, k)
            found = numbered(answer, answer_ids, k)
            _count(self.tallies.setdefault(k, Tally()), true, found, nobody)

    def kept(self) -> dict[int, Tally]:
        """Tallies of the classes whose truth has objects."""
        return {k: t for k, t in sorted(self.tallies.items()) if t.true}


def _count(tally: Tally, true: NDArray[np.int32], found: NDArray[np.int32], nobody: Bool) -> None:
    count_true, count_found = int(true.max(initial=0)), int(found.max(initial=0))
    whole = np.bincount(found.ravel(), minlength=count_found + 1)[1:]
    found = np.where(nobody, 0, found)
    area_true = np.bincount(true.ravel(), minlength=count_true + 1)[1:]
    area_found = np.bincount(found.ravel(), minlength=count_found + 1)[1:]
    both = (true > 0) & (found > 0)
    pair, shared = np.unique(true[both].astype(np.int64) * (count_found + 1) + found[both], return_counts=True)
    t, f = pair // (count_found + 1) - 1, pair % (count_found + 1) - 1
    iou = shared / (area_true[t] + area_found[f] - shared)
    match = iou > MATCH
    excused = (whole - area_found) > whole / 2
    excused[f[match]] = False
    tally.matched += int(match.sum())
    tally.iou += float(iou[match].sum())
    tally.found += count_found - int(excused.sum())
    tally.true += count_true
