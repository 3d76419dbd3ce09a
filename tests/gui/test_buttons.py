"""Each button and key of the dock at least once, with what it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QFileDialog
from skimage.io import imsave

from napari_wsss.acceptance import by_person
from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.types import Mask
from napari_wsss.viewer.keys import DEFAULT_KEYS
from tests.gui.hands import LEFT, Person

ALT, SHIFT = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def working(person: Person, tmp_path: Path) -> Person:
    """Two images, the first with a refined mask."""
    for n in range(2):
        imsave(tmp_path / f"{n}.tif", nuclei(n, 8, (96, 96)).pixels, check_contrast=False)
    with Project.create(tmp_path / "p", ("background", "nucleus")) as project:
        project.add_images([tmp_path / "0.tif", tmp_path / "1.tif"])
        refined = Mask(nuclei(0, 8, (96, 96)).truth.astype(np.uint16))
        project.put_result("0.tif", "refined", refined, "key", by_person("test"))
    person.session.open_project(tmp_path / "p")
    person.opened("0.tif")
    return person


def test_every_tool_has_a_key_and_the_key_is_on_its_button(working: Person):
    person = working
    tools = list(person.dock.tools.buttons)
    for digit, tool in enumerate(tools, 1):
        assert DEFAULT_KEYS[tool] == f"Alt-{digit}"
        person.key(Qt.Key(Qt.Key.Key_0.value + digit), ALT)
        assert person.binding.tool == tool
        button = person.dock.tools.buttons[tool]
        assert button.isChecked()
        assert f"Alt+{digit}" in button.text()


def test_keys_that_no_other_test_presses(working: Person):
    person = working
    person.key(Qt.Key.Key_W, SHIFT)
    person.rest()
    accepted = person.session.project.accepted("0.tif")
    assert np.array_equal(accepted.labels, nuclei(0, 8, (96, 96)).truth)


def test_every_button_tells_what_it_does(working: Person):
    for section in working.dock.findChildren(type(working.dock.objects.parentWidget())):
        section.title.setChecked(True)
    working.rest()
    named = [b for b in working.dock.findChildren(QAbstractButton) if b.parent() is not None and b.isVisible()]
    assert len(named) > 35
    for button in named:
        if isinstance(button.parent(), QComboBox) or not button.objectName().startswith("qt_"):
            assert button.toolTip() or button.text(), f"a button without words: {button.parent()}"


def test_buttons_of_the_way_from_image_to_image(working: Person):
    person, way = working, working.dock.deciding
    person.press(way.next)
    person.opened("1.tif")
    person.press(way.previous)
    person.opened("0.tif")
    person.click(48, 48)
    person.rest()
    person.press(way.reject)
    assert person.session.opened.draft is None
    person.press(way.undo)
    assert person.session.opened.draft is not None
    person.press(way.redo)
    assert person.session.opened.draft is None
    person.press(way.objects)
    assert not person.session.objects
    person.press(way.skip)
    person.opened("1.tif")
    assert person.session.project.state("0.tif") == "skipped"
    strip = person.dock.images
    strip.filter.setCurrentText("skipped")
    assert strip.list.count() == 1
    QTest.mouseClick(strip.list.viewport(), LEFT, pos=strip.list.visualItemRect(strip.list.item(0)).center())
    person.opened("0.tif")


def test_buttons_of_the_stages(working: Person):
    person, stages = working, working.dock.stages
    for stage, gear in stages._gears.items():
        person.press(gear)
        settings = stages.settings[stage]
        person.wait(lambda settings=settings: settings.form is not None, f"the settings of {stage}")
        assert settings.isVisible()
        person.press(gear)
        assert not settings.isVisible()
    box = stages.methods["refine"]
    box.setFocus()
    box.setCurrentText("walker")
    box.activated.emit(box.currentIndex())
    assert person.session.project.settings.use["refine"] == "walker"
    person.press(stages.shown["refine"])
    assert not person.binding.layer("refined").visible
    person.press(stages.shown["refine"])
    assert person.binding.layer("refined").visible
    person.press(stages.run_image)
    person.rest()
    person.press(person.dock.stages.accept_image)
    person.rest()
    assert person.session.project.accepted("0.tif") is not None


def test_buttons_of_project_and_export(working: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    person, bar = working, working.dock.project
    person.session.working.accept_result("refined")
    person.rest()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    person.press(person.dock.export.parentWidget().title)
    person.press(person.dock.export.button)
    person.rest()
    assert (tmp_path / "out" / "annotations.json").is_file()
    imsave(tmp_path / "more.tif", nuclei(4, 8, (96, 96)).pixels, check_contrast=False)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *a, **k: ([str(tmp_path / "more.tif")], ""))
    texts = {a.text(): a for a in bar.open_button.menu().actions()}
    texts["Add image files…"].trigger()
    person.opened("more.tif")
    folder = tmp_path / "folder"
    folder.mkdir()
    imsave(folder / "deep.tif", nuclei(5, 8, (96, 96)).pixels, check_contrast=False)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(folder))
    texts["Add a folder of images…"].trigger()
    person.opened("deep.tif")
    person.viewer.add_image(nuclei(6, 8, (96, 96)).pixels, name="layer")
    person.viewer.layers.selection.active = person.viewer.layers["layer"]
    texts["Label the selected layer"].trigger()
    person.opened("layer.tif")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(tmp_path / "p"))
    texts["Project folder…"].trigger()
    person.rest()
    assert len(person.session.records()) == 5
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "named"), ""))
    person.press(bar.save_button)
    person.rest()
    assert person.session.project.folder == tmp_path / "named"
