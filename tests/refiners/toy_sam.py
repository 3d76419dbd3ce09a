"""ToySAM (methods.md 0.3), toy words, and small scenes for them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_wsss.models.prompts import Embedding, Prediction, Prompt, to_lowres
from napari_wsss.types import Class, Classes, Features, Image, PseudoLabels, Sample, WeakLabels, WeakTarget

TWO = Classes((Class(1, "background", "#000000"), Class(2, "disc", "#ff0000")))

WORDS = {"red": (1, 0, 0), "green": (0, 1, 0), "": (0.577, 0.577, 0.577)}
LEVELS = (16, 8, 3)
"""Grey levels of the three outputs: fine, medium, coarse."""


class ToySam:
    """Components of a coarse colour quantisation, selected by clicks or a box.

    Merges the components that contain a positive point and no negative one; counts what it embeds.
    """

    model = "toy"
    side = 256
    second_look = None

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, image: Image) -> Embedding:
        self.embedded += 1
        return Embedding(image.rgb, image.shape)

    def predict(self, embedding: Embedding, prompt: Prompt) -> Prediction:
        masks = np.stack([self._select(embedding.data, prompt, levels) for levels in LEVELS])
        lowres = np.stack([to_lowres(np.where(m, 10, -10).astype(np.float32), self.side) for m in masks])
        return Prediction(masks, np.array([0.9, 0.95, 0.85], np.float32), lowres)

    def _select(self, rgb: np.ndarray, prompt: Prompt, levels: int) -> np.ndarray:
        bins = np.minimum((rgb * levels).astype(int), levels - 1)
        codes = (bins * np.array([1, 97, 97**2])[:, None, None]).sum(0)
        numbered = np.zeros(codes.shape, int)
        for code in np.unique(codes):
            part, _ = ndimage.label(codes == code)
            numbered += np.where(part > 0, part + numbered.max(), 0)
        positive, negative = prompt.points[prompt.positive], prompt.points[~prompt.positive]
        wanted = set(numbered[tuple(positive.T)]) - set(numbered[tuple(negative.T)])
        if not len(positive) and prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            wanted = {np.bincount(numbered[y0:y1, x0:x1].ravel()).argmax()}
        return np.isin(numbered, list(wanted))


class ColourWords:
    """Text as colour words, features as the picture's own colours."""

    def encode(self, image):
        return Features(image.rgb[:, ::2, ::2], 2.0)

    def encode_text(self, phrases):
        return np.array([WORDS[p] for p in phrases], np.float32)


def image_of(rgb: np.ndarray, key: str = "k") -> Image:
    """rgb (3, h, w) in [0, 1]."""
    return Image("scene", key, rgb.astype(np.float32), np.ones(rgb.shape[1:], bool), (0, 1, 2))


def sample_of(image: Image, labels: np.ndarray | None, points=(), seed=None, allow=None, classes=TWO) -> Sample:
    """A sample whose pseudo-label is ``labels`` with probability 0.9."""
    shape, k = image.shape, len(classes)
    seed = np.zeros(shape, np.uint16) if seed is None else seed
    for point in points:
        seed[point.y, point.x] = point.class_id
    allow = np.ones((k, *shape), bool) if allow is None else allow
    target = WeakTarget(seed, (seed > 0).astype(np.int32), allow, False)
    pseudo = None
    if labels is not None:
        probabilities = np.full((k, *shape), 0.1 / max(1, k - 1), np.float16)
        for c in range(k):
            probabilities[c][labels == c + 1] = 0.9
        pseudo = PseudoLabels(probabilities, labels.astype(np.uint16), np.ones(shape, np.float16))
    return Sample(
        image.name,
        WeakLabels(marks=tuple(points)),
        lambda: target,
        lambda: image,
        lambda: Features(image.rgb, 1.0),
        pseudo=lambda: pseudo,
    )


def disc(shape: tuple[int, int], centre: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def disc_scene() -> tuple[Image, np.ndarray]:
    """A bright disc on dark ground, and its truth."""
    truth = disc((80, 100), (40, 50), 20)
    return image_of(np.where(truth, 0.9, 0.1)[None].repeat(3, 0)), truth
