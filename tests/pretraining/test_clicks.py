"""The annotator of the training: clicks into the errors' depth, boxes around, guesses that are wrong."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_wsss.models.embedded.prompts import NOTHING
from napari_wsss.pretraining.clicks import depths, loose_boxes, next_clicks, rough_masks
from tests.pretraining.toy_scenes import blobs, dice

seeds = st.integers(0, 10_000)


def some(seed: int, n: int = 3) -> torch.Tensor:
    """Random masks."""
    return torch.from_numpy(np.stack([blobs(seed + i) for i in range(n)]))


def cell_of(click: torch.Tensor, stride: int) -> tuple[int, int]:
    """Row and column of the cell under a click in pixels."""
    column, row, _ = click[0].tolist()
    return int(np.floor((row + 0.5) / stride + 1e-6)), int(np.floor((column + 0.5) / stride + 1e-6))


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_depths_are_the_euclidean_distance_transform(seed: int) -> None:
    """scipy is the reference; the frame's edge is an edge."""
    region = some(seed)[:, :33]
    region[1], region[2] = True, False
    expected = [ndimage.distance_transform_edt(np.pad(r, 1))[1:-1, 1:-1] for r in region.numpy()]
    assert np.allclose(depths(region), np.stack(expected), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([1, 2, 8]), st.floats(0, 1))
def test_the_first_click_is_on_the_object(seed: int, stride: int, whim: float) -> None:
    truth = some(seed)
    clicks = next_clicks(truth, torch.zeros_like(truth), dice(seed), stride, whim)
    for whole, click in zip(truth, clicks):
        assert int(click[0, 2]) == (1 if whole.any() else NOTHING)
        if whole.any():
            assert whole[cell_of(click, stride)]


@settings(max_examples=60, deadline=None)
@given(seeds, seeds, st.floats(0, 1))
def test_a_click_is_in_the_errors_that_are_more_and_says_its_kind(one: int, other: int, whim: float) -> None:
    truth, found = some(one), some(other)
    for t, f, click in zip(truth, found, next_clicks(truth, found, dice(one), 2, whim)):
        missed, wrong = t & ~f, f & ~t
        if not (missed | wrong).any():
            assert int(click[0, 2]) == NOTHING
            continue
        positive = int(missed.sum()) >= int(wrong.sum())
        assert int(click[0, 2]) == positive
        assert (missed if positive else wrong)[cell_of(click, 2)]


def test_a_perfect_mask_gets_no_click() -> None:
    truth = some(3)
    assert (next_clicks(truth, truth.clone(), dice(0), 2)[:, 0, 2] == NOTHING).all()


def test_without_a_whim_the_click_is_the_deepest_cell() -> None:
    truth = torch.zeros(2, 30, 40, dtype=torch.bool)
    truth[0, 5:16, 10:21] = True
    truth[1] = True  # the picture's edge is an edge
    clicks = next_clicks(truth[:, :, :31], torch.zeros_like(truth)[:, :, :31], dice(0), 2, whim=0)
    assert cell_of(clicks[0], 2) == (10, 15)
    assert cell_of(clicks[1], 2)[0] in (14, 15)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_loose_box_is_about_the_objects(seed: int) -> None:
    truth = some(seed)
    truth[:, 20, 20] = True
    for whole, corners in zip(truth.numpy(), loose_boxes(truth, dice(seed), 2)):
        y, x = np.nonzero(whole)
        exact = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) * 2.0
        slack = 0.15 * min(exact[2] - exact[0], exact[3] - exact[1]) + 2
        assert np.abs(corners[:, :2].numpy().ravel() - exact).max() <= slack + 1e-4


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_rough_mask_is_finite_and_no_surer_than_it_may_be(seed: int) -> None:
    truth = some(seed)
    guess = rough_masks(truth, dice(seed))
    assert guess.shape == truth.shape
    assert float(guess.abs().max()) <= np.log(0.98 / 0.02) + 1e-4


def test_rough_masks_resemble_the_object_and_are_not_it() -> None:
    disc = torch.from_numpy(np.hypot(*(np.indices((60, 60)) - 30)) < 15).expand(2, -1, -1)
    source, alike = dice(0), []
    for _ in range(20):
        guess = rough_masks(disc, source) > 0
        alike += ((guess & disc).sum((1, 2)) / (guess | disc).sum((1, 2))).tolist()
    assert 0.4 < np.mean(alike) < 0.95
    assert len(set(np.round(alike, 3))) > 10
