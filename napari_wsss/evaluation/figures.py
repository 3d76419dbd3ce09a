"""All figures of a set of masks against their truth, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.evaluation.instances import ObjectCounts
from napari_wsss.evaluation.pixels import (
    Counts,
    Overlaps,
    band_counts,
    confusion,
    edge_counts,
    edge_f1,
    mean_or_none,
)
from napari_wsss.types import Bool, Classes, Instances, Labels


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """One image to score.

    Attributes
    ----------
    name : str
    truth : uint16 (h, w)
        Class ids; 0 is not scored.
    answer : uint16 (h, w) or None
        Class ids; 0 = no answer, wrong where the truth is known. None = missing, scored as all 0.
    truth_instances, instances : uint32 (h, w) or None
    left_out : bool (h, w) or None
        Pixels not to score, e.g. those a person gave (:func:`~napari_wsss.evaluation.truth.hinted`).
    """

    name: str
    truth: Labels
    answer: Labels | None
    truth_instances: Instances | None = None
    instances: Instances | None = None
    left_out: Bool | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What :func:`evaluate` measures. Shares lie in [0, 1]; None = not defined for this set.

    The names and definitions up to ``iou`` are those of the project's reference script; ``iou`` has four digits.

    Attributes
    ----------
    miou : mean IoU over the classes that occur in the truth
    accuracy : share of scored pixels with the right answer
    coverage : share of scored pixels with an answer
    fp_ratio, fn_ratio : wrongly claimed and missed share of each class's union, averaged like ``miou``
    boundary_f1 : F1 of edges between scored pixels, within 2 px
    missing : images without an answer
    iou : per class in the truth
    images : images scored
    miou_all : mean IoU over the classes in the truth or the answers
    miou_covered : ``miou`` among pixels with an answer; read it with ``coverage``
    image_miou : mean over images of the image's own mIoU
    fw_iou : IoU weighted by the classes' pixels
    boundary_iou, boundary_iou_2px : IoU of the classes' rims, 2 % of the diagonal and 2 px deep
    ap50, pq : over objects, where the truth has instance ids; None elsewhere
    objects : per class ``true``, ``found``, ``matched``, ``ap50``, ``pq``
    images_with_instances : images whose truth has instance ids
    """

    miou: float
    accuracy: float
    coverage: float
    fp_ratio: float
    fn_ratio: float
    boundary_f1: float | None
    missing: int
    iou: dict[str, float]
    images: int
    miou_all: float
    miou_covered: float | None
    image_miou: float
    fw_iou: float
    boundary_iou: float | None
    boundary_iou_2px: float | None
    ap50: float | None = None
    pq: float | None = None
    objects: dict[str, dict[str, float]] = field(default_factory=dict)
    images_with_instances: int = 0

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary; without the object figures where the truth has no instances."""
        out = {name: getattr(self, name) for name in self.__slots__}
        if not self.images_with_instances:
            for name in ("ap50", "pq", "objects", "images_with_instances"):
                del out[name]
        return out


def evaluate(cases: Iterable[Case], classes: Classes) -> Figures:
    """Score a set of images, one at a time.

    Raises
    ------
    UsageError
        If no pixel of the set can be scored.
    WsssError
        If an answer does not fit its truth; names the image.
    """
    sums = _Sums(len(classes))
    for case in cases:
        sums.add(case)
    return sums.figures(classes)


@dataclass(slots=True)
class _Sums:
    """What is added up over the images."""

    classes: int
    matrix: Counts = field(init=False)
    edges: Counts = field(init=False)
    bands: Counts = field(init=False)
    objects: ObjectCounts = field(init=False)
    per_image: list[float] = field(default_factory=list)
    missing: int = 0
    images: int = 0

    def __post_init__(self) -> None:
        self.matrix = np.zeros((self.classes + 1, self.classes + 1), np.int64)
        self.edges = np.zeros(4, np.int64)
        self.bands = np.zeros((2, self.classes, 2), np.int64)
        self.objects = ObjectCounts(self.classes)

    def add(self, case: Case) -> None:
        truth, answer = case.truth, case.answer
        if answer is None:
            self.missing += 1
            answer = np.zeros_like(truth)
        _check(case.name, truth, answer, self.classes)
        scored = truth > 0
        if case.left_out is not None:
            scored &= ~case.left_out
        here = confusion(truth, answer, scored, self.classes)
        self.images += 1
        self.matrix += here
        self.edges += edge_counts(truth, answer, scored)
        self.bands += band_counts(truth, answer, scored, self.classes)
        own = Overlaps.of(here)
        if own.in_truth.any():
            self.per_image.append(float(own.iou[own.in_truth].mean()))
        if case.truth_instances is not None:
            self.objects.add(truth, case.truth_instances, answer, case.instances)

    def figures(self, classes: Classes) -> Figures:
        total = int(self.matrix.sum())
        if not total:
            raise UsageError(f"nothing to score: no truth in {self.images} images; is the folder the right one?")
        all_, known = Overlaps.of(self.matrix), self.matrix.sum(1)[1:]
        answered = self.matrix.copy()
        answered[:, 0] = 0
        covered = Overlaps.of(answered)
        present = all_.in_truth
        return Figures(
            miou=float(all_.iou[present].mean()),
            accuracy=float(np.diag(self.matrix)[1:].sum() / total),
            coverage=float(1 - self.matrix[:, 0].sum() / total),
            fp_ratio=float(all_.fp[present].mean()),
            fn_ratio=float(all_.fn[present].mean()),
            boundary_f1=edge_f1(self.edges),
            missing=self.missing,
            iou={c.name: round(float(all_.iou[c.id - 1]), 4) for c in classes if present[c.id - 1]},
            images=self.images,
            miou_all=float(all_.iou[present | all_.in_answer].mean()),
            miou_covered=mean_or_none(covered.iou, covered.in_truth),
            image_miou=float(np.mean(self.per_image)),
            fw_iou=float((all_.iou * known).sum() / known.sum()),
            boundary_iou=self._bands(0, present),
            boundary_iou_2px=self._bands(1, present),
            **self._objects(classes),
        )

    def _bands(self, which: int, present: Bool) -> float | None:
        shared, union = self.bands[which].T
        return mean_or_none(shared / np.maximum(union, 1), present & (union > 0))

    def _objects(self, classes: Classes) -> dict[str, Any]:
        kept = self.objects.kept()
        if not kept:
            return {}
        return {
            "ap50": float(np.mean([t.ap50 for t in kept.values()])),
            "pq": float(np.mean([t.pq for t in kept.values()])),
            "images_with_instances": self.objects.images,
            "objects": {
                classes[k].name: {"true": t.true, "found": t.found, "matched": t.matched, "ap50": t.ap50, "pq": t.pq}
                for k, t in kept.items()
            },
        }


def _check(name: str, truth: Labels, answer: Labels, classes: int) -> None:
    if answer.shape != truth.shape:
        raise WsssError(f"{name}: the mask is {answer.shape}, its truth {truth.shape}; they must be of one size")
    for what, labels in (("mask", answer), ("truth", truth)):
        highest = int(labels.max(initial=0))
        if highest > classes:
            raise WsssError(f"{name}: the {what} holds class {highest}, but there are {classes} classes")
