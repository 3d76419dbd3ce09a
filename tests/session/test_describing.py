"""Classes described otherwise: kept at once, each change one step, other programs see it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_wsss.project import Project
from napari_wsss.types import Class
from tests.session.hand import Hand


def on_disk(hand: Hand) -> tuple[Class, ...]:
    with Project.open(hand.session.project.folder) as other:
        return other.classes.items


@pytest.mark.parametrize(
    "changes",
    [{"name": "thing"}, {"colour": "#123456"}, {"phrases": ("round", "dark")}, {"thresholds": (0.2, 0.7)}],
    ids=lambda changes: next(iter(changes)),
)
def test_each_change_is_one_step_that_undo_takes_back_exactly(hand: Hand, changes):
    s, before = hand.session, on_disk(hand)
    s.describing.change("change", replace(before[1], **changes))
    after = on_disk(hand)
    assert after == (before[0], replace(before[1], **changes), *before[2:])
    assert s.classes == after
    s.undo()
    assert on_disk(hand) == s.classes == before
    s.redo()
    assert on_disk(hand) == s.classes == after


def test_undo_leaves_what_else_was_said_of_the_class_since(hand: Hand):
    s, old = hand.session, hand.session.classes[1]
    s.describing.change("words", replace(old, phrases=("round",)))
    s.project.save_settings(
        replace(s.project.settings, classes=replace(s.project.classes, items=renamed(s.classes, 2, "thing")))
    )
    s.undo()
    assert s.classes[1] == replace(old, name="thing")


def renamed(classes, class_id: int, name: str) -> tuple[Class, ...]:
    return tuple(replace(c, name=name) if c.id == class_id else c for c in classes)


def test_what_the_project_does_not_allow_is_told_and_is_no_step(hand: Hand):
    s = hand.session
    first, second = s.classes[:2]
    s.describing.change("rename class", replace(second, name=first.name))
    assert len(hand.failed) == 1
    assert not s.opened.history.done
    s.describing.change("rename class", replace(second, name="thing"))
    s.project.save_settings(
        replace(s.project.settings, classes=replace(s.project.classes, items=renamed(s.classes, 1, second.name)))
    )
    s.undo()
    assert len(hand.failed) == 2, "the old name is taken now"
    assert s.classes[1].name == "thing"
    assert len(s.opened.history.done) == 1
    hand.failed.clear()


def test_a_slider_that_was_just_moved_is_what_undo_takes_back(hand: Hand):
    s = hand.session
    s.labelling.set_tag(2, True)
    s.mapping.try_thresholds(0.1, 0.8)
    s.undo()
    assert s.classes[s.class_id - 1].thresholds is None
    assert s.opened.tags.present == {2}
    s.redo()
    assert on_disk(hand)[s.class_id - 1].thresholds == (0.1, 0.8)


def test_a_new_class_is_chosen_and_stays(hand: Hand):
    s, before = hand.session, hand.session.classes
    made = s.describing.add()
    assert on_disk(hand) == (*before, made)
    assert s.class_id == made.id
    s.undo()
    assert on_disk(hand) == (*before, made), "marks may name it already"
