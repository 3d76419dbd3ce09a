"""Outlines: filling them gives the object back, with holes, pieces and bridges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage

from napari_wsss.exporters._polygons import bridged, parts_of, signed_area, turned
from napari_wsss.objects import objects

# pycocotools' compiled reader speaks NumPy 1's array protocol
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda s: arrays(bool, s)).filter(np.any)


def parts(mask):
    (thing,) = objects(mask.astype(np.uint16), mask.astype(np.uint32), (1,))
    return parts_of(thing)


def filled(ring, shape):
    """Even-odd fill at pixel centres, by counting edges crossed to the right: slow and certain."""
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0)):
        if y0 != y1:
            crosses = (min(y0, y1) <= ys) & (ys < max(y0, y1))
            inside ^= crosses & (xs < x0 + (ys - y0) / (y1 - y0) * (x1 - x0))
    return inside


@given(masks)
@settings(max_examples=80, deadline=None)
def test_bridged_path_fills_to_the_object(mask):
    path = bridged([ring for part in parts(mask) for ring in part])
    assert np.array_equal(filled(path, mask.shape), mask)


@given(masks)
@settings(max_examples=80, deadline=None)
def test_areas_add_up_and_each_piece_is_a_part(mask):
    total = sum(abs(signed_area(p[0])) - sum(abs(signed_area(h)) for h in p[1:]) for p in parts(mask))
    assert total == mask.sum()
    assert len(parts(mask)) == ndimage.label(mask)[1]


@given(masks)
@settings(max_examples=80, deadline=None)
def test_every_outline_rasterises_exactly_in_pycocotools(mask):
    for outline, *_ in parts(mask):
        decoded = coco.decode(coco.frPyObjects([outline.ravel().tolist()], *mask.shape)[0])
        assert np.array_equal(decoded > 0, filled(outline, mask.shape))


def test_turned():
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    assert signed_area(turned(square, True)) == 1
    assert signed_area(turned(square, False)) == -1
