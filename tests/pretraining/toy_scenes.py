"""Small drawn scenes as specimens and batches."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from napari_wsss.drawing import microscopy
from napari_wsss.drawing.scene import Scene
from napari_wsss.pretraining.batches import CELL, Batch
from napari_wsss.pretraining.clicks import next_click
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


def batch(seeds: tuple[int, ...] = (0, 1), prompts: int = 2) -> Batch:
    """Drawn nuclei with a click each, smaller than the crops of the training."""
    rng = np.random.default_rng(0)
    pictures, shares, sparse = [], [], []
    for seed in seeds:
        scene = microscopy.SCENES["fluorescent nuclei"](np.random.default_rng(seed), (SIDE, SIDE))
        (ids,) = scene.objects
        largest = np.argsort(-np.bincount(ids.ravel())[1:])[:prompts] + 1
        pictures.append(scene.picture.transpose(2, 0, 1))
        for i in np.resize(largest, prompts):
            share = (ids == i).reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean((1, 3), dtype=np.float32)
            click = next_click(share > 0, np.zeros_like(share, bool), rng, CELL)
            assert click is not None
            shares.append(share)
            sparse.append([click])
    truth = torch.from_numpy(np.stack(shares))[:, None]
    nobody = torch.zeros(len(truth), dtype=torch.bool)
    return Batch(
        torch.from_numpy(np.stack(pictures)), truth, torch.tensor(sparse, dtype=torch.float32), truth * 0, nobody
    )


def blobs(seed: int, size: int = 40) -> np.ndarray:
    """A random mask of a few regions."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)
    return noise > 0.8 * noise.std()
