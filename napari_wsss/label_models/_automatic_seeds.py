"""Seeds that no person gave: from activation maps and from boxes. They start the mixture and are never clamped."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_wsss.label_models._components import kmeans
from napari_wsss.label_models._feature_grid import FeatureGrid
from napari_wsss.types import Bool, Box, Cam, Classes, Labels, Tags, WeakTarget

_BOX_SHARE = 0.2  # of a box's pixels that are taken for its object
_BOX_STEPS = 64  # most positions along a side of a box at which its features are read
_OUTSIDE_PIXELS = 2000
_OUTSIDE_LOOKS = 4


def cam_prior(cam: Cam, classes: Classes) -> NDArray[np.float32]:
    """float32 (K, h, w): each class's map, background as what no map claims, 0.5 for a class without a map."""
    prior = np.full((len(classes), *cam.seeds.shape), 0.5, np.float32)
    for k, scores in zip(cam.classes, cam.scores, strict=True):
        prior[k - 1] = scores
    if classes.background is not None and len(cam.scores):
        prior[classes.background - 1] = 1 - cam.scores.max(0)
    return prior


def cam_seeds(cam: Cam, target: WeakTarget, tags: Tags, classes: Classes) -> Labels:
    """The dual-threshold seeds, without human-given pixels, forbidden classes, and classes not tagged."""
    guesses = np.where(target.seed > 0, np.uint16(0), cam.seeds)
    for k in np.flatnonzero(np.bincount(guesses[guesses > 0])):
        untagged = bool(tags.present) and k not in tags.present and k != classes.background
        guesses[(guesses == k) & (untagged | ~target.allow[k - 1])] = 0
    return guesses


def box_seeds(
    boxes: list[Box], grid: FeatureGrid, known: Bool, target: WeakTarget, cam: Cam | None, classes: Classes, seed: int
) -> Labels:
    """Seeds from boxes: the 20 % of each box that look most like its object, background outside all.

    An activation map of the box's class says what looks like it; without one, what is least like
    the image outside the boxes of the class.
    """
    guesses = np.zeros(known.shape, np.uint16)
    inside = np.zeros(known.shape, bool)
    for box in boxes:
        inside[box.y0 : box.y1, box.x0 : box.x1] = True
    if boxes and classes.background is not None:
        guesses[known & ~inside & target.allow[classes.background - 1]] = classes.background
    maps = {} if cam is None else dict(zip(cam.classes, cam.scores, strict=True))
    for k in sorted({b.class_id for b in boxes}):
        of_class = [b for b in boxes if b.class_id == k]
        outside = None if k in maps else _outside_looks(of_class, grid, known, seed)
        for box in of_class:
            window = np.s_[box.y0 : box.y1, box.x0 : box.x1]
            score = maps[k][window] if k in maps else _unlike(box, grid, outside)
            free = known[window] & (target.seed[window] == 0) & target.allow[k - 1][window]
            guesses[window][_highest(score, free)] = k
    return np.where(target.seed > 0, np.uint16(0), guesses)


def _highest(score: NDArray[np.float32], free: Bool) -> Bool:
    """The fifth of a box with the highest score, at least one pixel."""
    values = np.where(free, score, -np.inf)
    n = min(max(1, round(_BOX_SHARE * score.size)), int(free.sum()))
    chosen = np.zeros(score.size, bool)
    chosen[np.argsort(-values, axis=None, kind="stable")[:n]] = True
    return chosen.reshape(score.shape)


def _outside_looks(boxes: list[Box], grid: FeatureGrid, known: Bool, seed: int) -> torch.Tensor | None:
    """A few centres of the features outside a class's boxes; None where they cover the image."""
    outside = known.copy()
    for box in boxes:
        outside[box.y0 : box.y1, box.x0 : box.x1] = False
    rows, columns = np.nonzero(outside)
    if not len(rows):
        return None
    chosen = np.random.default_rng(seed).permutation(len(rows))[:_OUTSIDE_PIXELS]
    x = grid.at(rows[chosen], columns[chosen])
    groups = kmeans(x, torch.ones(len(x), device=x.device), _OUTSIDE_LOOKS, seed)
    return torch.stack([x[groups == g].mean(0) for g in np.unique(groups.cpu().numpy())])


def _unlike(box: Box, grid: FeatureGrid, outside: torch.Tensor | None) -> NDArray[np.float32]:
    """How unlike the outside each pixel of a box is, in the ellipse that the box encloses; -1 in its corners."""
    height, width = box.y1 - box.y0, box.x1 - box.x0
    v = (np.arange(height) + 0.5) / height * 2 - 1
    u = (np.arange(width) + 0.5) / width * 2 - 1
    radius = np.hypot(v[:, None], u).astype(np.float32)
    if outside is None:
        return -radius
    rows = np.arange(0, height, -(-height // _BOX_STEPS))
    columns = np.arange(0, width, -(-width // _BOX_STEPS))
    x = grid.window(rows + box.y0, columns + box.x0)
    away = torch.cdist(x, outside, p=1.0).min(1).values.cpu().numpy().reshape(len(rows), len(columns))
    to_row = np.arange(height) // -(-height // _BOX_STEPS)
    to_column = np.arange(width) // -(-width // _BOX_STEPS)
    return np.where(radius <= 1, away[np.ix_(to_row, to_column)], np.float32(-1))
