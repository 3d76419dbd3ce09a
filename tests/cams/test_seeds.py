"""Dual-threshold seeds (methods.md A.7)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.cams._seeds import dual_threshold_seeds

FLAT = np.full((3, 8, 30), 0.5, np.float32)  # nothing to align with: the maps stay as they are


def ramp():
    return np.linspace(0, 1, 30, dtype=np.float32)[None, None].repeat(8, 1)


def test_class_above_background_below_ignored_between():
    seeds = dual_threshold_seeds(ramp(), (7,), FLAT, 3, 0.7, 0.25)
    assert seeds.dtype == np.uint16
    expected = np.select([ramp()[0] >= 0.7, ramp()[0] <= 0.25], [7, 3], 0)
    assert np.array_equal(seeds, expected)


@given(low=st.floats(0, 1), high=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_stricter_thresholds_only_take_seeds_away(low, high):
    low, high = sorted((low, high))
    strict = dual_threshold_seeds(ramp(), (2,), FLAT, 1, high, low)
    loose = dual_threshold_seeds(ramp(), (2,), FLAT, 1, (low + high) / 2, (low + high) / 2)
    assert ((strict == 0) | (strict == loose)).all()


def test_without_background_the_strongest_class_wins_everywhere():
    scores = np.concatenate([ramp(), 1 - ramp()])
    seeds = dual_threshold_seeds(scores, (4, 2), FLAT, None, 0.9, 0.1)
    assert np.array_equal(seeds, np.where(ramp()[0] > 0.5, 4, 2))


@pytest.mark.parametrize("background", [None, 1])
def test_empty_maps_give_no_seeds(background):
    assert not dual_threshold_seeds(np.zeros((2, 8, 30), np.float32), (2, 3), FLAT, background, 0.4, 0.2).any()
    assert not dual_threshold_seeds(np.zeros((0, 8, 30), np.float32), (), FLAT, background, 0.4, 0.2).any()


def test_seeds_follow_the_edge():
    picture = np.zeros((3, 24, 64), np.float32)
    picture[:, :, 32:] = 1
    scores = np.zeros((1, 24, 64), np.float32)
    scores[:, :, 30:] = 1
    seeds = dual_threshold_seeds(scores, (2,), picture, 1, 0.6, 0.4)
    assert (seeds[:, 32:] == 2).all()
    assert (seeds[:, :32] == 1).all()


def test_nodata_has_no_seed():
    valid = np.ones((8, 30), bool)
    valid[:, 20:] = False
    assert not dual_threshold_seeds(ramp(), (2,), FLAT, 1, 0.4, 0.2, valid)[:, 20:].any()


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="lower"):
        dual_threshold_seeds(ramp(), (2,), FLAT, 1, 0.2, 0.4)
