"""How good a prediction is where there is no truth: learnt from the images that a person reviewed.

In the spirit of RS-SQA (segmentation quality without ground truth); features and regression are our own. An image
counts as reviewed when its mask was accepted after it was predicted; the target is the IoU between both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.models.doubt import entropy
from napari_wsss.project import ImageRecord, Project
from napari_wsss.types import Image, Labels, Prediction, Progress, no_progress

ENOUGH = 15
"""Reviewed images before a number is shown; fewer only sort."""
_COVERED = 0.5  # of an image's pixels must be accepted for a review
_INTERVAL = 0.9
_RIDGE = 1.0
_FILE = "reviews.jsonl"
FEATURES = (
    "mean_entropy", "high_entropy", "unsure_share", "disagreement", "edges_on_contrast", "pieces", "edge_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quality:
    """An image's predicted IoU with a 90 % interval (None while too few were reviewed), and its doubt in [0, 1]."""

    image: str
    doubt: float
    iou: float | None
    low: float | None
    high: float | None


def features(prediction: Prediction, image: Image) -> NDArray[np.float64]:
    """What is measured of a prediction, float64 (7,), see :data:`FEATURES`; all finite."""
    p = prediction.probabilities.astype(np.float32)
    seen = p.sum(0) > 0
    unsure = entropy(p)[seen] if seen.any() else np.ones(1)
    spread = (
        0.0 if prediction.disagreement is None else float(prediction.disagreement[seen].mean() if seen.any() else 0)
    )
    stride = max(1, prediction.stride)
    labels, grey = prediction.labels[::stride, ::stride], image.channels.mean(0)[::stride, ::stride]
    edges = _edges(labels)
    contrast = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    typical = float(contrast.mean()) + 1e-6
    on_contrast = float(contrast[edges].mean()) / typical if edges.any() else 0.0
    pieces = sum(int(ndimage.label(labels == k)[1]) for k in np.unique(labels[labels > 0]))
    return np.array(
        [
            unsure.mean(),
            np.percentile(unsure, 95),
            (unsure > 0.5).mean(),
            spread,
            np.log1p(on_contrast),
            np.log1p(pieces),
            edges.mean(),
        ],
        float,
    )


def note_review(project: Project, name: str, file: Path | None = None) -> bool:
    """Keep what a review taught, before a prediction is replaced; whether there was one.

    A prediction made before its image was accepted is compared with what was accepted. Each review is kept once.
    """
    record = project.record(name)
    found = _review(project, record)
    if found is None:
        return False
    path = file or project.folder / _FILE
    line = json.dumps(found)
    old = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if line in old:
        return False
    with path.open("a", encoding="utf-8") as out:
        out.write(line + "\n")
    return True


def reviews(project: Project) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (n, 7) and IoUs (n,) of all reviews, one an image: the newest."""
    path = project.folder / _FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    newest = {told["image"]: told for told in map(json.loads, lines) if len(told["features"]) == len(FEATURES)}
    for record in project.records():
        told = _review(project, record) if record.state == "accepted" else None
        if told is not None:
            newest[record.name] = told
    x = np.array([told["features"] for told in newest.values()], float).reshape(-1, len(FEATURES))
    return x, np.array([told["iou"] for told in newest.values()], float)


def worst_first(project: Project, progress: Progress = no_progress) -> list[Quality]:
    """Predicted images that nobody reviewed, the worst first.

    From 15 reviews on with a predicted IoU and its interval (ridge regression; the interval holds nine tenths of the
    leave-one-out errors). Before, the order is that of the mean rank of the doubts, and no number is given.
    """
    there = project.result_keys("predicted")
    waiting = [r for r in project.records() if r.name in there and r.state not in ("accepted", "skipped")]
    rows = []
    for done, record in enumerate(waiting):
        progress(done, len(waiting), f"quality {record.name}")
        found = project.result(record.name, "predicted")
        if isinstance(found, Prediction):
            rows.append((record.name, features(found, project.image(record.name))))
    if not rows:
        return []
    x = np.stack([row for _, row in rows])
    doubt = _mean_rank(x[:, :4])
    known, iou = reviews(project)
    if len(iou) < ENOUGH:
        found_all = [Quality(name, float(d), None, None, None) for (name, _), d in zip(rows, doubt, strict=True)]
        return sorted(found_all, key=lambda q: (-q.doubt, q.image))
    guess, reach = predicted_iou(known, iou, x)
    low, high = np.clip(guess - reach, 0, 1), np.clip(guess + reach, 0, 1)
    numbered = [
        Quality(name, float(doubt[i]), float(guess[i]), float(low[i]), float(high[i]))
        for i, (name, _) in enumerate(rows)
    ]
    return sorted(numbered, key=lambda q: (q.iou, q.image))


def predicted_iou(
    known: NDArray[np.float64], iou: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Ridge regression from reviewed images: IoUs in [0, 1] of others, and half the width of the interval."""
    middle, spread = known.mean(0), known.std(0)
    spread = np.where(spread < 1e-9, 1.0, spread)
    design = np.column_stack([np.ones(len(known)), (known - middle) / spread])
    penalty = _RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 0
    inverse = np.linalg.inv(design.T @ design + penalty)
    weights = inverse @ design.T @ iou
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    left_out = (iou - design @ weights) / np.maximum(1 - leverage, 1e-6)
    share = min(1.0, _INTERVAL * (1 + 1 / len(iou)))
    reach = float(np.quantile(np.abs(left_out), share))
    guess = np.column_stack([np.ones(len(x)), (x - middle) / spread]) @ weights
    return np.clip(guess, 0, 1), reach


def _review(project: Project, record: ImageRecord) -> dict[str, object] | None:
    """An image's newest review, or None: not accepted, hardly, or predicted after it was accepted."""
    made, when = project.result_provenance(record.name, "predicted"), project.accepted_when(record.name)
    if record.state != "accepted" or made is None or when is None or made.when >= when:
        return None
    prediction, accepted = project.result(record.name, "predicted"), project.accepted(record.name)
    if not isinstance(prediction, Prediction) or accepted is None or (accepted.labels > 0).mean() < _COVERED:
        return None
    row = features(prediction, project.image(record.name))
    iou = mean_iou(accepted.labels, prediction.labels)
    return {"image": record.name, "predicted": made.when, "accepted": when, "iou": iou, "features": row.tolist()}


def mean_iou(accepted: Labels, answer: Labels) -> float:
    """Mean IoU over the classes in either, where something is accepted."""
    known = accepted > 0
    a, b = accepted[known], answer[known]
    each = [((a == k) & (b == k)).sum() / ((a == k) | (b == k)).sum() for k in np.union1d(a, b) if k]
    return float(np.mean(each)) if each else 0.0


def _edges(labels: Labels) -> NDArray[np.bool_]:
    out = np.zeros(labels.shape, bool)
    out[1:] |= labels[1:] != labels[:-1]
    out[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return out


def _mean_rank(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over columns of each row's rank, in [0, 1]; equal values share a rank."""
    ranks = []
    for column in x.T:
        values, where = np.unique(column, return_inverse=True)
        ranks.append(where / max(len(values) - 1, 1))
    mean: NDArray[np.float64] = np.mean(ranks, 0)
    return mean
