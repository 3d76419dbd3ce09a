"""Accepted objects: choose, merge, split, relabel, delete; each one step that is taken back exactly."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.session import Session
from napari_wsss.session.draft import Patch
from napari_wsss.types import Box, Mask, Point
from tests.session.hand import Hand
from tests.session.test_session import state

LEFT, RIGHT, ALONE = (20, 12), (20, 28), (40, 40)
"""Middles of two touching squares and of one alone."""


@pytest.fixture
def hand(hand: Hand) -> Hand:
    """Three accepted objects; points and a box were made for them by hand."""
    s = hand.session
    for (y, x), half in ((LEFT, 8), (RIGHT, 8), (ALONE, 5)):
        paint(s, (y - half, x - half, y + half, x + half))
        s.drafting.accept()
    return hand


def paint(s: Session, box: tuple[int, int, int, int]) -> None:
    on = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    s.drafting.paint(box, on, on)


def number(s: Session, at: tuple[int, int]) -> int:
    return int(s.opened.instances[at])


def undone(hand: Hand, before: tuple) -> None:
    after = state(hand.session)
    hand.session.undo()
    assert state(hand.session) == before, "undo did not restore what was there"
    hand.session.redo()
    assert state(hand.session) == after
    assert not hand.session.reshaping.chosen or hand.session.reshaping.chosen[0].patch


def test_chosen_objects_are_merged_into_one_of_the_firsts_class(hand: Hand, folder):
    s, before = hand.session, state(hand.session)
    s.reshaping.choose(*LEFT)
    s.reshaping.choose(*ALONE, more=True)
    assert len(s.reshaping.chosen) == 2
    first = number(s, LEFT)
    s.reshaping.merge()
    assert number(s, LEFT) == number(s, ALONE) == first
    assert number(s, RIGHT) not in (0, first)
    with Project.open(folder) as other:
        assert other.accepted("0.png").instances[ALONE] == first, "not on disk"
    undone(hand, before)


def test_the_object_under_the_cursor_joins_the_chosen_one(hand: Hand):
    s = hand.session
    s.reshaping.choose(*LEFT)
    s.reshaping.merge(at=RIGHT)
    assert number(s, LEFT) == number(s, RIGHT)
    s.reshaping.forget()
    s.reshaping.merge(at=LEFT)
    assert "To merge" in hand.told[-1]


def test_a_click_more_on_a_chosen_object_takes_it_out(hand: Hand):
    r = hand.session.reshaping
    r.choose(*LEFT)
    r.choose(*RIGHT, more=True)
    r.choose(*LEFT, more=True)
    assert [t.instance for t in r.chosen] == [number(hand.session, RIGHT)]
    r.choose(0, 50)
    assert not r.chosen


def test_two_clicks_divide_an_object_between_them(hand: Hand):
    s = hand.session
    s.reshaping.choose(*LEFT)
    s.reshaping.merge(at=RIGHT)
    before = state(s)
    whole = s.opened.instances == number(s, LEFT)
    assert s.reshaping.split_between(LEFT, RIGHT)
    a, b = number(s, LEFT), number(s, RIGHT)
    assert a != b
    assert np.array_equal(np.isin(s.opened.instances, (a, b)), whole), "the parts are not the whole"
    undone(hand, before)
    assert not s.reshaping.split_between(LEFT, ALONE)
    assert "twice in one" in hand.told[-1]


def test_a_line_cuts_the_object_that_it_crosses(hand: Hand):
    s, before = hand.session, state(hand.session)
    line = np.zeros(s.opened.shape, bool)
    line[8:32, 12] = True
    assert s.reshaping.cut(Patch.of(line))
    assert number(s, (20, 6)) != number(s, (20, 18))
    assert number(s, RIGHT) not in (number(s, (20, 6)), number(s, (20, 18)))
    undone(hand, before)
    short = np.zeros(s.opened.shape, bool)
    short[44:46, 40] = True
    assert not s.reshaping.cut(Patch.of(short))
    assert "no accepted object" in hand.told[-1]


def test_an_object_with_a_point_in_each_half_is_split_between_its_points(hand: Hand):
    s = hand.session
    s.reshaping.choose(*LEFT)
    s.reshaping.merge(at=RIGHT)
    s.labelling._add("point", Point(*LEFT, 2))
    assert not s.reshaping.split_by_points(LEFT)
    s.labelling._add("point", Point(*RIGHT, 2))
    before = state(s)
    assert s.reshaping.split_by_points(LEFT)
    numbers = {(p.y, p.x): p.instance for p in s.project.labels("0.png").points}
    assert numbers == {LEFT: number(s, LEFT), RIGHT: number(s, RIGHT)}
    undone(hand, before)


def test_every_clicked_object_gets_its_number_at_once(hand: Hand):
    s = hand.session
    s.labelling.edit_accepted((0, 0, *s.opened.shape), np.zeros(s.opened.shape, np.uint16))
    s.objects = False
    paint(s, (12, 4, 28, 36))
    s.drafting.accept()
    assert not s.opened.instances.any()
    for at in (LEFT, RIGHT):
        s.labelling._add("point", Point(*at, 2))
    before = state(s)
    s.reshaping.separate()
    assert 0 < number(s, LEFT) != number(s, RIGHT) > 0
    assert "1 regions divided" in hand.told[-1]
    assert len(s.reshaping.chosen) == 2, "a rectangle has no neck: both parts are in doubt"
    undone(hand, before)
    s.reshaping.separate()
    assert "already" in hand.told[-1]


def test_an_object_takes_another_class_with_all_that_was_said_of_it(hand: Hand):
    s = hand.session
    s.labelling._add("point", Point(*LEFT, 2))
    s.labelling._add("box", Box(12, 4, 28, 20, 2))
    before = state(s)
    s.reshaping.relabel(1, at=LEFT)
    labels = s.project.labels("0.png")
    assert labels.mask[LEFT] == 1
    assert labels.mask[RIGHT] == 2
    assert [p.class_id for p in labels.points] == [1]
    assert [b.class_id for b in labels.boxes] == [1]
    assert (s.opened.scribbles[12:28, 4:20] == 1).all(), "its stroke kept the old class"
    assert (s.opened.scribbles[12:28, 20:36] == 2).all()
    undone(hand, before)
    s.reshaping.relabel(1, at=LEFT)
    assert "already" in hand.told[-1]


def test_deleting_leaves_nothing_of_an_object_and_all_of_the_others(hand: Hand):
    s = hand.session
    s.labelling._add("point", Point(*LEFT, 2))
    s.labelling._add("point", Point(*RIGHT, 2))
    before = state(s)
    s.reshaping.delete(at=LEFT)
    labels = s.project.labels("0.png")
    assert not labels.mask[12:28, 4:20].any()
    assert labels.mask[RIGHT] == 2
    assert [(p.y, p.x) for p in labels.points] == [RIGHT]
    assert not s.opened.scribbles[12:28, 4:20].any()
    undone(hand, before)
    s.reshaping.delete(at=(0, 50))
    assert "No accepted object there" in hand.told[-1]


def test_a_region_without_a_number_is_an_object_too(hand: Hand):
    s = hand.session
    s.objects = False
    paint(s, (2, 40, 6, 50))
    s.drafting.accept()
    s.reshaping.choose(3, 45)
    (thing,) = s.reshaping.chosen
    assert thing.instance == 0
    assert thing.patch.box == (2, 40, 6, 50)
    s.reshaping.delete()
    assert not s.opened.accepted[2:6, 40:50].any()
    assert s.opened.accepted[ALONE] == 2


def test_what_is_chosen_is_forgotten_with_the_image_and_with_a_change(hand: Hand):
    s = hand.session
    s.reshaping.choose(*LEFT)
    s.undo()
    assert not s.reshaping.chosen
    s.reshaping.choose(*LEFT)
    s.go(1)
    hand.settle()
    assert not s.reshaping.chosen


@pytest.mark.parametrize("apart", [True, False])
def test_accepting_a_refined_mask_gives_each_clicked_object_its_number(hand: Hand, apart: bool):
    s = hand.session
    s.labelling.edit_accepted((0, 0, *s.opened.shape), np.where(s.opened.instances == 3, 2, 0).astype(np.uint16))
    kept = s.opened.instances.copy()
    for at in (LEFT, RIGHT):
        s.labelling._add("point", Point(*at, 2))
    labels = np.ones(s.opened.shape, np.uint16)
    labels[12:28, 4:36] = 2
    labels[32:48, 30:50] = 2
    s.project.put_result("0.png", "refined", Mask(labels), "key", by_person("test"))
    s.open("0.png")
    hand.settle()
    before = state(s)
    s.objects = apart
    s.working.accept_result("refined")
    hand.settle()
    assert s.opened.accepted[LEFT] == s.opened.accepted[RIGHT] == 2
    assert (number(s, LEFT) != number(s, RIGHT)) == apart
    assert np.array_equal(s.opened.instances[kept > 0], kept[kept > 0]), "an accepted object changed its number"
    s.undo()
    assert state(s) == before
