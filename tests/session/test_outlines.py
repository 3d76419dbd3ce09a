"""Borders of accepted objects: drawn where something changed, and the same as if drawn whole."""

from __future__ import annotations

import numpy as np

from napari_wsss.session.opened import borders
from tests.session.hand import Hand


def test_borders_touch_another_object_or_none_and_never_the_side_of_the_image():
    ids = np.zeros((8, 9), np.uint32)
    ids[:4, :4], ids[:4, 4:7] = 1, 2
    found = borders(ids)
    assert found[0, 0] == 0
    assert found[:4, 3].all()
    assert found[:4, 4].all()
    assert found[3, :7].all()
    assert found[:4, 6].all()
    assert not found[4:].any()
    assert not found[:3, :3].any()


def test_outlines_follow_accepts_and_undo_as_if_they_were_drawn_whole(hand: Hand):
    s = hand.session
    rng = np.random.default_rng(0)
    for _ in range(12):
        y, x = (int(v) for v in rng.integers(0, np.array(s.opened.shape) - 12))
        on = rng.random((12, 12)) < 0.8
        s.drafting.paint((y, x, y + 12, x + 12), np.ones((12, 12), bool), on)
        s.drafting.accept()
        hand.settle()
        assert np.array_equal(s.opened.outlines, borders(s.opened.instances))
    assert s.opened.outlines.any()
    name = s.name
    s.open(name)
    hand.settle()
    assert np.array_equal(s.opened.outlines, borders(s.opened.instances))
    while s.opened.history.done:
        s.undo()
        assert np.array_equal(s.opened.outlines, borders(s.opened.instances))
    assert not s.opened.outlines.any()
