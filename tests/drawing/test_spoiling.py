"""Degradations keep a picture a picture: shape, type, range, and what is in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.drawing.everyday import SCENES
from napari_wsss.drawing.spoiling import _CHAIN, spoil


@pytest.fixture(scope="module")
def pictures():
    return [draw(np.random.default_rng(5), (96, 112)).picture for draw in SCENES.values()]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), h=st.integers(8, 70), w=st.integers(8, 70))
def test_any_picture_stays_one(seed, h, w):
    rng = np.random.default_rng(seed)
    picture = rng.random((h, w, 3), dtype=np.float32)
    before = picture.copy()
    seen = spoil(rng, picture)
    assert seen.shape == (h, w, 3)
    assert seen.dtype == np.float32
    assert np.isfinite(seen).all()
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("change", [c for _, c in _CHAIN], ids=lambda c: c.__name__)
@pytest.mark.parametrize("force", [0.0, 1.0])
def test_each_degradation_alone_changes_a_picture_and_keeps_its_shape(change, force, pictures):
    changed = 0
    for seed, picture in enumerate(pictures * 3):
        seen = change(np.random.default_rng(seed), picture.copy(), force)
        assert seen.shape == picture.shape
        assert np.isfinite(seen).all()
        changed += not np.array_equal(seen, picture)
    assert changed >= len(pictures)


def test_flat_black_and_white_pictures_survive():
    for value in (0.0, 1.0):
        for seed in range(30):
            assert np.isfinite(spoil(np.random.default_rng(seed), np.full((20, 24, 3), value, np.float32))).all()


def test_what_is_in_a_picture_stays_recognisable(pictures):
    found = []
    for seed in range(60):
        picture = pictures[seed % len(pictures)]
        seen = spoil(np.random.default_rng(seed), picture)
        found.append(abs(np.corrcoef(seen.mean(2).ravel(), picture.mean(2).ravel())[0, 1]))
    assert np.mean(found) > 0.85
    assert np.quantile(found, 0.1) > 0.5


def test_the_same_seed_spoils_alike_and_seeds_differ(pictures):
    one, again, other = (spoil(np.random.default_rng(s), pictures[0]) for s in (2, 2, 3))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
