"""Pixel-adaptive refinement: the oracles of methods.md A.17 and what a person said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.errors import CannotFeed
from napari_wsss.models import pixel_adaptive
from napari_wsss.models.pixel_adaptive import refine_maps
from napari_wsss.protocols import Context
from napari_wsss.refiners.par import METHOD as Par
from napari_wsss.types import Class, Classes, Image, PseudoLabels, Sample, WeakLabels, WeakTarget

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "thing", "#ffffff")))


def step(h=24, w=64, channels=3):
    image = np.zeros((channels, h, w), np.float32)
    image[:, :, w // 2 :] = 1
    return image


def shifted_mask(h=24, w=64, by=2):
    first = np.zeros((h, w), np.float32)
    first[:, : w // 2 + by] = 1
    return np.stack([first, 1 - first])


def sample(channels, probabilities, seed=None, valid=None, allow=None, pseudo=True):
    shape = channels.shape[1:]
    seed = np.zeros(shape, np.uint16) if seed is None else seed
    valid = np.ones(shape, bool) if valid is None else valid
    allow = np.ones((len(probabilities), *shape), bool) if allow is None else allow
    target = WeakTarget(seed, (seed > 0).astype(np.int32), allow, False)
    image = Image("a", "a", channels * valid, valid, (0, 0, 0))
    half = (probabilities * valid).astype(np.float16)
    labels = ((half.argmax(0) + 1) * valid).astype(np.uint16)
    made = PseudoLabels(half, labels, np.ones(shape, np.float16)) if pseudo else None

    def no_features():
        raise AssertionError("a refiner without features asked for them")

    return Sample("a", WeakLabels(), lambda: target, lambda: image, no_features, pseudo=lambda: made)


def refine(one, **params):
    return Par(Par.Params(**params), Context(CLASSES))(one, {}).labels


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_mask_two_pixels_off_a_step_goes_from_48_wrong_pixels_to_none(channels):
    truth = np.where(np.arange(64) < 32, 1, 2)[None].repeat(24, 0)
    before = shifted_mask().argmax(0) + 1
    assert (before != truth).sum() == 48
    assert (refine(sample(step(channels=channels), shifted_mask())) != truth).sum() == 0


def test_without_contrast_nothing_changes():
    faint = 0.5 + 0.004 * np.random.default_rng(0).standard_normal((3, 24, 64)).astype(np.float32)
    maps = torch.from_numpy(shifted_mask())
    assert torch.equal(refine_maps(maps, torch.from_numpy(faint)), maps)
    blurred = refine_maps(maps, torch.from_numpy(faint), min_contrast=0.0)
    assert 0.3 < float(blurred[0].mean(0)[32]) < 0.9  # what the rule prevents


@given(value=st.floats(0, 1), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_a_constant_map_stays_constant(value, seed):
    picture = torch.from_numpy(np.random.default_rng(seed).random((2, 20, 31), np.float32))
    out = refine_maps(torch.full((1, 20, 31), value), picture)
    assert torch.allclose(out, torch.full_like(out, value), atol=1e-5)


def test_probabilities_stay_probabilities():
    rng = np.random.default_rng(1)
    maps = torch.from_numpy(rng.random((4, 30, 30), np.float32)).softmax(0)
    out = refine_maps(maps, torch.from_numpy(rng.random((3, 30, 30), np.float32)))
    assert torch.allclose(out.sum(0), torch.ones(30, 30), atol=1e-4)
    assert out.min() >= 0


def test_tiles_give_what_the_whole_image_gives(monkeypatch):
    rng = np.random.default_rng(2)
    maps = torch.from_numpy(rng.random((2, 90, 130), np.float32))
    picture = torch.from_numpy(rng.random((3, 90, 130), np.float32))
    whole = refine_maps(maps, picture, iterations=2, dilations=(1, 2, 4))
    monkeypatch.setattr(pixel_adaptive, "_TILE", 40)
    tiled = refine_maps(maps, picture, iterations=2, dilations=(1, 2, 4))
    assert torch.allclose(whole, tiled, atol=1e-6)


def test_human_pixels_keep_their_class_and_speak_to_their_neighbours():
    picture = step()
    seed = np.zeros((24, 64), np.uint16)
    seed[12, 2:30] = 2
    out = refine(sample(picture, shifted_mask(), seed=seed))
    assert (out[12, 2:30] == 2).all()
    flat = np.full((2, 24, 64), 0.5, np.float32)
    spoken = refine(sample(picture, flat, seed=seed))
    assert (spoken[:, 2:30] == 2).mean() > 0.5


def test_nodata_is_not_labelled_and_says_nothing():
    valid = np.ones((24, 64), bool)
    valid[:, 40:] = False
    out = refine(sample(step(), shifted_mask(), valid=valid))
    assert (out[:, 40:] == 0).all()
    maps = torch.from_numpy(shifted_mask())
    other = maps.clone()
    other[:, :, 40:] = 7.0
    mask = torch.from_numpy(valid)
    left = refine_maps(maps, torch.from_numpy(step()), mask)[:, :, :40]
    assert torch.equal(left, refine_maps(other, torch.from_numpy(step()), mask)[:, :, :40])


def test_a_forbidden_class_is_never_the_answer():
    allow = np.ones((2, 24, 64), bool)
    allow[1, :12] = False
    out = refine(sample(step(), shifted_mask(), allow=allow))
    assert not (out[:12] == 2).any()
    assert (out[12:] == 2).any()


def test_no_evidence_gives_no_answer():
    assert (refine(sample(step(), np.full((2, 24, 64), 0.5, np.float32))) == 0).all()


def test_without_pseudo_labels_it_says_so():
    with pytest.raises(CannotFeed, match="pseudo"):
        refine(sample(step(), shifted_mask(), pseudo=False))
