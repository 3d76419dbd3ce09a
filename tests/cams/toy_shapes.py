"""A toy folder for tags: red discs, green squares, or both, on grey noise. The truth is known."""

from __future__ import annotations

import numpy as np

from napari_wsss.encoders.filters import METHOD as Filters
from napari_wsss.protocols import Context
from napari_wsss.types import Class, Classes, Image, Sample, Tags, WeakLabels, WeakTarget

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "disc", "#ff0000"), Class(3, "square", "#00ff00")))
OPEN = Classes((Class(1, "ground", "#000000"), Class(2, "disc", "#ff0000"), Class(3, "square", "#00ff00")))
SIZE = 48


def draw(rng, present):
    """One image (3, h, w) in [0, 1] and its truth (h, w)."""
    channels = np.clip(0.5 + 0.05 * rng.standard_normal((3, SIZE, SIZE)), 0, 1).astype(np.float32)
    truth = np.ones((SIZE, SIZE), np.uint16)
    y, x = np.mgrid[:SIZE, :SIZE]
    for class_id, left in ((2, 12), (3, 36)):
        if class_id not in present:
            continue
        cy, cx = rng.integers(14, SIZE - 14), left + rng.integers(-2, 3)
        inside = (y - cy) ** 2 + (x - cx) ** 2 <= 64 if class_id == 2 else (abs(y - cy) < 8) & (abs(x - cx) < 8)
        truth[inside] = class_id
        channels[:, inside] *= np.array([1.7, 0.3, 0.3] if class_id == 2 else [0.3, 1.7, 0.3], np.float32)[:, None]
    return np.clip(channels, 0, 1), truth


def make(channels, tags, name="a", classes=CLASSES, valid=None, seed=None, encoder=None):
    shape = channels.shape[1:]
    valid = np.ones(shape, bool) if valid is None else valid
    seed = np.zeros(shape, np.uint16) if seed is None else seed
    allow = np.ones((len(classes), *shape), bool)
    if tags.complete:
        for k in classes:
            allow[k.id - 1] = k.id in tags.present or k.id == classes.background
    target = WeakTarget(seed, (seed > 0).astype(np.int32), allow, tags.complete)
    image = Image(name, name, (channels * valid).astype(np.float32), valid, (0, 1, 2))
    encoder = encoder or Filters(Filters.Params(sigma_max=4.0), Context(classes))
    return Sample(name, WeakLabels(tags), lambda: target, lambda: image, lambda: encoder.encode(image))


def folder(n=18, seed=0, classes=CLASSES):
    """``n`` samples with complete tags, and their truths."""
    rng = np.random.default_rng(seed)
    samples, truths = [], []
    for i in range(n):
        present = ({2}, {3}, {2, 3})[i % 3]
        channels, truth = draw(rng, present)
        tagged = present | ({1} if classes.background is None else set())
        samples.append(make(channels, Tags(frozenset(tagged), frozenset(), True), f"{i}", classes))
        truths.append(truth)
    return samples, truths
