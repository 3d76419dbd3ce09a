"""Small drawn scenes as specimens and batches."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from napari_wsss.drawing import microscopy
from napari_wsss.drawing.scene import Scene
from napari_wsss.pretraining.batches import CELL, Batch
from napari_wsss.pretraining.specimens import Specimen, specimen

SIDE = 96


def coloured(side: int = 300, colour_step: int = 40) -> Specimen:
    """Discs and a bar whose grey level is their id times a step."""
    y, x = np.indices((side, side))
    ids = np.zeros((side, side), np.uint16)
    for number, (cy, cx, radius) in enumerate(((70, 80, 40), (200, 90, 55), (90, 220, 30)), 1):
        ids[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = number
    ids[150:280, 200:260] = 4
    picture = np.repeat((ids * colour_step / 255)[..., None], 3, 2).astype(np.float32)
    made = specimen("toy", "coloured", Scene(picture, (ids,)))
    assert made is not None
    return made


def batch(seeds: tuple[int, ...] = (0, 1), objects: int = 2) -> Batch:
    """Drawn nuclei, smaller than the crops of the training."""
    pictures, masks = [], []
    for seed in seeds:
        scene = microscopy.SCENES["fluorescent nuclei"](np.random.default_rng(seed), (SIDE, SIDE))
        (ids,) = scene.objects
        largest = np.argsort(-np.bincount(ids.ravel())[1:])[:objects] + 1
        pictures.append(np.rint(scene.picture.transpose(2, 0, 1) * 255).astype(np.uint8))
        masks += [ids == i for i in np.resize(largest, objects)]
    cells = np.stack(masks).reshape(-1, SIDE // CELL, CELL, SIDE // CELL, CELL).sum((2, 4), dtype=np.uint8)
    return Batch(torch.from_numpy(np.stack(pictures)), torch.from_numpy(cells))


def dice(seed: int) -> torch.Generator:
    """A source of randomness."""
    return torch.Generator().manual_seed(seed)


def blobs(seed: int, size: int = 40) -> np.ndarray:
    """A random mask of a few regions."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)
    return noise > 0.8 * noise.std()
