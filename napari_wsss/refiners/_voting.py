"""Class-agnostic proposals vote on a pseudo-label: joint and order-free (methods.md G.5), or as published (C.1).

Chen et al., "Segment Anything Model (SAM) Enhanced Pseudo Labels for Weakly Supervised Semantic
Segmentation", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_wsss.models.prompts import Embedding, Prediction, Prompt, PromptPredictor, stability
from napari_wsss.types import Bool, Box4, Float, Labels, Progress

LARGEST_SHARE = 0.6
"""Proposals over this share of the image are no objects."""

_INSIDE, _COVERAGE, _INSIDE_IF_COVERED, _LARGEST_RATIO = 0.5, 0.85, 0.3, 3.0
_GOOD, _STABLE, _SAME = 0.8, 0.9, 0.7


@dataclass(frozen=True, eq=False, slots=True)
class Proposal:
    """A mask cut out at its box (y0, x0, y1, x1; half open), and how good its maker finds it."""

    box: Box4
    mask: Bool
    score: float = 1.0

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.box[0], self.box[2]), slice(self.box[1], self.box[3])


def proposal_of(mask: Bool, score: float = 1.0) -> Proposal | None:
    """A full mask (h, w) as a proposal, or None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return Proposal(box, mask[box[0] : box[2], box[1] : box[3]].copy(), score)


# --------------------------------------------------------------------------- votes


def vote_joint(
    labels: Labels,
    probabilities: Float,
    proposals: Sequence[Proposal],
    classes: tuple[int, ...],
) -> tuple[Labels, tuple[int, ...]]:
    """Give each proposal to at most one class, all at once; the smallest proposal wins a pixel.

    A proposal suits a class if half of it lies in the class and it is at most three times as large as
    the class, or if it holds 85 % of the class and 30 % of it lie in it. It goes to the suited class
    with most pixels in it; a tie is decided by the mean probability, a tie of that leaves it out. Class
    pixels in proposals that no class got are 0 in the result: prediction and proposals disagree.

    Parameters
    ----------
    labels : uint16 (h, w)
        Pseudo-label; 0 = not labelled.
    probabilities : float32 (K, h, w)
    proposals : sequence of Proposal
    classes : tuple of int
        Class ids that may own proposals (never the background).

    Returns
    -------
    labels : uint16 (h, w)
    owners : tuple of int
        Class of each proposal, 0 = none.
    """
    present = {c: int((labels == c).sum()) for c in classes}
    owners = tuple(_owner(p, labels, probabilities, present) for p in proposals)
    kept = [(p, c) for p, c in zip(proposals, owners) if p.area <= LARGEST_SHARE * labels.size]
    covered = _union([p for p, _ in kept], labels.shape)
    out = np.where(covered & np.isin(labels, classes), 0, labels).astype(np.uint16)
    for proposal, owner in sorted(kept, key=lambda pair: -pair[0].area):
        if owner:
            out[proposal.window][proposal.mask] = owner
    return out, owners


def _owner(proposal: Proposal, labels: Labels, probabilities: Float, present: dict[int, int]) -> int:
    area = proposal.area
    if area > LARGEST_SHARE * labels.size:
        return 0
    inner = labels[proposal.window][proposal.mask]
    ranked = []
    for class_id, total in present.items():
        shared = int((inner == class_id).sum())
        mostly = shared >= _INSIDE * area and area <= _LARGEST_RATIO * total
        holds = shared >= _COVERAGE * total and shared >= _INSIDE_IF_COVERED * area
        if shared and (mostly or holds):
            belief = float(probabilities[class_id - 1][proposal.window][proposal.mask].astype(np.float64).mean())
            ranked.append((shared, belief, class_id))
    ranked.sort(reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]):
        return 0
    return ranked[0][2]


def vote_faithful(labels: Labels, proposals: Sequence[Proposal], classes: tuple[int, ...], rest: int) -> Labels:
    """The published vote, for reproducing its numbers: lower ids claim first, higher ids overwrite.

    Parameters
    ----------
    labels : uint16 (h, w)
    proposals : sequence of Proposal
    classes : tuple of int
    rest : int
        What pixels become that no class keeps (the background's id, or 0).
    """
    out = np.where(np.isin(labels, classes), rest, labels).astype(np.uint16)
    free = list(proposals)
    for class_id in sorted(classes):
        ours = labels == class_id
        total = int(ours.sum())
        if not total:
            continue
        claimed = [p for p in free if _claims(int((ours[p.window] & p.mask).sum()), p.area, total)]
        result = (ours & ~_union(free, labels.shape)) | _union(claimed, labels.shape)
        taken = {id(p) for p in claimed}
        free = [p for p in free if id(p) not in taken]
        out[result] = class_id
    return out


def _claims(shared: int, area: int, total: int) -> bool:
    return 2 * shared > area or shared >= _COVERAGE * total


def _union(proposals: Sequence[Proposal], shape: tuple[int, ...]) -> Bool:
    out: Bool = np.zeros(shape, bool)
    for p in proposals:
        out[p.window] |= p.mask
    return out


# --------------------------------------------------------------------------- proposals from a grid of points


def propose(
    predictor: PromptPredictor, embedding: Embedding, per_side: int, progress: Progress
) -> tuple[Proposal, ...]:
    """Proposals of a whole image: one prompt a point of a regular grid, good and stable ones, each once.

    Parameters
    ----------
    predictor : PromptPredictor
    embedding : Embedding
    per_side : int
        Points along the longer side.
    progress : callable

    Returns
    -------
    tuple of Proposal
        Best first; no two overlap by more than an IoU of 0.7.
    """
    points = _grid(embedding.shape, per_side)
    found: list[Proposal] = []
    for done, point in enumerate(points):
        progress(done, len(points), "proposals")
        prompt = Prompt(np.array([point], np.int64), np.ones(1, bool))
        found += _good(predictor.predict(embedding, prompt), embedding.shape)
    return _each_once(sorted(found, key=lambda p: (-p.score, p.box)))


def _grid(shape: tuple[int, int], per_side: int) -> list[tuple[int, int]]:
    step = max(shape) / per_side
    rows, columns = (max(1, round(n / step)) for n in shape)
    return [
        (int((i + 0.5) * shape[0] / rows), int((j + 0.5) * shape[1] / columns))
        for i in range(rows)
        for j in range(columns)
    ]


def _good(prediction: Prediction, shape: tuple[int, int]) -> list[Proposal]:
    steady = stability(prediction.lowres, shape)
    out = []
    for mask, iou, stable in zip(prediction.masks, prediction.iou, steady):
        if iou < _GOOD or stable < _STABLE:
            continue
        made = proposal_of(mask, float(iou))
        if made is not None and made.area <= LARGEST_SHARE * mask.size:
            out.append(made)
    return out


def _each_once(ranked: Sequence[Proposal]) -> tuple[Proposal, ...]:
    kept: list[Proposal] = []
    for candidate in ranked:
        if all(_iou(candidate, other) <= _SAME for other in kept):
            kept.append(candidate)
    return tuple(kept)


def _iou(a: Proposal, b: Proposal) -> float:
    y0, x0 = max(a.box[0], b.box[0]), max(a.box[1], b.box[1])
    y1, x1 = min(a.box[2], b.box[2]), min(a.box[3], b.box[3])
    if y0 >= y1 or x0 >= x1:
        return 0.0
    cut_a = a.mask[y0 - a.box[0] : y1 - a.box[0], x0 - a.box[1] : x1 - a.box[1]]
    cut_b = b.mask[y0 - b.box[0] : y1 - b.box[0], x0 - b.box[1] : x1 - b.box[1]]
    shared = int((cut_a & cut_b).sum())
    return shared / (a.area + b.area - shared)
