"""The random walker: edges stop it, people are obeyed, and it has an answer where it cannot walk."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.errors import CannotFeed
from napari_wsss.protocols import Context
from napari_wsss.refiners.random_walker import METHOD as RandomWalker
from napari_wsss.types import Class, Classes, Image, PseudoLabels, Sample, WeakLabels, WeakTarget

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "disc", "#ffffff"), Class(3, "other", "#ff0000")))


def disc(size=64, radius=18):
    y, x = np.mgrid[:size, :size]
    return (y - size // 2) ** 2 + (x - size // 2) ** 2 <= radius**2


def picture(inside, noise=0.05):
    rng = np.random.default_rng(0)
    plane = 0.2 + 0.6 * inside + noise * rng.standard_normal(inside.shape)
    return np.clip(plane, 0, 1).astype(np.float32)[None]


def sample(channels, labels, confidence, seed=None, valid=None, allow=None):
    shape = labels.shape
    seed = np.zeros(shape, np.uint16) if seed is None else seed
    valid = np.ones(shape, bool) if valid is None else valid
    allow = np.ones((3, *shape), bool) if allow is None else allow
    probabilities = np.zeros((3, *shape), np.float16)
    for k in (1, 2, 3):
        probabilities[k - 1] = np.where(labels == k, confidence, (1 - confidence) / 2)
    pseudo = PseudoLabels(probabilities, labels.astype(np.uint16), np.ones(shape, np.float16))
    target = WeakTarget(seed, (seed > 0).astype(np.int32), allow, False)
    image = Image("a", "a", channels, valid, (0, 0, 0))

    def no_features():
        raise AssertionError("a refiner without features asked for them")

    return Sample("a", WeakLabels(), lambda: target, lambda: image, no_features, pseudo=lambda: pseudo)


def walk(one, **params):
    return RandomWalker(RandomWalker.Params(**params), Context(CLASSES))(one, {})


def rough(inside):
    """A pseudo-label 3 px too small, sure in its middle and in the far background only."""
    labels = np.where(disc(radius=15), 2, 1)
    confidence = np.where(disc(radius=10) | ~disc(radius=26), 0.99, 0.6)
    return labels, confidence


def test_walkers_find_the_edge():
    inside = disc()
    labels, confidence = rough(inside)
    out = walk(sample(picture(inside), labels, confidence)).labels
    assert ((labels == 2) != inside).sum() > 200
    assert ((out == 2) != inside).sum() < 20


def test_reduced_size_finds_nearly_the_same():
    inside = disc()
    labels, confidence = rough(inside)
    out = walk(sample(picture(inside), labels, confidence), work=3).labels
    assert ((out == 2) != inside).sum() < 120


def test_human_pixels_stay_and_other_classes_are_forbidden():
    inside = disc()
    labels, confidence = rough(inside)
    labels[5:25, 5:12] = 3
    confidence[5:25, 5:12] = 0.99
    allow = np.ones((3, 64, 64), bool)
    allow[2] = False
    seed = np.zeros((64, 64), np.uint16)
    seed[30:34, 30:34] = 1
    out = walk(sample(picture(inside), labels, confidence, seed=seed, allow=allow)).labels
    assert (out[30:34, 30:34] == 1).all()
    assert not (out == 3).any()


@pytest.mark.parametrize("work", [250, 3])
def test_nodata_is_not_labelled(work):
    inside = disc()
    labels, confidence = rough(inside)
    valid = np.ones((64, 64), bool)
    valid[:, 50:] = False
    out = walk(sample(picture(inside), labels, confidence, valid=valid), work=work).labels
    assert (out[:, 50:] == 0).all()
    assert (out[:, :50] > 0).all()


def test_one_class_only_keeps_the_pseudo_labels_and_says_so():
    inside = disc()
    labels, _ = rough(inside)
    confidence = np.where(labels == 1, 0.99, 0.5)
    out = walk(sample(picture(inside), labels, confidence))
    assert np.array_equal(out.labels, labels)
    assert "fewer than two" in out.notes[0]


def test_an_island_without_seeds_keeps_its_pseudo_label():
    inside = disc()
    labels, confidence = rough(inside)
    valid = np.ones((64, 64), bool)
    valid[:, 55] = False
    labels[:, 56:], confidence[:, 56:] = 3, 0.5
    out = walk(sample(picture(inside), labels, confidence, valid=valid)).labels
    assert (out[:, 56:] == 3).all()
    assert (out[:, 55] == 0).all()


def test_without_pseudo_labels_it_says_so():
    inside = disc()
    one = sample(picture(inside), *rough(inside))
    one._pseudo = lambda: None
    with pytest.raises(CannotFeed, match="pseudo"):
        walk(one)
