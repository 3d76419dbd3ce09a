"""One object an id, one a connected region, crowds."""

from __future__ import annotations

import numpy as np

from napari_wsss.objects import numbered, objects

LABELS = np.array([[1, 1, 0, 2], [0, 1, 2, 0], [2, 0, 0, 1]], np.uint16)


def test_regions_are_four_connected():
    assert [(o.class_id, o.instance, o.area) for o in objects(LABELS, None, (1, 2))] == [
        (1, 0, 3), (1, 0, 1), (2, 0, 1), (2, 0, 1), (2, 0, 1),
    ]  # fmt: skip


def test_ids_join_pieces_and_the_rest_is_a_crowd_or_regions():
    ids = np.zeros(LABELS.shape, np.uint32)
    ids[0, 3] = ids[2, 0] = 4_000_000_000
    found = list(objects(LABELS, ids, (2,), crowds=True))
    assert [(o.instance, o.area, o.crowd) for o in found] == [(4_000_000_000, 2, False), (0, 1, True)]
    assert found[0].box == (0, 0, 3, 4)
    assert [(o.instance, o.crowd) for o in objects(LABELS, ids, (1, 2))] == [(0, False)] * 2 + [
        (4_000_000_000, False), (0, False),
    ]  # fmt: skip


def test_numbered_is_a_partition_of_the_class():
    out = numbered(LABELS, None, 2)
    assert np.array_equal(out > 0, LABELS == 2)
    assert sorted(np.unique(out)) == [0, 1, 2, 3]
