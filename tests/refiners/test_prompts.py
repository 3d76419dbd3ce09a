"""Adaptive points, boxes and mask logits of an object (methods.md C.0, C.3, G.9)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_wsss.models.prompts import lowres_extent
from napari_wsss.refiners._prompts import aps_points, expanded, mask_logits, objects, prompts_for
from napari_wsss.types import Point


def even(mask: np.ndarray) -> np.ndarray:
    return np.ones(mask.shape, np.float32)


def test_the_first_point_of_a_centred_square_is_its_centre():
    mask = np.zeros((21, 21), bool)
    mask[3:18, 3:18] = True
    assert aps_points(mask, even(mask), 1).tolist() == [[10, 10]]


def test_a_rings_points_lie_on_the_ring():
    y, x = np.ogrid[:61, :61]
    radius = np.hypot(y - 30, x - 30)
    ring = (radius <= 25) & (radius >= 15)
    points = aps_points(ring, even(ring), 4)
    assert len(points) == 4
    assert ring[tuple(points.T)].all()


def test_two_blobs_get_a_point_each():
    mask = np.zeros((30, 60), bool)
    mask[5:26, 5:26] = True
    mask[8:23, 40:55] = True
    points = aps_points(mask, even(mask), 2)
    assert {bool(x < 30) for _, x in points} == {True, False}


def test_an_object_cut_by_the_border_gets_no_point_on_the_border():
    mask = np.zeros((20, 20), bool)
    mask[:, :8] = True
    (point,) = aps_points(mask, even(mask), 1)
    assert 2 <= point[1] <= 5
    assert 3 <= point[0] <= 16


def test_the_surer_of_two_equal_blobs_comes_first():
    mask = np.zeros((15, 40), bool)
    mask[2:13, 2:13] = mask[2:13, 25:36] = True
    weight = np.where(np.arange(40) < 20, 0.3, 0.9).astype(np.float32) * np.ones((15, 1), np.float32)
    assert aps_points(mask, weight, 1)[0, 1] > 20


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (14, 17)), st.integers(1, 6))
def test_points_lie_inside_and_apart(mask, n):
    points = aps_points(mask, even(mask), n)
    assert len(points) <= n
    assert mask[tuple(points.T)].all()
    assert len({tuple(p) for p in points.tolist()}) == len(points)


def test_a_thin_line_gets_no_point():
    mask = np.zeros((9, 9), bool)
    mask[4] = True
    assert len(aps_points(mask, even(mask), 3)) == 0


@pytest.mark.parametrize(
    ("box", "wanted"), [((40, 40, 60, 90), (38, 37, 62, 93)), ((0, 1, 100, 101), (0, 0, 105, 106))]
)
def test_boxes_grow_by_five_percent_and_at_least_two_pixels(box, wanted):
    assert expanded(box, (200, 200)) == wanted
    assert expanded(box, (50, 95))[2:] == (50, min(95, wanted[3]))


def test_objects_carry_the_clicks_that_concern_them():
    labels = np.ones((40, 60), np.uint16)
    labels[10:20, 10:20] = 2
    labels[10:20, 40:50] = 2
    points = (Point(15, 15, 2), Point(9, 15, 1), Point(35, 30, 1))
    first, second = objects(labels, (2,), points, min_area=16)
    assert first.inside.tolist() == [[15, 15]]
    assert first.outside.tolist() == [[9, 15]]
    assert second.inside.tolist() == second.outside.tolist() == []
    assert objects(labels, (2,), (), min_area=101) == []


def test_a_prompt_puts_clicks_first_and_points_of_each_sign_where_they_belong():
    labels = np.ones((80, 80), np.uint16)
    y, x = np.ogrid[:80, :80]
    labels[(y - 40) ** 2 + (x - 40) ** 2 <= 400] = 2
    labels[20:61, 56:62] = 3
    (thing,) = objects(labels, (2,), (Point(30, 30, 2),), 16)
    belief = np.where(labels == 2, 0.9, 0.05).astype(np.float32)
    prompt, without = prompts_for(thing, belief, labels, 256)
    assert without.points.tolist() == prompt.points[prompt.positive].tolist()
    assert without.positive.all()
    assert prompt.points[0].tolist() == [30, 30]
    positive, negative = prompt.points[prompt.positive], prompt.points[~prompt.positive]
    assert len(positive) == 3
    assert (labels[tuple(positive.T)] == 2).all()
    assert 0 < len(negative) <= 3
    assert (labels[tuple(negative.T)] != 2).all()
    assert prompt.box == (17, 18, 64, 58)


@pytest.mark.parametrize("shape", [(600, 300), (300, 600)])
def test_mask_logits_are_aligned_for_images_that_are_not_square(shape):
    labels = np.zeros(shape, np.uint16)
    y, x = int(shape[0] * 0.6), int(shape[1] * 0.75)
    labels[y - 30 : y + 31, x - 30 : x + 31] = 1
    (thing,) = objects(labels, (1,), (), 16)
    logits = mask_logits(thing, (labels == 1).astype(np.float32), 256)
    scale = 256 / max(shape)
    found = np.argwhere(logits > 0).mean(0)
    assert np.abs(found - ((np.array([y, x]) + 0.5) * scale - 0.5)).max() <= 1
    rows, columns = lowres_extent(shape, 256)
    assert logits[:rows, :columns].min() == pytest.approx(-np.log(49), abs=1e-4)
    assert logits.max() == pytest.approx(np.log(49), abs=1e-4)
