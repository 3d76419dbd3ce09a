"""One key accepts an image and leads to the next; undo leads back, also between images of different sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from skimage.io import imsave

from napari_wsss.acceptance import by_person
from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.types import Mask
from tests.gui.hands import Person

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
SIDES = {"a.tif": 96, "b.tif": 160, "c.tif": 128}


def fits(person: Person, side: int) -> bool:
    """An image of so many pixels a side fills the canvas and lies in its middle."""
    camera = person.viewer.scene.camera
    shown = side * camera.zoom / min(person.canvas.width(), person.canvas.height())
    return 0.85 < shown <= 1 and np.allclose(camera.center[-2:], (side - 1) / 2, atol=1)


def test_accepting_images_one_after_the_other_and_taking_it_back(person: Person, tmp_path: Path):
    truths = {}
    (tmp_path / "fields").mkdir()
    for seed, (name, side) in enumerate(SIDES.items()):
        field = nuclei(seed, 8, (side, side))
        truths[name] = field.truth
        imsave(tmp_path / "fields" / name, field.pixels, check_contrast=False)
    with Project.create(tmp_path / "cells", ["background", "nucleus"]) as project:
        project.add_images([tmp_path / "fields"])
        for name, truth in truths.items():
            project.put_result(name, "refined", Mask(truth.astype(np.uint16)), "key", by_person("test"))
    s = person.session
    s.open_project(tmp_path / "cells")
    person.opened("a.tif")
    accepted = person.binding.layer("accepted")
    for name, following in (("a.tif", "b.tif"), ("b.tif", "c.tif")):
        person.key(Qt.Key.Key_W, SHIFT)
        person.opened(following)
        assert (s.project.accepted(name).labels == truths[name]).all()
        assert not accepted.data.any()
        assert accepted.data.shape == truths[following].shape
        assert fits(person, SIDES[following])
    person.key(Qt.Key.Key_W, SHIFT)
    person.rest()
    assert s.opened.name == "c.tif"
    assert "last image" in person.told[-1]
    person.key(Qt.Key.Key_Z, CONTROL)
    person.rest()
    for name in ("b.tif", "a.tif"):
        person.key(Qt.Key.Key_Z, CONTROL)
        person.opened(name)
        assert s.project.accepted(name) is None
        assert not accepted.data.any()
        assert accepted.data.shape == truths[name].shape
        assert fits(person, SIDES[name])
    person.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    person.rest()
    assert np.array_equal(accepted.data, truths["a.tif"])
