"""The annotator of the training: clicks into the largest error, boxes around, guesses that are wrong."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_wsss.pretraining.clicks import loose_box, next_click, rough_mask
from tests.pretraining.toy_scenes import blobs

seeds = st.integers(0, 10_000)


def cell_of(place: tuple[float, float, int], stride: int) -> tuple[int, int]:
    """Row and column of the cell under a place in pixels."""
    column, row, _ = place
    return int(np.floor((row + 0.5) / stride)), int(np.floor((column + 0.5) / stride))


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([1, 2, 8]), st.floats(0, 1))
def test_the_first_click_is_on_the_object(seed: int, stride: int, whim: float) -> None:
    truth = blobs(seed)
    click = next_click(truth, np.zeros_like(truth), np.random.default_rng(seed), stride, whim)
    if not truth.any():
        assert click is None
        return
    assert click is not None
    assert click[2] == 1
    assert truth[cell_of(click, stride)]


@settings(max_examples=60, deadline=None)
@given(seeds, seeds, st.floats(0, 1))
def test_a_click_is_in_the_largest_error_and_says_its_kind(one: int, other: int, whim: float) -> None:
    truth, found = blobs(one), blobs(other)
    click = next_click(truth, found, np.random.default_rng(one), 2, whim)
    regions = []
    for wrong, kind in ((truth & ~found, 1), (found & ~truth, 0)):
        ids, n = ndimage.label(wrong)
        regions += [(int((ids == i).sum()), kind, ids == i) for i in range(1, n + 1)]
    if not regions:
        assert click is None
        return
    assert click is not None
    largest = max(size for size, _, _ in regions)
    hit = [(size, kind) for size, kind, region in regions if region[cell_of(click, 2)]]
    assert hit == [(largest, click[2])]


@given(seeds)
def test_a_perfect_mask_gets_no_click(seed: int) -> None:
    truth = blobs(seed)
    assert next_click(truth, truth.copy(), np.random.default_rng(seed), 2) is None


def test_without_a_whim_the_click_is_the_deepest_cell() -> None:
    truth = np.zeros((30, 40), bool)
    truth[5:16, 10:21] = True
    click = next_click(truth, np.zeros_like(truth), np.random.default_rng(0), 2, whim=0)
    assert click is not None
    assert cell_of(click, 2) == (10, 15)


def test_an_object_that_fills_the_picture_is_clicked_in_its_middle() -> None:
    """The picture's edge is an edge."""
    click = next_click(np.ones((21, 21), bool), np.zeros((21, 21), bool), np.random.default_rng(0), 2, whim=0)
    assert click is not None
    assert cell_of(click, 2) == (10, 10)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_loose_box_is_about_the_objects(seed: int) -> None:
    truth = blobs(seed)
    truth[20, 20] = True
    y, x = np.nonzero(truth)
    exact = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) * 2.0
    slack = 0.15 * min(exact[2] - exact[0], exact[3] - exact[1]) + 2
    assert np.abs(loose_box(truth, np.random.default_rng(seed), 2) - exact).max() <= slack + 1e-4


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_rough_mask_is_finite_and_often_right(seed: int) -> None:
    truth = blobs(seed)
    guess = rough_mask(truth, np.random.default_rng(seed))
    assert guess.shape == truth.shape
    assert guess.dtype == np.float32
    assert np.abs(guess).max() <= np.log(0.98 / 0.02) + 1e-4


def test_rough_masks_resemble_the_object_and_are_not_it() -> None:
    disc = np.hypot(*(np.indices((60, 60)) - 30)) < 15
    rng = np.random.default_rng(0)
    alike = []
    for _ in range(30):
        guess = rough_mask(disc, rng) > 0
        alike.append((guess & disc).sum() / (guess | disc).sum())
    assert 0.4 < np.mean(alike) < 0.95
    assert len(set(np.round(alike, 3))) > 10
