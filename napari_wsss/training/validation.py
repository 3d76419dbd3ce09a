"""How good the teacher is on the held-out images, at the pixels that a person accepted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.tiled_prediction import predict_tiled
from napari_wsss.trained import Trained
from napari_wsss.training.gallery import Shown
from napari_wsss.training.losses.cw_bass import STRICT
from napari_wsss.types import Bool, Box4, Float, Prediction


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """What was seen: mean IoU over the classes accepted there; of each class, sure pixels and how many are right."""

    miou: float
    iou: dict[str, float]
    right: list[float]
    sure: list[float]


def look(trained: Trained, images: list[Shown]) -> Look:
    """Figures of a network on held-out images."""
    classes = len(trained.recipe.classes)
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    right, sure = np.zeros(classes), np.zeros(classes)
    for shown in images:
        found = predict_shown(trained, shown)
        known = shown.seed > 0
        pairs = shown.seed[known].astype(np.int64) * (classes + 1) + found.labels[known]
        matrix += np.bincount(pairs, minlength=matrix.size).reshape(matrix.shape)
        mine, all_of = _sure(found, shown.seed, classes)
        right += mine
        sure += all_of
    hits = np.diag(matrix)[1:]
    union = matrix.sum(1)[1:] + matrix.sum(0)[1:] - hits
    there = matrix.sum(1)[1:] > 0
    iou = {trained.recipe.classes[k]: float(hits[k] / union[k]) for k in np.flatnonzero(there)}
    return Look(float(np.mean(list(iou.values()))) if iou else 0.0, iou, right.tolist(), sure.tolist())


def predict_shown(trained: Trained, shown: Shown) -> Prediction:
    """The prediction of an image that the trainer holds."""

    def read(box: Box4) -> tuple[Float, Bool]:
        y0, x0, y1, x1 = box
        step = shown.step
        part = shown.x[:, y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)]
        return part.astype(np.float32), shown.valid[y0:y1, x0:x1]

    return predict_tiled(trained, (shown.valid.shape[0], shown.valid.shape[1]), shown.step, read)


def _sure(found: Prediction, seed: NDArray[np.uint16], classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A class: accepted cells that the network is at least 0.95 sure of, those that are right, and all."""
    stride = found.stride
    confidence = found.probabilities.max(0)
    answer = found.probabilities.argmax(0) + 1
    truth = seed[::stride, ::stride]
    chosen = (confidence >= STRICT) & (truth > 0)
    all_of = np.bincount(answer[chosen], minlength=classes + 1)[1:]
    right = np.bincount(answer[chosen & (answer == truth)], minlength=classes + 1)[1:]
    return right.astype(float), all_of.astype(float)
