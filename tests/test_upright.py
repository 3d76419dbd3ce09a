"""Whether images have an up: what the heights of their labels say, and not what they say by chance."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.upright import has_an_up


def labels(rng: np.random.Generator, images: int, classes: int, layered: bool, pixels: int = 20):
    """Labels of a class lie together in an image: at its own height (``layered``), or anywhere."""
    heights, ids, numbers = [], [], []
    for image in range(images):
        for k in range(classes):
            middle = (k + 0.5) / classes if layered else rng.uniform(0.1, 0.9)
            heights += rng.normal(middle, 0.08, pixels).tolist()
            ids += [k] * pixels
            numbers += [image] * pixels
    return np.array(heights), np.array(ids), np.array(numbers)


@pytest.mark.parametrize("pixels", [1, 20])
def test_layers_are_an_up(pixels):
    for seed in range(10):
        assert has_an_up(*labels(np.random.default_rng(seed), 6, 4, True, pixels))


@pytest.mark.parametrize("images", [4, 8, 30])
def test_labels_that_lie_anywhere_are_none_however_many_pixels_each_has(images, count):
    """Of so many projects without an up hardly one is taken for upright; by its pixels nearly each would be."""
    plays = count(200, 5000)
    rng = np.random.default_rng(images)
    found = sum(has_an_up(*labels(rng, images, 5, False)) for _ in range(plays))
    assert found <= max(2, 0.003 * plays)


def test_a_few_images_one_class_or_flat_heights_tell_nothing():
    rng = np.random.default_rng(0)
    assert not has_an_up(*labels(rng, 3, 4, True))
    assert not has_an_up(*labels(rng, 9, 1, True))
    heights, ids, numbers = labels(rng, 9, 3, True)
    assert not has_an_up(np.zeros_like(heights), ids, numbers)
    assert not has_an_up(heights, np.arange(len(ids)), numbers)  # every label a class of its own
