"""Crops to train on: an object at some scale and turn, a few others in sight, and their masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss.drawing.spoiling import spoil
from napari_wsss.pretraining.specimens import Specimen
from napari_wsss.types import Float

SIDE = 256
"""Rows and columns of a crop: pixels of the model's frame."""

FRAME = 512
"""The longer side of an image in the finer of the frames in which the model looks at it."""

_SIZES = (9.0, 215.0)  # pixels of the frame: square root of an object's area
_LEAST_SEEN, _LEAST_PIXELS, _LARGEST = 0.35, 30, 0.75


@dataclass(frozen=True, eq=False, slots=True)
class Crop:
    """A picture float32 (3, SIDE, SIDE) and the masks bool (p, SIDE, SIDE) of p objects in it."""

    picture: Float
    masks: NDArray[np.bool_]


def crop(specimen: Specimen, rng: np.random.Generator, prompts: int) -> Crop | None:
    """A crop around a random object of a specimen; None if nothing of it is in sight.

    Turned, mirrored, scaled and stretched; the picture is spoilt as cameras do. Sizes of objects follow
    partly a log-uniform law, partly what the whole image in a frame of `FRAME` pixels would show.
    """
    row = specimen.table[_choose(specimen.table, rng)]
    matrix, zoom = _placement(specimen, row, rng)
    size = (SIDE, SIDE)
    picture = _warped(specimen.picture, matrix, zoom, rng)
    found: list[NDArray[np.bool_]] = []
    for number, ids in enumerate(specimen.objects):
        moved = Picture.fromarray(ids.astype(np.int32)).transform(size, Picture.Transform.AFFINE, tuple(matrix))
        found += _in_sight(np.asarray(moved), specimen.table[specimen.table[:, 0] == number], zoom)
    if not found:
        return None
    areas = np.array([m.sum() for m in found], float)
    chance = areas**-0.25
    chosen = rng.choice(len(found), prompts, replace=len(found) < prompts, p=chance / chance.sum())
    return Crop(_seen(picture, rng), np.stack([found[i] for i in chosen]))


def _choose(table: NDArray[np.float32], rng: np.random.Generator) -> int:
    """Small objects are many, so large ones are chosen more often than their number says."""
    weight = np.sqrt(np.minimum(table[:, 4], 0.3 * table[:, 5]))
    weight[table[:, 4] > _LARGEST * table[:, 5]] *= 0.05
    return int(rng.choice(len(table), p=weight / weight.sum()))


def _placement(
    specimen: Specimen, row: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """Affine map from the crop's (x, y, 1) to the specimen's pixels, and the zoom."""
    h, w = specimen.picture.shape[:2]
    _, _, y, x, area, _ = row
    if rng.random() < 0.55:
        zoom = FRAME / max(h, w) * np.exp(rng.uniform(np.log(0.35), np.log(1.7)))
    else:
        zoom = np.exp(rng.uniform(*np.log(_SIZES))) / np.sqrt(area)
    zoom = float(np.clip(zoom, 0.2, 6.0))
    turn = rng.integers(4) * np.pi / 2 if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.normal(0, 0.12))
    mirror = rng.choice((-1.0, 1.0))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = turned @ np.diag([mirror * stretch / zoom, 1 / (stretch * zoom)])
    reach = 0.5 * SIDE - 8
    offset = rng.uniform(-reach, reach, 2)  # of the object's centre from the crop's
    middle = np.array([x, y]) - linear @ offset
    margin = np.abs(linear).sum(1) * SIDE / 2
    far = np.array([w, h], float) - margin  # the crop stays inside the picture, or all of the picture inside the crop
    middle = np.clip(middle, np.minimum(margin, far), np.maximum(margin, far))
    shift = middle - linear @ np.full(2, SIDE / 2)
    return np.array([linear[0, 0], linear[0, 1], shift[0], linear[1, 0], linear[1, 1], shift[1]]), zoom


def _warped(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], zoom: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The crop's picture float32 (SIDE, SIDE, 3) in [0, 1]; black beyond the specimen's edges."""
    shrink = int(np.clip(np.floor(1 / zoom + 0.3), 1, 4))
    source = Picture.fromarray(picture)
    if shrink > 1:
        source = source.reduce(shrink)
    how = Picture.Resampling.BILINEAR if rng.random() < 0.7 else Picture.Resampling.BICUBIC
    moved = source.transform((SIDE, SIDE), Picture.Transform.AFFINE, tuple(matrix / shrink), how)
    return (np.asarray(moved, np.float32) / 255).astype(np.float32)


def _in_sight(ids: NDArray[np.int32], table: NDArray[np.float32], zoom: float) -> list[NDArray[np.bool_]]:
    """Masks of those objects that are seen well enough to be meant."""
    areas = np.bincount(ids.ravel(), minlength=int(table[:, 1].max(initial=0)) + 1)
    seen = areas[table[:, 1].astype(int)]
    whole = table[:, 4] * zoom**2
    good = (seen >= _LEAST_PIXELS) & (seen >= _LEAST_SEEN * whole) & (seen <= _LARGEST * ids.size)
    return [ids == int(i) for i in table[good, 1]]


def _seen(picture: NDArray[np.float32], rng: np.random.Generator) -> Float:
    """The picture as a camera and the product's contrast would show it: float32 (3, SIDE, SIDE)."""
    if rng.random() < 0.65:
        picture = spoil(rng, picture)
    if rng.random() < 0.3:
        low, high = np.percentile(picture[::4, ::4], (1, 99))
        picture = np.clip((picture - low) / max(float(high - low), 0.05), 0, 1).astype(np.float32)
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
