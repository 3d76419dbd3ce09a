"""Drawn images: the same from the same seed, with truth that agrees with what is to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.drawing import FOREST, LAND_CLASSES, NUCLEI_CLASSES, WATER, land, nuclei


@pytest.mark.parametrize("draw", [nuclei, land])
def test_one_seed_is_one_drawing(draw):
    first, again, other = draw(5, shape=(96, 120)), draw(5, shape=(96, 120)), draw(6, shape=(96, 120))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.truth, again.truth)
    assert not np.array_equal(first.pixels, other.pixels)


def test_nuclei_are_brighter_than_what_surrounds_them():
    drawn = nuclei(1)
    assert drawn.pixels.dtype == np.uint16
    assert drawn.pixels.shape == drawn.truth.shape == (320, 320)
    assert set(np.unique(drawn.truth)) == {1, 2}
    assert len(NUCLEI_CLASSES) == 2
    inside = drawn.truth == 2
    assert np.array_equal(inside, drawn.instances > 0)
    assert drawn.pixels[inside].mean() > 3 * drawn.pixels[~inside].mean()
    assert len(np.unique(drawn.instances)) - 1 > 15


def test_some_nuclei_touch():
    ids = nuclei(1).instances.astype(int)
    right, below = ids[:, 1:], ids[1:]
    touching = ((ids[:, :-1] != right) & (ids[:, :-1] > 0) & (right > 0)).any()
    assert touching or ((ids[:-1] != below) & (ids[:-1] > 0) & (below > 0)).any()


def test_a_field_may_be_empty():
    drawn = nuclei(1, count=0, shape=(64, 64))
    assert (drawn.truth == 1).all()
    assert not drawn.instances.any()


def test_land_has_every_class_and_their_looks():
    drawn = land(3)
    assert drawn.pixels.dtype == np.uint8
    assert drawn.pixels.shape == (384, 384, 3)
    assert set(np.unique(drawn.truth)) == set(range(1, len(LAND_CLASSES) + 1))
    water, forest = drawn.pixels[drawn.truth == WATER], drawn.pixels[drawn.truth == FOREST]
    assert water[:, 2].mean() > water[:, 0].mean() + 20  # blue
    assert forest[:, 1].mean() > forest[:, 0].mean() + 10  # green
    assert forest.std(0).mean() > 2 * water.std(0).mean()  # rough
