"""Whether a segmenter's mask may take the place of the object that it was asked for (methods.md C.0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_wsss.models.prompts import Prediction, stability
from napari_wsss.refiners._prompts import Object
from napari_wsss.types import Bool, Labels

SMALLEST, LARGEST = 0.25, 3.0
"""Accepted area relative to the object's."""

SEED_OVERLAP = 0.02
STABLE = 0.85


@dataclass(frozen=True, eq=False, slots=True)
class Verdict:
    """The chosen mask (h, w) bool, and why it may not be used ('' = accepted)."""

    mask: Bool
    reason: str

    @property
    def accepted(self) -> bool:
        return not self.reason


def together(predictions: Sequence[Prediction]) -> Prediction:
    """The proposals of several prompts for one object as one list."""
    masks, iou, lowres = (
        np.concatenate([getattr(p, part) for p in predictions]) for part in ("masks", "iou", "lowres")
    )
    return Prediction(masks, iou, lowres)


def judge(thing: Object, prediction: Prediction, seed: Labels, possible: Bool) -> Verdict:
    """Choose among the proposals and check the choice.

    Chosen is the largest IoU(mask, object) x (0.5 + 0.5 x estimated IoU). Accepted is it if (i) it
    contains every click on the object and none of another class, (ii) its area is within 0.25 and 3 of
    the object's, (iii) less than 2 % of it are pixels that a person gave to other classes and (iv) its
    cuts at +1 and -1 logits have an IoU of 0.85 or more.

    Parameters
    ----------
    thing : Object
    prediction : Prediction
    seed : uint16 (h, w)
        Class ids given by a person, 0 = none.
    possible : bool (h, w)
        Where the class may be at all; the rest is cut off before anything is measured.
    """
    masks = prediction.masks & possible
    y, x = thing.window()
    shared = (masks[:, y, x] & thing.mask).sum((1, 2))
    areas = masks.sum((1, 2))
    overlap = shared / np.maximum(areas + thing.area - shared, 1)
    best = int((overlap * (0.5 + 0.5 * prediction.iou)).argmax())
    steady = float(stability(prediction.lowres[best : best + 1], (seed.shape[0], seed.shape[1]))[0])
    return Verdict(masks[best], _reason(thing, masks[best], int(areas[best]), seed, steady))


def _reason(thing: Object, mask: Bool, area: int, seed: Labels, steady: float) -> str:
    if not mask[tuple(thing.inside.T)].all():
        return "it misses a click on the object"
    if mask[tuple(thing.outside.T)].any():
        return "it covers a click of another class"
    ratio = area / thing.area
    if not SMALLEST <= ratio <= LARGEST:
        return f"its area is {ratio:.2f} of the object's"
    foreign = float((mask & (seed != 0) & (seed != thing.class_id)).sum()) / area
    if foreign >= SEED_OVERLAP:
        return f"{foreign:.0%} of it were labelled as other classes"
    if steady < STABLE:
        return f"it is unstable ({steady:.2f})"
    return ""
