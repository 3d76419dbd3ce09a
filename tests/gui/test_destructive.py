"""What people do to a window at work: layers renamed, moved, hidden, deleted; images changed; dock, window closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels, Points
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from skimage.io import imsave

from napari_wsss.acceptance import by_person
from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.types import Point
from napari_wsss.viewer.layers import role_of
from napari_wsss.widgets.dock import Dock
from tests.gui.hands import LEFT, RIGHT, Person

CONTROL = Qt.KeyboardModifier.ControlModifier
NAMES = ("a.tif", "b.tif", "c.tif")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with a few points each."""
    scenes = [nuclei(seed, 8, (96, 96)) for seed in range(3)]
    for name, scene in zip(NAMES, scenes):
        imsave(tmp_path / name, scene.pixels, check_contrast=False)
    with Project.create(tmp_path / "p", ("background", "nucleus")) as project:
        project.add_images([tmp_path / name for name in NAMES])
        for name, scene in zip(NAMES, scenes):
            for k in (1, 2):
                rows, columns = np.nonzero(scene.truth == k)
                picks = np.linspace(5, len(rows) - 5, 5).astype(int)
                points = [Point(int(rows[i]), int(columns[i]), k) for i in picks]
                project.add_marks(name, points, by_person("test"))
    return tmp_path / "p"


@pytest.fixture
def at_work(person: Person, folder: Path) -> Person:
    """Everybody's stages are being computed."""
    person.session.open_project(folder)
    person.opened("a.tif")
    person.press(person.dock.stages.run_all)
    assert person.session.working.work is not None
    return person


def points_on_disk(folder: Path) -> dict[str, list[Point]]:
    with Project.open(folder) as project:
        return {name: list(project.labels(name).points) for name in NAMES}


def finished(folder: Path) -> set[str]:
    with Project.open(folder) as project:
        return set(project.result_keys("refined"))


@pytest.mark.parametrize("kind", [Labels, Points])  # not both at once: see ARCHITECTURE.md on Mesa
def test_layers_may_be_renamed_moved_hidden_and_deleted_during_a_run(at_work: Person, folder: Path, kind: type):
    person, before = at_work, points_on_disk(folder)
    for n, layer in enumerate(list(person.viewer.layers)):
        layer.name = f"mine {n}"
        layer.visible = n % 2 == 0
        person.viewer.layers.move(0, len(person.viewer.layers) - 1)
        QApplication.processEvents()
    for layer in [x for x in person.viewer.layers if isinstance(x, kind) and role_of(x) is not None]:
        person.viewer.layers.selection = {layer}
        person.viewer.layers.selection.active = layer
        person.key(Qt.Key.Key_Delete, CONTROL)
    person.rest()
    assert finished(folder) == set(NAMES)
    assert points_on_disk(folder) == before, "deleting a layer deleted labels"
    for tool in ("point", "scribble", "box", "paint", "object"):
        person.press(person.dock.tools.buttons[tool])
        assert person.viewer.layers.selection.active is not None
    assert len(person.binding.layer("points").data) == len(before["a.tif"])
    person.press(person.dock.stages.shown["refine"])
    assert np.array_equal(person.binding.layer("refined").data, person.session.opened.refined.labels)


@pytest.mark.parametrize(
    "role", ["points", "boxes", "scribbles", "proposal", "accepted", "objects", "chosen", "seeds", "pseudo", "refined"]
)
def test_each_layer_comes_back_as_it_was_when_it_is_needed(person: Person, folder: Path, role: str):
    person.session.open_project(folder)
    person.opened("a.tif")
    s = person.session
    on = np.ones((10, 10), bool)
    s.drafting.paint((20, 20, 30, 30), on, on)
    s.drafting.accept()
    s.labelling.block((40, 40, 50, 50))
    s.reshaping.choose(25, 25)
    person.rest()
    layer = person.binding.layer(role)
    before = [np.array(d) for d in layer.data]
    person.viewer.layers.remove(layer)
    person.rest()
    again = person.binding.layer(role)
    person.binding.sync_marks()
    if role == "chosen":
        s.reshaping.choose(25, 25)
    assert again is not layer
    assert again in person.viewer.layers
    assert len(again.data) == len(before)
    assert all(np.array_equal(a, b) for a, b in zip(again.data, before))


def test_images_may_be_changed_and_labelled_during_a_run(at_work: Person, folder: Path):
    person = at_work
    for name in ("b.tif", "c.tif"):
        person.key(Qt.Key.Key_N)
        person.wait(lambda name=name: person.session.opened.name == name, f"{name} open")
    person.click(48, 48)
    person.key(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    person.rest()
    assert person.session.opened.name == "b.tif"
    assert (48, 48) in {(p.y, p.x) for p in points_on_disk(folder)["c.tif"]}
    assert "c.tif" in finished(folder)


def test_the_dock_may_be_closed_during_a_run_and_a_new_one_shows_its_end(at_work: Person, folder: Path):
    person = at_work
    person.viewer.window.remove_dock_widget(person.dock)
    person.dock.deleteLater()
    QApplication.processEvents()
    again = Dock(person.viewer)
    person.viewer.window.add_dock_widget(again, name="again")
    assert again.status.cancel.isEnabled()
    person.rest()
    assert finished(folder) == set(NAMES)
    assert again.stages.accept_image.isEnabled()


def test_the_window_may_be_closed_during_a_run(at_work: Person, folder: Path):
    person, before = at_work, points_on_disk(folder)
    person.click(48, 48)
    thread = person.session.thread
    person.viewer.close()
    QApplication.processEvents()
    person.wait(lambda: person.session.project is None, "the session closed")
    thread.submit(lambda: None).result(120)  # the torch thread is free again
    after = points_on_disk(folder)
    assert len(after["a.tif"]) == len(before["a.tif"]) + 1
    assert after["b.tif"] == before["b.tif"]


def test_a_cancelled_run_keeps_what_was_finished_and_says_so(at_work: Person, folder: Path):
    person = at_work
    person.press(person.dock.status.cancel)
    person.rest()
    assert "Stopped" in person.told[-1]
    person.press(person.dock.stages.run_all)
    person.rest()
    assert finished(folder) == set(NAMES)


def test_what_is_no_label_does_not_stay_in_sight(person: Person, folder: Path):
    person.session.open_project(folder)
    person.opened("a.tif")
    points, marks = person.binding.layer("points"), points_on_disk(folder)["a.tif"]
    person.press(person.dock.tools.buttons["point"])
    for at, button in (((40, 40), RIGHT), ((-3, 40), LEFT)):
        person.click(*at, button=button)
        person.rest()
        assert len(points.data) == len(marks), person.told
    assert [line.partition(",")[0] for line in person.told[-2:]] == [
        "First click the object",
        "That is outside the image.",
    ]
    person.press(person.dock.tools.buttons["box"])
    person.drag((-4, 40), (-2, 60))
    person.rest()
    assert len(person.binding.layer("boxes").data) == 0
    assert points_on_disk(folder)["a.tif"] == marks
