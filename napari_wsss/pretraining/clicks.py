"""The annotator of the training: the one of the evaluation, with whims, and prompts of other kinds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.evaluation import clicks as annotator
from napari_wsss.types import Bool

Place = tuple[float, float, int]
"""Column and row in pixels of the frame, and 1 (on the object) or 0."""


def next_click(truth: Bool, found: Bool, rng: np.random.Generator, stride: int, whim: float = 0.5) -> Place | None:
    """A click into the largest error; None where there is none.

    Parameters
    ----------
    truth, found : bool (h, w)
        At ``stride`` pixels of the frame a cell; ``found`` is empty before the first click.
    rng : Generator
    stride : int
    whim : float
        Chance of a click anywhere in the inner part of the error, instead of its centre.
    """

    def place(depth: NDArray[np.float64]) -> tuple[int, int]:
        if rng.random() >= whim:
            return annotator.deepest(depth)
        inner = np.argwhere(depth >= rng.uniform(0.2, 1.0) * depth.max())
        y, x = inner[rng.integers(len(inner))]
        return int(y), int(x)

    click = annotator.next_click(found, truth, np.ones(truth.shape, bool), place=place)
    if click is None:
        return None
    right, down = rng.uniform(0, stride, 2)  # anywhere in the cell
    return click.x * stride + right - 0.5, click.y * stride + down - 0.5, int(click.positive)


def loose_box(truth: Bool, rng: np.random.Generator, stride: int) -> NDArray[np.float32]:
    """A box x0, y0, x1, y1 around the object in pixels of the frame, each side off by up to a tenth."""
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float) * stride
    size = np.array([box[2] - box[0], box[3] - box[1]])
    slack = rng.normal(0, 0.05, 4) * np.tile(size, 2) + rng.uniform(-1, 1, 4)
    return np.asarray(box + np.clip(slack, -0.15 * size.min() - 2, 0.15 * size.min() + 2), np.float32)


def rough_mask(truth: Bool, rng: np.random.Generator) -> NDArray[np.float32]:
    """Logits of a first guess that is wrong as pseudo-labels are: grown, shrunk, moved or bitten."""
    moved = np.roll(truth, rng.integers(-3, 4, 2), (0, 1))
    times = int(rng.integers(0, 4))
    if times:
        moved = (ndimage.binary_dilation if rng.random() < 0.5 else ndimage.binary_erosion)(moved, iterations=times)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), 6)
        moved = moved & (noise < 1.0 * noise.std()) | (truth & (noise > 1.5 * noise.std()))
    soft = ndimage.gaussian_filter(moved.astype(np.float32), rng.uniform(0.5, 3))
    chance = np.clip(soft * rng.uniform(0.7, 1.0) + rng.uniform(0, 0.15), 0.02, 0.98)
    return np.asarray(np.log(chance / (1 - chance)), np.float32)
