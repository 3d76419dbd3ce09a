"""What a click or a box says about the rest of its object: sure pixels of the embedded model and a ring around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.models.embedded.asked import Asked
from napari_wsss.models.embedded.many import Cutout
from napari_wsss.types import Bool, Labels

TRUSTED = 0.6
"""Estimated IoU below which a mask teaches nothing."""

_SURE = 1.0  # logit from which a pixel is the object's, and below its negative is not
_GAP, _LEAST, _RING = 1.5, 2, 0.3  # pixels left out at the edge; width of the ring, of the object's size


def object_seeds(objects: Sequence[Asked], shape: tuple[int, int], background: int) -> Labels:
    """Class ids uint16 (h, w) of pixels that clicks and boxes let one guess; 0 = no guess.

    The inside of a trusted mask is of the object's class; a ring around it, off every mask, is background.
    """
    seeds: Labels = np.zeros(shape, np.uint16)
    strength = np.zeros(shape, np.float32)
    inside, rings = np.zeros(shape, bool), np.zeros(shape, bool)
    for thing in objects:
        cutout = thing.cutout
        window = (slice(cutout.box[0], cutout.box[2]), slice(cutout.box[1], cutout.box[3]))
        inside[window] |= cutout.mask
        if cutout.iou >= TRUSTED and cutout.mask.any():
            better = (cutout.logits > _SURE) & (cutout.logits * cutout.iou > strength[window])
            seeds[window][better] = thing.class_id
            strength[window][better] = (cutout.logits * cutout.iou)[better]
            rings[window] |= _ring(cutout)
    seeds[rings & ~inside] = background
    return seeds


def _ring(cutout: Cutout) -> NDArray[np.bool_]:
    """Pixels around a mask, as wide as a share of the object's size, that are surely not in it."""
    mask: Bool = cutout.mask
    width = max(_LEAST, int(_RING * np.sqrt(mask.sum())))
    distance = ndimage.distance_transform_edt(~mask)
    ring: Bool = (distance > _GAP) & (distance <= _GAP + width) & (cutout.logits < -_SURE)
    return ring


def possible(seeds: Labels, allow: Bool) -> Bool:
    """Where there is a seed (h, w) of a class that the labels allow there; ``allow`` is bool (K, h, w)."""
    found: Bool = np.zeros(seeds.shape, bool)
    for class_id in np.unique(seeds[seeds > 0]):
        found |= (seeds == class_id) & allow[class_id - 1]
    return found
