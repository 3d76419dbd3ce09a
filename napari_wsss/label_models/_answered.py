"""Where a label model answers at all: margin, typicality, contradictions, boxes' sides and specks."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected

from napari_wsss.label_models._agmm import Answer, MixtureParams
from napari_wsss.types import Bool, Box, Labels, WeakTarget

_SIDE = 0.1  # width of a box's side bands, as a share of the box
_LOWERING, _LOWEST = 0.05, 0.1


def labels_of(answer: Answer, target: WeakTarget, boxes: Sequence[Box], params: MixtureParams, min_area: int) -> Labels:
    """Class ids; 0 where the mixture does not answer. Human-given pixels are always answered.

    A box is tight, so its object touches all four sides: where it does not, the typicality asked
    for in that box is lowered step by step.
    """
    threshold = np.full(target.shape, params.typicality, np.float16)
    clear = answer.known & (answer.margin >= params.margin) & ~answer.contradicted
    for box in boxes:
        window = np.s_[box.y0 : box.y1, box.x0 : box.x1]
        mine = clear[window] & (answer.best[window] == box.class_id)
        least = _touching(mine, answer.typicality[window], float(threshold[window].max(initial=0)))
        threshold[window] = np.minimum(threshold[window], np.float16(least))
    answered = clear & (answer.typicality >= threshold)
    labels: Labels = np.where(answered, answer.best, 0).astype(np.uint16)
    given = target.seed > 0
    labels[given] = target.seed[given]
    return without_specks(labels, given, min_area)


def _touching(mine: Bool, typicality: NDArray[np.float16], start: float) -> float:
    """The highest typicality from ``start`` down at which all four side bands hold a pixel of the class."""
    if not mine.size:
        return start
    least = start
    while least > _LOWEST + 1e-6 and not _touches_sides(mine & (typicality >= np.float16(least))):
        least = max(least - _LOWERING, _LOWEST)
    return least


def _touches_sides(region: Bool) -> bool:
    rows = ceil(_SIDE * region.shape[0])
    columns = ceil(_SIDE * region.shape[1])
    bands = (region[:rows], region[-rows:], region[:, :columns], region[:, -columns:])
    return all(bool(band.any()) for band in bands)


def without_specks(labels: Labels, given: Bool, min_area: int) -> Labels:
    """Regions smaller than ``min_area`` pixels without a human-given pixel become 0."""
    if min_area <= 1:
        return labels
    parts = connected(labels, background=0, connectivity=2)
    small = np.bincount(parts.ravel()) < min_area
    small[np.unique(parts[given])] = False
    small[0] = False
    return np.where(small[parts], np.uint16(0), labels)
