"""Training from the dock, in its own process, while the person goes on."""

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
from napari_wsss.training.run_folder import runs
from napari_wsss.types import Mask
from napari_wsss.widgets.curve import LOSS, means
from tests.gui.hands import Person
from tests.session.test_trainer import TRAINING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five fields of nuclei, four of them with accepted masks."""
    for seed in range(5):
        imsave(tmp_path / f"field{seed}.tif", nuclei(seed, 8, (96, 96)).pixels, check_contrast=False)
    with Project.create(tmp_path / "cells", ("background", "nucleus")) as project:
        project.add_images([tmp_path / f"field{n}.tif" for n in range(5)])
        for n in range(4):
            truth = nuclei(n, 8, (96, 96)).truth.astype(np.uint16)
            project.accept(f"field{n}.tif", Mask(truth), by_person("test"))
    return tmp_path / "cells"


@pytest.fixture
def trainee(person: Person):
    yield person
    person.session.trainer.leave()
    assert person.session.trainer.join(60), "a process was left behind"


def unfold(person: Person, name: str) -> None:
    person.press(person.dock.sections[name].title)
    person.rest()
    assert person.dock._inner.width() <= person.dock._area.viewport().width(), "the dock is cut off at its side"


def choose(person: Person, combo, text: str) -> None:
    """Choose an entry by typing it."""
    combo.setFocus()
    QTest.keyClicks(combo, text)
    person.rest()
    assert combo.currentText() == text


def test_a_segmenter_is_trained_paused_and_gone_on_with_from_the_dock(trainee: Person, folder: Path):
    person, panel = trainee, trainee.dock.training
    trainer = person.session.trainer
    person.session.open_project(folder)
    person.opened("field4.tif")
    unfold(person, "training")
    person.dock.training.minutes.setValue(10)
    person.shot("training-empty")
    choose(person, panel.segmenter, "frozen")
    assert panel.encoder.isVisible()
    person.press(panel.gear)
    person.wait(lambda: panel.settings.form is not None, "the segmenter's parameters")
    person.rest()
    person.shot("training-settings")
    person.press(panel.gear)
    assert panel.settings.form is None
    person.press(panel.start)
    person.wait(lambda: trainer.state == "starting", "starting", TRAINING)
    assert not panel.start.isEnabled()
    person.wait(lambda: len(trainer.curve.losses) > 55, "learning", TRAINING)
    person.rest()
    assert trainer.curve.best is not None
    assert "mIoU" in panel.words.text()
    assert "training" in person.dock.status.line.text()
    person.shot("training")
    drawn = panel.curve.grab().toImage()
    pixels = {drawn.pixelColor(x, y).name() for x in range(drawn.width()) for y in range(drawn.height())}
    assert LOSS.name() in pixels, "no curve is drawn"
    assert panel.pause.text() == "Pause"
    person.press(panel.pause)
    assert panel.pause.text() == "Go on"
    person.viewer.theme = "light"
    person.rest()
    person.shot("training-light")
    person.press(panel.pause)
    step = trainer.curve.step
    person.wait(lambda: trainer.curve.step > step, "further", TRAINING)
    person.click(40, 40)
    person.rest()
    person.press(panel.stop)
    person.wait(lambda: trainer.state == "idle", "stopped", TRAINING)
    assert panel.start.isEnabled()
    assert panel.pause.text() == "Go on"
    assert panel.pause.isEnabled()
    assert runs(folder)[-1].weights.is_file()
    assert runs(folder)[-1].settings().segmenter == "frozen"


def test_closing_the_window_ends_training_with_a_checkpoint(trainee: Person, folder: Path):
    from napari_wsss.viewer.bound import release

    trainer = trainee.session.trainer
    trainee.session.open_project(folder)
    trainee.opened("field4.tif")
    unfold(trainee, "training")
    choose(trainee, trainee.dock.training.segmenter, "frozen")
    trainee.press(trainee.dock.training.start)
    trainee.wait(lambda: trainer.curve.losses, "learning", TRAINING)
    release(trainee.viewer)
    assert trainer.join(60), "training outlives its window"
    assert runs(folder)[-1].checkpoint.is_file()


def test_means_keep_the_last_step_and_leave_out_what_is_no_number():
    points = [(n, float(n)) for n in range(1, 11)]
    assert means(points, 5) == [(2, 1.5), (4, 3.5), (6, 5.5), (8, 7.5), (10, 9.5)]
    assert means([(1, float("nan")), (2, 3.0)], 9) == [(2, 3.0)]
    assert means([], 9) == []


def test_starting_with_nothing_labelled_is_one_clear_line(person: Person):
    person.viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    person.opened()
    unfold(person, "training")
    QTest.mouseClick(person.dock.training.start, Qt.MouseButton.LeftButton)
    person.wait(lambda: person.told, "told")
    assert "Nothing to learn from yet" in person.told[-1]
    assert "Nothing to learn from yet" in person.dock.deciding.hint.text()
