"""The whole path at the window: sample, class, click, mask, correct, accept, next, train, queue, answer, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage
from napari.layers import Shapes
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QLineEdit
from skimage.io import imread, imsave

from napari_wsss.drawing import ROOF, land, nuclei
from tests.gui.hands import LEFT, RIGHT, Person
from tests.gui.test_labelling import CONTROL, iou, middles, the_object
from tests.gui.test_training import TRAINING, choose, trainee, unfold

__all__ = ["trainee"]

MARGIN = 20  # pixels from the image's sides in which nothing is clicked


@dataclass(frozen=True)
class Subject:
    """Images of one kind, and how a person gets them open.

    Attributes
    ----------
    kind : str
        What the objects are called.
    truth : callable
        Number of an image to (h, w) of 1 and, in objects, 2.
    open : callable
        Opens them at the window; the number of the image that is then shown.
    """

    kind: str
    images: int
    truth: Callable[[int], np.ndarray]
    open: Callable[[Person, Path, pytest.MonkeyPatch], int]


def open_stack(person: Person, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A sample that is a stack: napari shows its middle."""
    person.viewer.open_sample("napari-wsss", "nuclei")
    person.opened()
    return 2


def open_sample_and_add(person: Person, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A sample of one image, another one added from a file, and back to the first."""
    person.viewer.open_sample("napari-wsss", "land_cover")
    person.opened()
    imsave(folder / "valley.png", land(1).pixels, check_contrast=False)
    add_files(person, monkeypatch, folder / "valley.png")
    person.opened("valley.png")
    person.key(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    person.opened("land cover (drawn).tif")
    return 0


def open_photos(person: Person, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two photographs from files: a cup of coffee, and its mirror image."""
    pixels = imread(Path(skimage.__file__).parent / "data" / "coffee.png")
    for number, photo in enumerate((pixels, pixels[:, ::-1])):
        imsave(folder / f"coffee{number}.png", photo, check_contrast=False)
    add_files(person, monkeypatch, folder / "coffee0.png", folder / "coffee1.png")
    person.opened("coffee0.png")
    assert np.array_equal(person.binding.image.data, pixels), "the colours of a photograph are other ones"
    return 0


def add_files(person: Person, monkeypatch: pytest.MonkeyPatch, *files: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(f) for f in files], ""))
    menu = person.dock.project.open_button.menu()
    next(a for a in menu.actions() if a.text() == "Add image files…").trigger()


def roofs(number: int) -> np.ndarray:
    return np.where(land(number).truth == ROOF, 2, 1)


def coffee(number: int) -> np.ndarray:
    """What is in the cup, as an ellipse drawn by hand."""
    y, x = np.mgrid[:400, :600]
    inside = ((y - 143) / 47) ** 2 + ((x - 287) / 80) ** 2 < 1
    return np.where(inside[:, ::-1] if number else inside, 2, 1)


SUBJECTS = (
    Subject("nucleus", 6, lambda number: nuclei(number).truth, open_stack),
    Subject("roof", 2, roofs, open_sample_and_add),
    Subject("coffee", 2, coffee, open_photos),
)


def inner(truth: np.ndarray) -> list[tuple[int, int]]:
    """A pixel of each object, the largest first, but of those at the sides of the image."""
    h, w = truth.shape
    return [(y, x) for y, x in middles(truth) if MARGIN < y < h - MARGIN and MARGIN < x < w - MARGIN]


def background_box(truth: np.ndarray, side: int = 24) -> tuple[int, int]:
    """Corner of a square in which there is no object."""
    h, w = truth.shape
    places = ((y, x) for y in range(30, h - side - 30, 4) for x in range(30, w - side - 30, 4))
    return next((y, x) for y, x in places if (truth[y : y + side, x : x + side] == 1).all())


def label_some(person: Person, truth: np.ndarray, objects: int) -> None:
    """Objects by clicks, and a block of background."""
    person.key(Qt.Key.Key_2)
    person.press(person.dock.tools.buttons["point"])
    for at in inner(truth)[:objects]:
        person.click(*at)
        person.rest()
        person.key(Qt.Key.Key_W)
        person.rest()
    person.key(Qt.Key.Key_1)
    person.press(person.dock.tools.buttons["block"])
    y, x = background_box(truth)
    person.drag((y, x), (y + 22, x + 22))
    person.rest()
    person.press(person.dock.tools.buttons["point"])
    person.key(Qt.Key.Key_2)


def name_class(person: Person, name: str) -> None:
    """Double-click the second class and type."""
    table = person.dock.classes.table
    place = table.visualItemRect(table.item(1, 1)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=place)
    QTest.mouseDClick(table.viewport(), LEFT, pos=place)
    (editor,) = table.findChildren(QLineEdit)
    QTest.keyClicks(editor, name)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    person.rest()
    assert person.session.project.classes[2].name == name


def row(person: Person, number: int) -> QPoint:
    found = person.dock.queue.list
    return found.visualItemRect(found.item(number)).center()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.kind)
def test_the_whole_path(trainee: Person, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    person, s, dock = trainee, trainee.session, trainee.dock
    shown = subject.open(person, tmp_path, monkeypatch)
    person.wait(lambda: len(s.records()) == subject.images, "all images")
    images = [r.name for r in s.records()]
    assert s.name == images[shown]

    # class, click, correct, accept
    name_class(person, subject.kind)
    person.key(Qt.Key.Key_2)
    truth = subject.truth(shown)
    at, wrong = inner(truth)[-1], background_box(truth)
    person.click(*at)
    person.click(*wrong, button=RIGHT)
    person.rest()
    assert iou(s.proposal == 2, the_object(truth, at)) > 0.5
    assert not s.proposal[wrong]
    person.shot(f"path-{subject.kind}-clicked")
    assert dock._inner.width() <= dock._area.viewport().width(), "the dock is cut off at its side"
    person.key(Qt.Key.Key_W)
    person.rest()
    assert s.project.accepted(s.name).labels[at] == 2
    label_some(person, truth, 3)

    # next
    person.key(Qt.Key.Key_N)
    person.opened(images[shown + 1])
    sliders = len(person.viewer.dims.current_step) - 2
    assert not sliders or person.viewer.dims.current_step[0] == shown + 1, "the slider stayed where it was"
    label_some(person, subject.truth(shown + 1), 3)
    person.shot(f"path-{subject.kind}-labelled")

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
    assert set(s.project.result_keys("predicted")) == set(images)
    predicted = person.binding.layer("predicted")
    assert np.array_equal(predicted.data, s.opened.predicted.labels)
    assert not predicted.editable
    person.shot(f"path-{subject.kind}-predicted")
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
    person.shot(f"path-{subject.kind}-queue")

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
    person.shot(f"path-{subject.kind}-answered")
    unfold(person, "queue")

    # export
    unfold(person, "export")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    person.press(dock.export.button)
    person.rest()
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert written
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    names = {c["id"]: c["name"] for c in coco["categories"]}
    assert subject.kind in {names[a["category_id"]] for a in coco["annotations"]}
    person.shot(f"path-{subject.kind}-exported")


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
