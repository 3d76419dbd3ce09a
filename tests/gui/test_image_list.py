"""The list of images: thumbnails with their state, filter, worst first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.training import Training, train
from napari_wsss.types import Mask
from napari_wsss.widgets import images
from napari_wsss.widgets.images import COLOURS
from tests.gui.hands import LEFT, Person
from tests.toy_projects import BY, clicks, make, truth


def shown(person: Person) -> list[str]:
    listed = person.dock.images.list
    return [listed.item(n).text() for n in range(listed.count())]


def prepared(folder: Path) -> Path:
    """One image a state, predicted by a segmenter of a few steps."""
    from napari_wsss.prediction import predict

    with make(folder, count=4, clicked=0) as project:
        project.accept("0.png", Mask(truth(0).astype(np.uint16)), BY)
        project.add_marks("1.png", clicks(1), by_person("test"))
        project.skip("3.png")
        train(project, Training("frozen", steps=20, tile=32, batch=2, threads=1), device="cpu")
        predict(project, device="cpu")
        return project.folder


def test_the_list_shows_states_filters_and_sorts(person: Person, tmp_path: Path):
    strip = person.dock.images
    person.session.open_project(prepared(tmp_path))
    person.opened()
    person.wait(lambda: len(strip.thumbnails.pictures) == 4, "thumbnails")
    states = {r.name: r.state for r in person.session.records()}
    assert states["0.png"] == "accepted"
    assert states["3.png"] == "skipped"
    for n in range(4):
        icon = strip.list.item(n).icon().pixmap(64, 48).toImage()
        bar = icon.pixelColor(icon.width() // 2, icon.height() - 2).name()
        assert bar == COLOURS[states[f"{n}.png"]], f"image {n} does not show its state"
    person.shot("image-list")
    strip.filter.setFocus()
    QTest.keyClicks(strip.filter, "acc")
    assert shown(person) == ["0.png"]
    QTest.keyClick(strip.filter, Qt.Key.Key_Home)
    assert len(shown(person)) == 4
    person.press(strip.worst)
    person.rest()
    with Project.open(person.session.project.folder) as project:
        from napari_wsss.quality import worst_first

        order = [q.image for q in worst_first(project)]
    assert len(order) == 2
    assert shown(person) == [*order, "0.png", "3.png"]
    assert "doubt" in strip.list.item(0).toolTip()
    person.shot("image-list-worst")
    place = strip.list.visualItemRect(strip.list.item(1)).center()
    QTest.mouseClick(strip.list.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, place)
    person.opened(order[1])
    person.press(strip.worst)
    assert shown(person) == [f"{n}.png" for n in range(4)]


def test_of_many_images_only_what_changed_is_drawn_and_read(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with make(tmp_path, count=5, clicked=0) as project:
        folder = project.folder
    person.session.open_project(folder)
    person.opened("0.png")
    strip = person.dock.images
    person.wait(lambda: len(strip.thumbnails.pictures) == 5, "thumbnails")
    items = [strip.list.item(n) for n in range(5)]
    drawn, read = [], []
    bar, records = images._with_bar, Project.records
    monkeypatch.setattr(images, "_with_bar", lambda picture, state: drawn.append(state) or bar(picture, state))
    monkeypatch.setattr(Project, "records", lambda self, look=True: read.append(look) or records(self, look))
    person.click(20, 20)
    person.rest()
    assert drawn == ["labelled"]
    assert read == [False], "the list is read once a change, and no file is looked for"
    person.key(Qt.Key.Key_N)
    person.opened("1.png")
    assert read == [False], "going on reads no list"
    assert len(drawn) == 1
    strip.filter.setFocus()
    QTest.keyClicks(strip.filter, "new")
    assert shown(person) == ["1.png", "2.png", "3.png", "4.png"]
    QTest.keyClick(strip.filter, Qt.Key.Key_Home)
    assert [strip.list.item(n) for n in range(5)] == items
    assert len(drawn) == 1


def test_an_image_that_cannot_be_read_says_so_and_the_others_have_thumbnails(person: Person, tmp_path: Path):
    with make(tmp_path, count=3, clicked=0) as project:
        folder, lost = project.folder, project.record("2.png").file
    lost.unlink()
    person.session.open_project(folder)
    person.opened("0.png")
    strip = person.dock.images
    person.wait(lambda: len(strip.thumbnails.pictures) == 2 and strip.thumbnails.refused, "thumbnails of the others")
    assert "its file is gone" in strip.list.item(2).toolTip()
    assert not person.failed
