"""Proposal voting: joint and order-free, or as published (methods.md C.1, G.5)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.refiners._voting import _grid, proposal_of, propose, vote_faithful, vote_joint
from napari_wsss.types import no_progress
from tests.refiners.toy_sam import ToySam, image_of


def rectangle(shape, y0, x0, y1, x1):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def beliefs(labels, k):
    return np.stack([(labels == c).astype(np.float32) for c in range(1, k + 1)])


def test_four_by_four_grows_to_the_four_by_six_object():
    labels = np.ones((10, 10), np.uint16)
    labels[3:7, 2:6] = 2
    true = rectangle((10, 10), 3, 2, 7, 8)
    proposals = [proposal_of(true)]
    out, owners = vote_joint(labels, beliefs(labels, 2), proposals, (2,))
    assert owners == (2,)
    assert np.array_equal(out == 2, true)
    assert np.array_equal(vote_faithful(labels, proposals, (2,), 1) == 2, true)


def test_a_proposal_of_the_whole_image_is_refused_jointly_but_not_as_published():
    labels = np.ones((10, 10), np.uint16)
    labels[3:7, 3:7] = 2
    whole = [proposal_of(np.ones((10, 10), bool))]
    out, owners = vote_joint(labels, beliefs(labels, 2), whole, (2,))
    assert owners == (0,)
    assert np.array_equal(out, labels)
    assert (vote_faithful(labels, whole, (2,), 1) == 2).all()


def shared_scene():
    """Two classes side by side, both held by one proposal."""
    labels = np.ones((12, 20), np.uint16)
    labels[4:8, 4:9] = 2
    labels[4:8, 9:13] = 3
    return labels, [proposal_of(rectangle((12, 20), 4, 3, 8, 14))]


def test_exchanging_class_ids_exchanges_the_joint_result_and_changes_the_published_one():
    labels, proposals = shared_scene()
    swap = np.array([0, 1, 3, 2], np.uint16)
    out, _ = vote_joint(labels, beliefs(labels, 3), proposals, (2, 3))
    swapped, _ = vote_joint(swap[labels], beliefs(swap[labels], 3), proposals, (2, 3))
    assert np.array_equal(swap[out], swapped)
    faithful = vote_faithful(labels, proposals, (2, 3), 1)
    faithful_swapped = vote_faithful(swap[labels], proposals, (2, 3), 1)
    assert not np.array_equal(swap[faithful], faithful_swapped)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations([1, 2, 3, 4]))
def test_joint_votes_know_no_order_of_classes_or_proposals(seed, order):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(rng.integers(0, 5, (4, 5)), 4, 0), 4, 1).astype(np.uint16)
    probabilities = rng.random((4, *labels.shape)).astype(np.float32)
    corners = rng.integers(0, 16, (7, 2))
    sizes = rng.permutation(np.arange(2, 9))  # all areas differ
    proposals = [
        proposal_of(rectangle(labels.shape, y, min(x, 14), y + s, min(x, 14) + s + 1))
        for (y, x), s in zip(corners // np.array([2, 1]), sizes)
    ]
    out, _ = vote_joint(labels, probabilities, proposals, (1, 2, 3, 4))
    to = np.array([0, *order], np.uint16)
    moved = np.empty_like(probabilities)
    moved[to[1:] - 1] = probabilities
    again, _ = vote_joint(
        to[labels], moved, proposals[::-1] if len({p.area for p in proposals}) == 7 else proposals, (1, 2, 3, 4)
    )
    assert np.array_equal(to[out], again)


def test_the_smaller_proposal_lies_on_top():
    labels = np.ones((12, 12), np.uint16)
    labels[2:10, 2:10] = 2
    labels[5:7, 5:7] = 3
    proposals = [proposal_of(rectangle((12, 12), 5, 5, 7, 7)), proposal_of(rectangle((12, 12), 2, 2, 10, 10))]
    out, owners = vote_joint(labels, beliefs(labels, 3), proposals, (2, 3))
    assert owners == (3, 2)
    assert np.array_equal(out, labels)


def test_class_pixels_in_proposals_that_nobody_got_are_left_open():
    labels = np.ones((12, 12), np.uint16)
    labels[2:4, 2:10] = 2
    out, owners = vote_joint(labels, beliefs(labels, 2), [proposal_of(rectangle((12, 12), 2, 6, 8, 12))], (2,))
    assert owners == (0,)
    assert (out[2:4, 6:10] == 0).all()
    assert (out[2:4, 2:6] == 2).all()
    assert (out[5:] == 1).all()
    faithful = vote_faithful(labels, [proposal_of(rectangle((12, 12), 2, 6, 8, 12))], (2,), 1)
    assert (faithful[2:4, 6:10] == 1).all()


def test_a_full_tie_is_nobodys_and_belief_decides_a_tie_of_pixels():
    labels = np.full((6, 12), 1, np.uint16)
    labels[1:5, 2:6], labels[1:5, 6:10] = 2, 3
    both = [proposal_of(rectangle((6, 12), 1, 2, 5, 10))]
    even = np.full((3, 6, 12), 0.3, np.float32)
    assert vote_joint(labels, even, both, (2, 3))[1] == (0,)
    even[2] = 0.4
    assert vote_joint(labels, even, both, (2, 3))[1] == (3,)


def test_grid_proposals_come_once_each_and_leave_the_ground_out():
    picture = np.full((60, 80), 0.1)
    picture[5:25, 5:25] = 0.6
    picture[30:55, 40:70] = 0.95
    toy = ToySam()
    found = propose(toy, toy.embed(image_of(picture[None].repeat(3, 0))), 10, no_progress)
    assert sorted(p.box for p in found) == [(5, 5, 25, 25), (30, 40, 55, 70)]
    assert proposal_of(np.zeros((3, 3), bool)) is None


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (7, 300)])
def test_the_grid_covers_long_images(shape):
    points = np.array(_grid(shape, 8))
    assert (points >= 0).all()
    assert (points < shape).all()
    assert len(points) >= 8
