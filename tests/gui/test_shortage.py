"""A job that had too little memory: told in words, with ways to go on with that very job; saving elsewhere."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from qtpy.QtWidgets import QApplication, QPushButton
from skimage.io import imsave

from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.session import scratch
from napari_wsss.session.predicting import Predicting
from napari_wsss.types import Point
from tests.gui.hands import Person
from tests.gui.test_labelling import middles


@pytest.fixture(scope="module")
def field():
    return nuclei(0, 8, (128, 128))


def ways(person: Person) -> dict[str, QPushButton]:
    status = person.dock.status
    buttons = [status.ways.itemAt(n).widget() for n in range(status.ways.count())]
    return {button.text(): button for button in buttons}


def test_a_click_that_the_device_has_no_memory_for_goes_on_on_the_cpu(person: Person, field, monkeypatch):
    person.viewer.add_image(field.pixels)
    person.opened()
    real = Predicting.mask

    def full(self, *args):
        if self.device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, *args)

    monkeypatch.setattr(Predicting, "mask", full)
    at = middles(field.truth)[0]
    person.click(*at)
    person.wait(lambda: person.session.shortage, "a shortage told")
    status = person.dock.status
    assert status.shortage.isVisible()
    assert "memory" in status.shortage.text()
    assert "CUDA" not in status.shortage.text()
    assert list(ways(person)) == ["Continue on the CPU", "Try again"]
    person.wait(lambda: status.shortage.height() > 20 and ways(person)["Try again"].isVisible(), "laid out")
    for _ in range(10):
        QApplication.processEvents()
    person.shot("shortage")
    person.press(ways(person)["Try again"])
    person.wait(lambda: person.session.shortage, "told again")
    person.press(ways(person)["Continue on the CPU"])
    person.rest()
    assert person.session.proposal[at] == 2
    assert person.session.device == "cpu"
    assert not status.shortage.isVisible()
    assert not ways(person)


def test_stages_that_the_device_has_no_memory_for_go_on_on_the_cpu(person: Person, tmp_path: Path, monkeypatch):
    from napari_wsss import pipeline
    from napari_wsss.acceptance import by_person

    drawn = nuclei(0, 8, (96, 96))
    imsave(tmp_path / "a.tif", drawn.pixels, check_contrast=False)
    with Project.create(tmp_path / "p", ["background", "nucleus"]) as project:
        project.add_images([tmp_path / "a.tif"])
        marks = [Point(int(y), int(x), k) for k in (1, 2) for y, x in np.argwhere(drawn.truth == k)[::700]]
        project.add_marks("a.tif", marks, by_person("test"))
    real, devices = pipeline.run, []

    def full(project, plan, progress):
        devices.append(plan.device)
        if plan.device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(project, plan, progress)

    monkeypatch.setattr(pipeline, "run", full)
    person.session.open_project(tmp_path / "p")
    person.opened("a.tif")
    person.press(person.dock.stages.run_image)
    person.wait(lambda: person.session.shortage, "a shortage told")
    person.rest()
    person.press(ways(person)["Continue on the CPU"])
    person.rest()
    assert devices == ["auto", "cpu"]
    assert person.session.opened.refined is not None


def test_a_project_is_saved_to_another_disk_off_the_windows_thread(person: Person, field, monkeypatch, tmp_path: Path):
    person.viewer.add_image(field.pixels)
    person.opened()
    person.click(*middles(field.truth)[0])
    person.rest()
    shown = person.session.proposal.copy()
    old, where = person.session.project.folder, []
    rename = Path.rename

    def other_disk(self, target):
        where.append(threading.current_thread())
        if self == old:
            raise OSError(errno.EXDEV, "another disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", other_disk)
    person.dock.project.save_as(tmp_path / "mine" / "cells")
    person.opened()
    assert threading.main_thread() not in where
    assert person.session.project.folder == tmp_path / "mine" / "cells"
    assert not old.exists()
    assert np.array_equal(person.session.proposal, shown)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["cells"]


def test_saving_that_is_cancelled_leaves_the_project_where_it_was(person: Person, field, monkeypatch, tmp_path: Path):
    person.viewer.add_image(field.pixels)
    person.opened()
    old, name = person.session.project.folder, person.session.name
    real, begun, go_on = scratch._copy, threading.Event(), threading.Event()

    def slow(folder, target, progress):
        def slowly(done, total, what):
            begun.set()
            go_on.wait(60)
            progress(done, total, what)

        real(folder, target, slowly)

    def other_disk(self, target):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(Path, "rename", other_disk)
    monkeypatch.setattr(scratch, "_copy", slow)
    person.dock.project.save_as(tmp_path / "mine" / "cells")
    person.wait(begun.is_set, "copying")
    person.press(person.dock.status.cancel)
    go_on.set()
    person.wait(lambda: person.session.project is not None, "the project open again")
    person.opened(name)
    assert person.session.project.folder == old
    assert not list((tmp_path / "mine").iterdir())


def test_a_place_that_cannot_be_written_is_said_in_words(person: Person, field, monkeypatch, tmp_path: Path):
    person.viewer.add_image(field.pixels)
    person.opened()
    old = person.session.project.folder
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("there")
    person.dock.project.save_as(tmp_path / "full")
    person.wait(lambda: person.failed and person.session.project is not None, "told")
    assert "not an empty folder" in person.failed.pop()
    person.opened()
    assert person.session.project.folder == old
