"""An activation map edited in the window: sliders, painted seeds, boxes; doubts shown as layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from skimage.io import imsave

from napari_wsss.acceptance import by_person
from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.types import Cam, Point, PseudoLabels
from tests.gui.hands import Person


@pytest.fixture
def mapped(person: Person, tmp_path: Path) -> Person:
    """An image with a map of class 2 and pseudo-labels, one click of which is wrong."""
    scene = nuclei(0, 8, (128, 128))
    imsave(tmp_path / "a.tif", scene.pixels, check_contrast=False)
    with Project.create(tmp_path / "p", ("background", "nucleus")) as project:
        project.add_images([tmp_path / "a.tif"])
        scores = ((scene.pixels - scene.pixels.min()) / np.ptp(scene.pixels)).astype(np.float32)
        seeds = np.where(scores > 0.5, 2, 0).astype(np.uint16)
        project.put_result("a.tif", "cam", Cam(scores[None], (2,), np.ones(1, np.float32), seeds), "k", by_person("t"))
        p = np.stack([scene.truth == 1, scene.truth == 2]).astype(np.float16)
        sure = PseudoLabels(p, scene.truth.astype(np.uint16), np.ones(scene.truth.shape, np.float16))
        project.put_result("a.tif", "pseudo", sure, "k", by_person("t"))
        project.add_marks("a.tif", [Point(*corner(scene.truth), 2)], by_person("t"))
    person.session.open_project(tmp_path / "p")
    person.opened("a.tif")
    person.press(person.dock.maps.parentWidget().title)
    person.press(person.dock.maps.follow)  # off: the pseudo-labels of this test are made up
    return person


def corner(truth: np.ndarray) -> tuple[int, int]:
    """A pixel of background, far from objects."""
    from scipy import ndimage

    return tuple(int(v) for v in np.unravel_index(ndimage.distance_transform_edt(truth == 1).argmax(), truth.shape))


def test_sliders_show_their_seeds_at_once_and_are_kept(mapped: Person):
    person, maps = mapped, mapped.dock.maps
    assert maps._texts[0].text() == "auto"
    QTest.keyClick(maps.high, Qt.Key.Key_Right)
    QTest.keyClick(maps.high, Qt.Key.Key_PageUp)
    person.wait(lambda: person.session.project.classes[2].thresholds == (0.25, 0.61), "kept")
    person.rest()
    seeds = person.binding.layer("seeds")
    assert seeds.visible
    scores = person.session.opened.cam.scores[0]
    assert np.array_equal(seeds.data == 2, scores >= np.float32(0.61))
    person.shot("map")
    person.press(maps.reset)
    person.rest()
    assert np.array_equal(seeds.data, person.session.opened.cam.seeds)
    assert maps._texts[0].text() == "auto"
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    person.rest()
    assert person.session.project.classes[2].thresholds == (0.25, 0.61)
    assert maps._texts[1].text() == "0.61"
    assert maps.high.value() == 61
    person.wait(lambda: np.array_equal(seeds.data == 2, scores >= np.float32(0.61)), "the seeds of the thresholds")
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert person.session.project.classes[2].thresholds is None


def test_a_painted_seed_is_a_stroke_of_the_person(mapped: Person):
    person = mapped
    person.press(person.dock.maps.shown["seeds"])
    seeds = person.binding.layer("seeds")
    person.viewer.layers.selection.active = seeds
    seeds.mode = "paint"
    seeds.brush_size = 5
    person.key(Qt.Key.Key_1)
    person.drag((100, 40), (100, 80))
    (stroke,) = person.session.project.labels("a.tif").strokes
    assert set(np.unique(stroke.raster)) == {0, 1}
    assert (seeds.data[100, 42:78] == 1).all()
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not person.session.project.labels("a.tif").strokes


def test_boxes_of_the_map_are_drawn_and_taken_back(mapped: Person):
    person = mapped
    person.press(person.dock.maps.boxes)
    person.wait(lambda: person.session.project.labels("a.tif").boxes, "boxes")
    person.rest()
    assert len(person.binding.layer("boxes").data) == len(person.session.project.labels("a.tif").boxes) > 2
    person.shot("map-boxes")
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    person.rest()
    assert not person.session.project.labels("a.tif").boxes


def test_doubts_are_shown_when_asked_for(mapped: Person):
    person = mapped
    for role in ("contradictions", "confidence"):
        person.press(person.dock.maps.shown[role])
        person.rest()
        assert person.binding.layer(role).visible
    at = corner(nuclei(0, 8, (128, 128)).truth)
    assert person.binding.layer("contradictions").data[at] == 1
    assert person.binding.layer("confidence").data.max() == 1
    person.shot("doubts")
    person.viewer.theme = "light"
    person.shot("doubts-light")
    person.press(person.dock.maps.shown["contradictions"])
    assert not person.binding.layer("contradictions").visible


def test_strokes_are_drawn_while_seeds_are_hidden_and_are_there_when_they_are_shown(mapped: Person):
    person, s = mapped, mapped.session
    seeds = person.binding.layer("seeds")
    assert not seeds.visible
    flat = person.viewer.window._qt_viewer.viewerButtons.ndisplayButton
    for _ in range(2):  # to three dimensions and back: napari forgets its pictures of hidden layers
        person.press(flat)
    person.rest()
    person.press(person.dock.tools.buttons["scribble"])
    person.drag((100, 40), (100, 80))
    person.rest()
    assert s.opened.scribbles[100, 60] == 2
    person.press(person.dock.maps.shown["seeds"])
    person.rest()
    assert seeds.data[100, 60] == 2
    person.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    person.rest()
    assert np.array_equal(seeds.data, s.opened.cam.seeds)
