"""Attributes of classes in the window: name, colour, key, words, tags of the image; kept at once."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog, QLineEdit

from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from tests.gui.hands import LEFT, Person


@pytest.fixture
def opened(person: Person) -> Person:
    person.viewer.add_image(nuclei(0, 8, (128, 128)).pixels, name="cells")
    person.opened()
    return person


def on_disk(person: Person):
    with Project.open(person.session.project.folder) as other:
        return other.classes, other.labels(person.session.name).tags


def cell(person: Person, row: int, column: int):
    table = person.dock.classes.table
    return table.visualItemRect(table.item(row, column)).center()


def test_a_class_is_described_in_words_for_text_maps(opened: Person):
    words = opened.dock.classes.words
    assert "object" in words.placeholderText()
    QTest.mouseClick(words, LEFT)
    QTest.keyClicks(words, "round bright body,  nucleus, nucleus ,")
    QTest.keyClick(words, Qt.Key.Key_Return)
    assert on_disk(opened)[0][2].phrases == ("round bright body", "nucleus")
    opened.key(Qt.Key.Key_1)
    assert words.text() == ""
    opened.key(Qt.Key.Key_2)
    assert words.text() == "round bright body, nucleus"
    opened.shot("class-words")
    opened.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert on_disk(opened)[0][2].phrases == ()
    assert words.text() == ""
    opened.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert words.text() == "round bright body, nucleus"


def test_a_class_is_renamed_and_recoloured_everywhere(opened: Person, monkeypatch: pytest.MonkeyPatch):
    person, table = opened, opened.dock.classes.table
    person.click(60, 60)
    person.rest()
    QTest.mouseClick(table.viewport(), LEFT, pos=cell(person, 1, 1))
    QTest.mouseDClick(table.viewport(), LEFT, pos=cell(person, 1, 1))
    (editor,) = table.findChildren(QLineEdit)
    QTest.keyClicks(editor, "nucleus")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    person.rest()
    assert on_disk(person)[0][2].name == "nucleus"
    monkeypatch.setattr(QColorDialog, "getColor", lambda *a: QColor("#12ab34"))
    person.press(person.dock.classes.colour_button)
    assert on_disk(person)[0][2].colour == "#12ab34"
    for role in ("proposal", "accepted"):
        colour = person.binding.layer(role).colormap.map(2)
        assert tuple(round(float(v) * 255) for v in colour[:3]) == (0x12, 0xAB, 0x34)
    assert person.binding.layer("accepted").metadata["classes"][2] == "nucleus"
    for _ in range(2):
        person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert on_disk(person)[0][2].name == table.item(1, 1).text() == "object"
    assert person.binding.layer("accepted").metadata["colours"][2] == on_disk(person)[0][2].colour != "#12ab34"


def test_tags_go_round_by_clicks_and_are_taken_back(opened: Person):
    person, table = opened, opened.dock.classes.table
    for present, absent in (({2}, set()), (set(), {2}), (set(), set())):
        QTest.mouseClick(table.viewport(), LEFT, pos=cell(person, 1, 2))
        tags = on_disk(person)[1]
        assert (tags.present, tags.absent) == (present, absent)
    QTest.mouseClick(table.viewport(), LEFT, pos=cell(person, 1, 2))
    person.press(person.dock.classes.complete)
    tags = on_disk(person)[1]
    assert tags.complete
    assert tags.present == {2}
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not on_disk(person)[1].complete
    assert not person.dock.classes.complete.isChecked()
