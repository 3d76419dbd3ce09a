"""The oracles of methods.md E.5 on hand-made probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss import registry
from napari_wsss.errors import CannotFeed
from napari_wsss.models.doubt import (
    EPS,
    box_sum,
    entropy,
    impurity,
    is_even,
    margin,
    pick,
    pixel_scores,
    region_scores,
    window_sizes,
)
from napari_wsss.protocols import Context, Doubt
from napari_wsss.types import Class, Classes

CONTEXT = Context(Classes((Class(1, "a", "#000000"), Class(2, "b", "#ffffff"))))


def halves(classes: int = 4, best: float = 0.9, side: int = 12) -> np.ndarray:
    """Two flat halves, class 0 left and class 1 right, each with probability ``best``."""
    p = np.full((classes, side, side), (1 - best) / (classes - 1))
    p[0, :, : side // 2] = best
    p[1, :, side // 2 :] = best
    return p


def random_p(seed: int, classes: int, shape: tuple[int, int]) -> np.ndarray:
    raw = np.random.default_rng(seed).gamma(0.5, size=(classes, *shape))
    return raw / raw.sum(0)


def test_two_flat_halves_give_the_published_numbers():
    found = region_scores(halves(), 1)
    border = found.impurity[:, 5:7]
    assert border == pytest.approx(0.4591, abs=1e-4)
    assert np.delete(found.impurity, [5, 6], 1).max() == 0
    assert found.uncertainty == pytest.approx(0.3137, abs=1e-4)
    assert set(np.unravel_index(found.score.argmax(), found.score.shape)) & {5, 6}
    assert found.score[:, 5:7].min() > 0.14


def test_the_place_is_picked_where_both_are_high():
    """Unsure but flat, certain but mixed, and both: entropy alone or impurity alone would pick another."""
    p = np.full((2, 9, 30), 0.0)
    p[0], p[1] = 0.999, 0.001
    p[:, :, 0:8] = 0.5 + np.array([0.001, -0.001])[:, None, None]  # unsure and flat
    p[:, :, 14] = np.array([0.0001, 0.9999])[:, None]  # certain border
    p[:, 3:6, 23] = np.array([0.3, 0.7])[:, None]  # mixed and unsure
    found = region_scores(p, 1)
    _, x = np.unravel_index(found.score.argmax(), found.score.shape)
    assert 22 <= x <= 24
    assert found.uncertainty.argmax() % 30 < 9
    assert impurity(p, 1)[:, 13:16].max() > 0.5


def test_windows_are_counted_as_they_lie_in_the_image():
    n = window_sizes((5, 7), 1)
    assert (n[0, 0], n[0, 3], n[2, 3]) == (4, 6, 9)
    assert window_sizes((3, 3), 5).tolist() == [[9] * 3] * 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 4), st.integers(1, 9), st.integers(1, 9))
def test_box_sums_equal_the_slow_ones(seed, k, height, width):
    values = np.random.default_rng(seed).random((height, width))
    slow = [
        [values[max(0, y - k) : y + k + 1, max(0, x - k) : x + k + 1].sum() for x in range(width)]
        for y in range(height)
    ]
    assert box_sum(values, k) == pytest.approx(np.array(slow))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.integers(1, 3))
def test_class_order_does_not_matter(seed, classes, k):
    p = random_p(seed, classes, (8, 9))
    order = np.random.default_rng(seed).permutation(classes)
    for one, other in zip(
        (region_scores(p, k).score, pixel_scores(p, 3), margin(p)),
        (region_scores(p[order], k).score, pixel_scores(p[order], 3), margin(p[order])),
        strict=True,
    ):
        assert one == pytest.approx(other)


def test_nineteen_classes_give_the_public_normalisation():
    p = random_p(0, 19, (6, 6))
    assert entropy(p) == pytest.approx(-(p * np.log(p + EPS)).sum(0) / np.log(19))


def test_pixel_scores_are_not_normalised():
    p = halves()
    raw = -(p * np.log(p + EPS)).sum(0)
    share = np.array([0.5, 0.5])
    mixed = -(share * np.log(share + EPS)).sum()
    assert pixel_scores(p, 12)[5, 5] == pytest.approx(raw[5, 5] * mixed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 3))
def test_windows_never_overlap_and_every_pick_is_taken(seed, k):
    scores = np.random.default_rng(seed).random((17, 23))
    taken = np.zeros(scores.shape, bool)
    taken[:4, :4] = True
    places = list(pick(scores, taken, k, 2 * k))
    assert places == list(pick(scores, np.pad(np.ones((4, 4), bool), ((0, 13), (0, 19))), k, 2 * k))
    for i, (y, x) in enumerate(places):
        assert taken[y, x]
        assert not (y < 4 and x < 4)
        assert all(max(abs(y - b), abs(x - a)) >= 2 * k + 1 for b, a in places[:i])
    assert taken.all()


def test_picking_ends_where_nothing_is_above_nought():
    scores = np.zeros((6, 6))
    scores[2, 3] = 1
    assert list(pick(scores, np.zeros((6, 6), bool), 1, 2)) == [(2, 3)]


def test_a_constant_map_is_recognised():
    p = np.full((3, 10, 10), 1 / 3)
    found = region_scores(p, 2)
    assert found.score.max() == 0
    assert is_even(found.uncertainty)
    assert not is_even(region_scores(halves(), 1).score)
    assert is_even(found.score, np.zeros((10, 10), bool))


@pytest.mark.parametrize("name", registry.names("acquisition"))
def test_every_strategy_scores_every_pixel_and_twice_the_same(name):
    method = registry.load("acquisition", name)
    strategy = method(method.Params(), CONTEXT)
    planes = np.random.default_rng(0).random((2, 20, 24))
    doubt = Doubt(random_p(1, 3, (20, 24)).astype(np.float32), "x", 2, *planes)
    scores = strategy(doubt)
    assert scores.shape == (20, 24)
    assert np.isfinite(scores).all()
    assert np.array_equal(scores, strategy(doubt))


@pytest.mark.parametrize(("name", "remedy"), [("disagreement", "--student"), ("hardness", "training.hardness=yes")])
def test_what_a_strategy_lacks_is_said_with_the_remedy(name, remedy):
    method = registry.load("acquisition", name)
    with pytest.raises(CannotFeed, match=remedy):
        method(method.Params(), CONTEXT)(Doubt(halves().astype(np.float32), "x", 1))
