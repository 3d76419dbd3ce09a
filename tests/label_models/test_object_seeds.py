"""What a click says about the rest of its object, and around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.label_models._object_seeds import TRUSTED, object_seeds, possible
from napari_wsss.models.embedded.asked import Asked
from napari_wsss.models.embedded.many import Cutout

SHAPE = (60, 60)


def disc(y: int, x: int, r: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= r * r


def thing(mask: np.ndarray, class_id: int = 2, iou: float = 0.9) -> Asked:
    return Asked(class_id, Cutout((0, 0, *SHAPE), np.where(mask, 4.0, -4.0).astype(np.float32), iou))


def test_inside_is_the_class_a_ring_is_background_and_the_rest_is_open():
    seeds = object_seeds([thing(disc(30, 30, 10))], SHAPE, 1)
    assert (seeds[disc(30, 30, 10)] == 2).all()
    ring = disc(30, 30, 14) & ~disc(30, 30, 12)
    assert (seeds[ring] == 1).all()
    assert (seeds[~disc(30, 30, 20)] == 0).all()


def test_no_ring_lies_on_another_object_be_it_trusted_or_not():
    for iou in (0.9, 0.1):
        other = disc(30, 42, 4)
        seeds = object_seeds([thing(disc(30, 30, 10) & ~other), thing(other, 2, iou)], SHAPE, 1)
        assert not (seeds[other] == 1).any()
        assert (seeds[other] == 2).all() == (iou >= TRUSTED)


@given(st.floats(0, 1), st.integers(0, 12))
def test_an_untrusted_or_empty_mask_teaches_nothing(iou: float, radius: int):
    mask = disc(30, 30, radius) if radius else np.zeros(SHAPE, bool)
    taught = object_seeds([thing(mask, 2, iou)], SHAPE, 1).any()
    assert taught == (iou >= TRUSTED and mask.any())


@pytest.mark.parametrize(("first", "second", "winner"), [(0.9, 0.7, 2), (0.7, 0.9, 3)])
def test_where_objects_overlap_the_surer_one_wins(first, second, winner):
    seeds = object_seeds([thing(disc(30, 30, 9), 2, first), thing(disc(30, 30, 9), 3, second)], SHAPE, 1)
    assert seeds[30, 30] == winner


def test_only_what_the_labels_allow_is_possible():
    allow = np.ones((2, *SHAPE), bool)
    allow[1, :30] = False
    seeds = object_seeds([thing(disc(30, 30, 10))], SHAPE, 1)
    there = possible(seeds, allow)
    assert not there[seeds == 0].any()
    assert not (there & (seeds == 2))[:30].any()
    assert there[30:][seeds[30:] == 2].all()
