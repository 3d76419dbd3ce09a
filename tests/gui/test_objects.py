"""Accepted objects mended in the window, by keys on the object under the cursor, by buttons, and in the table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_wsss.drawing import nuclei
from napari_wsss.types import Point
from tests.gui.hands import LEFT, Person

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
A, B, C = (30, 30), (30, 50), (90, 90)
"""Middles of two touching squares and of one alone."""


@pytest.fixture
def labelled(person: Person) -> Person:
    """Three accepted objects, and the section unfolded that lists them."""
    person.viewer.add_image(nuclei(0, 8, (128, 128)).pixels, name="cells")
    person.opened()
    for (y, x), half in ((A, 10), (B, 10), (C, 12)):
        box = (y - half, x - half, y + half, x + half)
        on = np.ones((2 * half, 2 * half), bool)
        person.session.drafting.paint(box, on, on)
        person.session.drafting.accept()
    section = person.dock.objects.parentWidget()
    person.press(section.title)
    person.wait(lambda: person.dock.objects.list.table.rowCount() == 3, "three rows")
    return person


def number(person: Person, at: tuple[int, int]) -> int:
    return int(person.session.project.accepted(person.session.name).instances[at])


def hover(person: Person, at: tuple[int, int]) -> None:
    person.rest()  # what was unfolded may still push the canvas
    person.move(person.place(*at))
    person.rest()
    assert person.binding.cursor() == at


def test_objects_are_chosen_merged_and_split_with_the_mouse(labelled: Person):
    person, table = labelled, labelled.dock.objects.list.table
    person.press(person.dock.tools.buttons["object"])
    person.click(*A)
    person.click(*B, keys=SHIFT)
    assert {t.instance for t in person.session.reshaping.chosen} == {1, 2}
    assert len(table.selectionModel().selectedRows()) == 2
    assert person.binding.layer("chosen").data[A] == 1
    assert person.binding.layer("chosen").data[B] == 2
    person.shot("objects-chosen")
    person.press(person.dock.objects.list.buttons["merge_objects"])
    assert number(person, A) == number(person, B) == 1
    person.wait(lambda: table.rowCount() == 2, "two rows")
    assert np.array_equal(person.binding.layer("objects").data, person.session.opened.outlines)
    assert not person.binding.layer("objects").data[25:35, 39:41].any(), "the border between them stayed"
    person.press(person.dock.tools.buttons["split"])
    person.drag((15, 40), (45, 40))
    assert number(person, A) != number(person, B)
    assert not (person.binding.layer("chosen").data == 255).any(), "the drawn line stayed"
    person.key(Qt.Key.Key_Z, CONTROL)
    assert number(person, A) == number(person, B)
    person.click(*A)
    assert "other part" in person.told[-1]
    person.click(*B)
    assert number(person, A) != number(person, B)
    person.key(Qt.Key.Key_Z, CONTROL)
    person.key(Qt.Key.Key_Z, CONTROL)
    assert (number(person, A), number(person, B), number(person, C)) == (1, 2, 3)


def test_keys_mend_the_object_under_the_cursor(labelled: Person):
    person, s = labelled, labelled.session
    hover(person, C)
    person.key(Qt.Key.Key_1)
    person.key(Qt.Key.Key_C, SHIFT)
    assert s.project.accepted(s.name).labels[C] == 1
    person.key(Qt.Key.Key_Z, CONTROL)
    hover(person, C)
    person.key(Qt.Key.Key_D, SHIFT)
    assert s.project.accepted(s.name).labels[C] == 0
    person.key(Qt.Key.Key_Z, CONTROL)
    assert s.project.accepted(s.name).labels[C] == 2
    s.reshaping.choose(*A)
    hover(person, B)
    person.key(Qt.Key.Key_J, SHIFT)
    assert number(person, A) == number(person, B)
    for at in (A, B):
        s.labelling._add("point", Point(*at, 2))
    s.reshaping.forget()
    hover(person, B)
    person.key(Qt.Key.Key_K, SHIFT)
    assert 0 < number(person, A) != number(person, B) > 0
    s.reshaping.forget()
    hover(person, C)
    person.key(Qt.Key.Key_K, SHIFT)
    assert person.binding.tool == "split", "an object without two points is divided by hand"


def test_rows_choose_objects_and_buttons_mend_them(labelled: Person):
    person, listed = labelled, labelled.dock.objects.list
    row = next(r for r in range(3) if listed.table.item(r, 1).text() == "3")
    QTest.mouseClick(listed.table.viewport(), LEFT, pos=listed.table.visualItemRect(listed.table.item(row, 0)).center())
    assert [t.instance for t in person.session.reshaping.chosen] == [3]
    person.key(Qt.Key.Key_1)
    person.press(listed.buttons["relabel_object"])
    assert person.session.project.accepted(person.session.name).labels[C] == 1
    person.session.reshaping.choose(*A)
    person.press(listed.buttons["delete_object"])
    assert not number(person, A)
    person.wait(lambda: listed.table.rowCount() == 1, "one row: background is not listed")
    person.session.reshaping.choose(*B)
    person.press(listed.buttons["split_object"])
    assert person.binding.tool == "split"
    for at in ((30, 45), (30, 55)):
        person.session.labelling._add("point", Point(*at, 2))
    person.press(listed.separate)
    assert number(person, (30, 45)) != number(person, (30, 55))


def test_counts_are_saved_as_they_are_now(labelled: Person, tmp_path: Path):
    person = labelled
    person.session.reshaping.delete(at=C)
    person.dock.objects.save_as(tmp_path / "counts.csv")
    person.wait(lambda: (tmp_path / "counts.csv").exists(), "saved")
    rows = list(csv.DictReader((tmp_path / "counts.csv").read_text().splitlines()))
    assert [(r["class"], r["objects"], r["area [px]"]) for r in rows] == [
        ("background", "0", "0"),
        ("object", "2", "800"),
    ]
    person.rest()
    person.dock.objects.save_as(tmp_path / "missing" / "counts.csv")
    person.wait(lambda: person.failed, "told that it was not written")
    assert "not written" in person.failed.pop()
