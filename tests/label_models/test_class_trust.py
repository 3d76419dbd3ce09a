"""A class is to be believed as far as what is answered as it also is it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.label_models._class_trust import class_trust
from napari_wsss.label_models._pixel_head import HeadSettings, LabelledPixels

QUICK = HeadSettings(hidden=16, steps=80)
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 1.0]], np.float32)  # the third is easily taken for the first


def pixels_of(shares, images=4, hints=6000, seed=0):
    """Hints on three classes that are equally many on each image, and pixels anywhere with these shares."""
    rng = np.random.default_rng(seed)
    classes = np.tile(np.repeat(np.arange(3), hints), images)
    features = CENTRES[classes] + rng.normal(0, 0.7, (len(classes), 2)).astype(np.float32)
    drawn = rng.choice(3, 3000, p=shares)
    anywhere = torch.tensor(CENTRES[drawn] + rng.normal(0, 0.7, (3000, 2)).astype(np.float32))
    return LabelledPixels(
        torch.tensor(features),
        torch.tensor(classes),
        torch.arange(images).repeat_interleave(3 * hints),
        torch.ones(len(classes)),
        anywhere,
        anywhere.mean(0),
        anywhere.std(0),
        torch.zeros(len(classes), dtype=torch.bool),
        torch.ones(len(classes), dtype=torch.bool),
        torch.zeros(len(classes), dtype=torch.bool),
        len(classes),
    )


def test_a_rare_class_that_a_common_one_is_mistaken_for_is_little_believed():
    trust = class_trust(pixels_of((0.7, 0.28, 0.02)), 3, QUICK, 0)
    assert trust[2] < 0.4
    assert min(trust[:2]) > 1.1
    other = class_trust(pixels_of((0.02, 0.28, 0.7)), 3, QUICK, 0)
    assert other[0] < 0.4, "hints are the same; how much of each is anywhere makes the difference"


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 99), st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
def test_the_average_class_has_about_trust_one(seed, parts):
    shares = np.array(parts) / sum(parts)
    trust = class_trust(pixels_of(shares, seed=seed), 3, QUICK, seed)
    assert trust.mean() == pytest.approx(1, abs=0.1)  # a power of numbers with mean 1


def test_few_hints_hardly_change_that_all_are_believed_alike():
    shares = (0.7, 0.28, 0.02)
    few, many = (class_trust(pixels_of(shares, hints=n), 3, QUICK, 0) for n in (20, 6000))
    assert np.abs(few - 1).max() < 0.1
    assert (np.abs(many - 1) > np.abs(few - 1)).all()


def test_hints_on_one_image_alone_cannot_tell():
    assert (class_trust(pixels_of((0.7, 0.28, 0.02), images=1), 3, QUICK, 0) == 1).all()


def test_a_class_that_nobody_hinted_is_an_average_one():
    trust = class_trust(pixels_of((0.7, 0.28, 0.02)), 4, HeadSettings(hidden=16, steps=80), 0)
    assert trust[3] == 1
