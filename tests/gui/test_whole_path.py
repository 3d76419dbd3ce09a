"""The whole path at the window: sample, class, click, mask, correct, accept, next, train, queue, answer, export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_wsss.drawing import nuclei
from tests.gui.hands import LEFT, RIGHT, Person
from tests.gui.test_labelling import CONTROL, iou, middles, the_object
from tests.gui.test_training import TRAINING, choose, trainee, unfold

__all__ = ["trainee"]


def background_box(truth: np.ndarray, side: int = 24) -> tuple[int, int]:
    """Corner of a square in which there is no nucleus."""
    h, w = truth.shape
    places = ((y, x) for y in range(30, h - side - 30, 4) for x in range(30, w - side - 30, 4))
    return next((y, x) for y, x in places if (truth[y : y + side, x : x + side] == 1).all())


def label_some(person: Person, seed: int, objects: int) -> None:
    """Objects by clicks, and a block of background."""
    scene = nuclei(seed)
    person.key(Qt.Key.Key_2)
    person.press(person.dock.tools.buttons["point"])
    inside = [(y, x) for y, x in middles(scene.truth) if 20 < y < 300 and 20 < x < 300]
    for at in inside[:objects]:
        person.click(*at)
        person.rest()
        person.key(Qt.Key.Key_W)
        person.rest()
    person.key(Qt.Key.Key_1)
    person.press(person.dock.tools.buttons["block"])
    y, x = background_box(scene.truth)
    person.drag((y, x), (y + 22, x + 22))
    person.rest()
    person.press(person.dock.tools.buttons["point"])
    person.key(Qt.Key.Key_2)


def row(person: Person, number: int) -> QPoint:
    found = person.dock.queue.list
    return found.visualItemRect(found.item(number)).center()


def test_the_whole_path_on_a_sample_of_nuclei(trainee: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    person, s, dock = trainee, trainee.session, trainee.dock
    person.viewer.open_sample("napari-wsss", "nuclei")
    person.opened()
    person.wait(lambda: len(s.records()) == 6, "six planes")
    planes = [r.name for r in s.records()]

    # click, correct, accept
    seed = planes.index(s.name)  # napari shows the middle of a stack
    truth = nuclei(seed).truth
    inside = [(y, x) for y, x in middles(truth) if 20 < y < 300 and 20 < x < 300]
    person.click(*inside[-1])
    person.click(*inside[0], button=RIGHT)
    person.rest()
    assert iou(s.proposal == 2, the_object(truth, inside[-1])) > 0.5
    assert not s.proposal[inside[0]]
    person.key(Qt.Key.Key_W)
    person.rest()
    label_some(person, seed, 3)

    # next
    person.key(Qt.Key.Key_N)
    person.opened(planes[seed + 1])
    assert person.viewer.dims.current_step[0] == seed + 1, "the slider stayed where it was"
    label_some(person, seed + 1, 3)
    person.shot("path-labelled")

    # train
    unfold(person, "training")
    choose(person, dock.training.segmenter, "frozen")
    dock.training.minutes.setValue(0.1)
    person.press(dock.training.start)
    person.wait(lambda: s.trainer.pid, "the process")
    person.wait(lambda: s.trainer.state == "idle", "trained", TRAINING)
    assert "Training ended" in " ".join(person.told)
    person.press(dock.training.predict)
    person.rest()
    assert set(s.project.result_keys("predicted")) == set(planes)
    predicted = person.binding.layer("predicted")
    assert np.array_equal(predicted.data, s.opened.predicted.labels)
    assert not predicted.editable
    person.shot("path-predicted")
    unfold(person, "training")

    # what next
    unfold(person, "queue")
    person.press(dock.queue.ask)
    person.rest()
    queue = s.queue
    asked = list(queue.waiting)
    assert len(asked) == 12
    assert dock.queue.list.count() == 12
    assert "hesitates between" in dock.queue.list.item(0).text()
    person.opened(asked[0].image)
    person.wait(lambda: not dock.queue.crops.wanted, "pictures of all regions")
    looked_at(person)
    person.shot("path-queue")

    # answers by keys, by button, and taken back
    person.key(Qt.Key.Key_Y)
    person.wait(lambda: queue.current == asked[1], "the second region")
    person.opened(asked[1].image)
    assert s.project.region(asked[0].id).status == "accepted"
    looked_at(person)
    person.press(dock.queue.all)
    person.wait(lambda: queue.current == asked[2], "the third region")
    person.opened(asked[2].image)
    assert s.project.region(asked[1].id).status == "class"
    person.key(Qt.Key.Key_H)
    person.wait(lambda: queue.current == asked[3], "the fourth region")
    person.opened(asked[3].image)
    assert s.project.region(asked[2].id).status == "skipped"
    person.key(Qt.Key.Key_Z, CONTROL)
    person.wait(lambda: queue.current == asked[2], "the third region again")
    person.opened(asked[2].image)
    assert list(queue.waiting) == asked[2:]
    looked_at(person)
    QTest.mouseClick(dock.queue.list.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, row(person, 1))
    person.wait(lambda: queue.current == asked[3], "the region that was clicked")
    person.opened(asked[3].image)
    person.key(Qt.Key.Key_G)
    person.wait(lambda: queue.current == asked[4], "the next region")
    person.opened(asked[4].image)
    person.shot("path-answered")
    unfold(person, "queue")

    # export
    unfold(person, "export")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    person.press(dock.export.button)
    person.rest()
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert written
    assert list((tmp_path / "out").rglob("*.json"))
    person.shot("path-exported")


def looked_at(person: Person) -> None:
    """The current region is in the middle of the canvas, its box drawn in yellow."""
    person.rest()
    y0, x0, y1, x1 = person.session.queue.current.box
    at = person.place((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2)
    assert abs(at.x() - person.canvas.width() / 2) < 3
    assert abs(at.y() - person.canvas.height() / 2) < 3
    layer = person.binding.shown_layer("regions")
    assert isinstance(layer, Shapes)
    here = [r for r in person.session.queue.waiting if r.image == person.session.name]
    assert len(layer.data) == len(here)
    current = here.index(person.session.queue.current)
    assert np.allclose(np.min(layer.data[current], 0), (y0 - 0.5, x0 - 0.5))
    assert np.allclose(layer.edge_color[current][:3], (1, 213 / 255, 74 / 255), atol=0.01)
