"""The list of images: thumbnails with their state, filter, worst first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.training import Training, train
from napari_wsss.types import Mask
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
    person.wait(lambda: len(strip.thumbnails) == 4, "thumbnails")
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
