"""Objects out of one region: between points, along a line, one a point (P2Seg's rule, methods.md F.11)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import disk, line

from napari_wsss import splitting
from napari_wsss.types import Point


def discs(*circles: tuple[int, int, int], shape: tuple[int, int] = (80, 120)) -> np.ndarray:
    out = np.zeros(shape, bool)
    for y, x, r in circles:
        out[disk((y, x), r, shape=shape)] = True
    return out


THREE = discs((30, 25, 14), (30, 50, 14), (50, 95, 12))
"""The first two touch."""


def test_touching_discs_are_divided_at_their_neck():
    region = discs((30, 25, 14), (30, 50, 14))
    parts = splitting.between(region, [[(30, 20)], [(26, 55)]])
    assert np.array_equal(parts > 0, region)
    left = np.arange(120)[None] < 37.5
    wrong = ((parts == 1) != left)[region].mean()
    assert wrong < 0.02
    assert not splitting.ambiguous(parts)


def test_three_discs_with_four_points_are_four_objects_of_which_two_are_in_doubt():
    labels = THREE.astype(np.uint16) * 2
    points = [Point(30, 20, 2), Point(30, 55, 2), Point(50, 92, 2), Point(50, 99, 2)]
    found = splitting.one_a_point(labels, None, points)
    assert len(np.unique(found.instances)) - 1 == 4
    assert len({found.instances[p.y, p.x] for p in points}) == 4
    assert found.divided == 2
    assert set(found.ambiguous) == {found.instances[50, 92], found.instances[50, 99]}


def test_without_a_point_its_object_and_no_other_is_gone():
    labels = THREE.astype(np.uint16)
    points = [Point(30, 20, 1), Point(30, 55, 1), Point(50, 95, 1)]
    full = splitting.one_a_point(labels, None, points).instances
    less = splitting.one_a_point(labels, None, points[:2]).instances
    assert not less[50, 95]
    assert np.array_equal(less[full != full[50, 95]] > 0, full[full != full[50, 95]] > 0)


def test_points_of_one_object_number_are_one_object_and_ids_that_stand_are_kept():
    labels = THREE.astype(np.uint16)
    same = [Point(30, 20, 1, 7), Point(30, 55, 1, 7), Point(50, 95, 1, 9)]
    found = splitting.one_a_point(labels, None, same)
    assert set(np.unique(found.instances)) == {0, 7, 9}
    assert found.divided == 0
    again = splitting.one_a_point(labels, found.instances, [Point(50, 95, 1, 3)])
    assert np.array_equal(again.instances, found.instances), "an accepted object got another number"


def test_a_number_that_another_object_has_is_not_given_twice():
    labels = THREE.astype(np.uint16)
    ids = np.where(discs((50, 95, 12)), 7, 0).astype(np.uint32)
    found = splitting.one_a_point(labels, ids, [Point(30, 20, 1, 7), Point(30, 55, 1, 8)])
    assert len({int(found.instances[p]) for p in ((30, 20), (30, 55), (50, 95))}) == 3
    assert found.instances[50, 95] == 7


def test_a_line_cuts_and_its_pixels_go_to_the_parts():
    region = discs((30, 30, 20))
    drawn = np.zeros(region.shape, bool)
    drawn[line(5, 28, 55, 34)] = True
    parts = splitting.along(region, drawn)
    assert set(np.unique(parts)) == {0, 1, 2}
    assert np.array_equal(parts > 0, region)
    assert abs((parts == 1).sum() / region.sum() - 0.5) < 0.1


def test_a_line_that_does_not_go_through_leaves_the_region_whole():
    region = discs((30, 30, 20))
    drawn = np.zeros(region.shape, bool)
    drawn[line(30, 5, 30, 30)] = True
    assert np.array_equal(splitting.along(region, drawn), region.astype(int))
    apart = discs((20, 20, 10), (20, 60, 10))
    assert splitting.along(apart, np.zeros_like(apart)).max() == 1, "two islands of one object are no cut"


def test_a_place_outside_the_region_is_refused():
    with pytest.raises(ValueError, match="not in the region"):
        splitting.between(discs((30, 30, 10)), [[(30, 30)], [(0, 0)]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_parts_cover_the_region_and_hold_their_places(seed: int):
    rng = np.random.default_rng(seed)
    region = rng.random((20, 20)) < 0.7
    places = [tuple(int(v) for v in p) for p in rng.permutation(np.argwhere(region))[: rng.integers(1, 6)]]
    parts = splitting.between(region, [[p] for p in places])
    assert np.array_equal(parts > 0, region)
    assert [parts[p] for p in places] == list(range(1, len(places) + 1))


def test_every_region_gets_a_number_and_given_ones_stay():
    labels = np.where(THREE, 2, 1).astype(np.uint16)
    given = np.where(discs((50, 95, 12)), 7, 0).astype(np.uint32)
    ids = splitting.each_region(labels, given, background=1)
    assert (ids[labels == 1] == 0).all()
    assert (ids[given > 0] == 7).all()
    assert set(np.unique(ids)) == {0, 7, 8}
    assert (ids[THREE & (given == 0)] == 8).all()


def test_a_rim_along_an_object_belongs_to_it_and_a_neighbour_does_not():
    labels = np.where(discs((30, 25, 14), (30, 52, 14)), 2, 1).astype(np.uint16)
    given = np.where(discs((30, 25, 12)), 3, 0).astype(np.uint32)
    rim = discs((30, 25, 14)) & (given == 0)
    apart = np.where(rim | (given > 0), 2, 1).astype(np.uint16)
    assert (splitting.each_region(apart, given, background=1)[rim] == 3).all()
    ids = splitting.each_region(labels, np.where(discs((30, 25, 14)), 3, 0).astype(np.uint32), background=1)
    assert len(np.unique(ids[discs((30, 52, 10))])) == 1
    assert ids[30, 60] not in (0, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_objects_are_the_connected_regions_where_nobody_numbered_any(seed, classes):
    labels = np.random.default_rng(seed).integers(0, classes + 1, (12, 15)).astype(np.uint16)
    ids = splitting.each_region(labels, None, background=1)
    assert np.array_equal(ids > 0, labels > 1)
    for class_id in range(2, classes + 1):
        regions, count = ndimage.label(labels == class_id)
        pairs = set(zip(regions[regions > 0].tolist(), ids[regions > 0].tolist(), strict=True))
        assert len(pairs) == count == len({number for _, number in pairs})
