"""RLE: equal to pycocotools' own, and lossless."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from napari_wsss.exporters._rle import compressed, counts_of, expanded, mask_of
from napari_wsss.objects import objects

# pycocotools' compiled reader speaks NumPy 1's array protocol
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

masks = st.tuples(st.integers(1, 23), st.integers(1, 23)).flatmap(lambda s: arrays(bool, s))


def whole(mask):
    """The mask's True pixels as one object."""
    (thing,) = objects(mask.astype(np.uint16), mask.astype(np.uint32), (1,))
    return thing


@given(masks.filter(np.any))
@settings(max_examples=150, deadline=None)
def test_counts_and_string_equal_pycocotools_and_decode_to_the_mask(mask):
    counts = counts_of(whole(mask), mask.shape)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert compressed(counts) == theirs["counts"].decode()
    assert np.array_equal(mask_of(counts, mask.shape), mask)
    assert np.array_equal(coco.decode({"size": list(mask.shape), "counts": compressed(counts)}) > 0, mask)


@given(st.lists(st.integers(0, 10**9), max_size=30))
def test_string_and_back(counts):
    assert expanded(compressed(counts)) == counts


def test_known_string():
    # by hand: 5 zeros, 3 ones, 92 zeros in 10 × 10; 92 = 2 * 32 + 28 -> groups 28 (more), 2
    assert compressed([5, 3, 92]) == "53" + chr(48 + 28 + 32) + chr(48 + 2)
