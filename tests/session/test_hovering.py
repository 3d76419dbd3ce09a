"""What is under the mouse: an outline that is asked for, newest wins, and that is written nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_wsss.session.draft import NOTHING, Patch
from napari_wsss.session.hovering import outline
from tests.session.hand import Hand


def everything(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_an_outline_lies_around_the_pixels_and_around_holes():
    pixels = np.ones((6, 8), bool)
    pixels[2:4, 3:5] = False
    lines = outline(Patch(10, 20, pixels))
    assert len(lines) == 2
    outer = max(lines, key=len)
    assert outer.min(0).tolist() == [9.5, 19.5]
    assert outer.max(0).tolist() == [15.5, 27.5]
    assert outline(NOTHING) == []


def test_the_object_under_the_mouse_is_outlined_and_nothing_is_written(hand: Hand, folder: Path):
    s = hand.session
    s.hovering.ask(30, 30)
    hand.settle()
    assert s.hovering.outline == [], "it was not asked for"
    s.hovering.on = True
    before = everything(folder)
    s.hovering.ask(30, 30)
    hand.settle()
    assert s.hovering.outline
    assert everything(folder) == before
    assert not s.opened.history.done
    assert not s.proposal.any()
    assert not s.opened.marks
    s.hovering.ask(-1, 30)
    assert s.hovering.outline == []


def test_the_newest_place_wins_and_a_click_ends_it(hand: Hand):
    s = hand.session
    s.hovering.on = True
    shown: list[int] = []
    s.hover_changed.connect(lambda: shown.append(len(s.hovering.outline)))
    for at in range(20, 40):
        s.hovering.ask(at, at)
    hand.settle()
    assert len(shown) <= 2, "late answers were shown"
    s.hovering.ask(30, 30)
    s.drafting.click(30, 30)
    assert s.hovering.outline == []
    hand.settle()
    assert s.hovering.outline == []
    assert s.proposal.any()
    s.hovering.ask(10, 10)
    hand.settle()
    assert s.hovering.outline == [], "an object is in the making"
