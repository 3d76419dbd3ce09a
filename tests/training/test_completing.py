"""Hinted images are completed before a run, once, and images that a person accepted whole are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_wsss.project import Project
from napari_wsss.training import completing, loop
from napari_wsss.training.completing import complete
from napari_wsss.training.loop import train
from napari_wsss.types import Class, Classes, Mask, Point, no_progress
from tests.toy_projects import BY, draw, truth
from tests.training.toy import QUICK


@pytest.fixture
def project(tmp_path):
    """Points of both classes on two images, a mask on the third, nothing on the fourth."""
    draw(tmp_path / "images", 4)
    with Project.create(tmp_path / "project", ["background", "cell"]) as made:
        made.add_images([tmp_path / "images"])
        for n in range(2):
            middles = [np.argwhere(truth(n) == k)[40].tolist() for k in (1, 2)]
            made.add_marks(f"{n}.png", [Point(y, x, k) for k, (y, x) in enumerate(middles, 1)], BY)
        made.accept("2.png", Mask(truth(2).astype(np.uint16)), BY)
        yield made


def test_hinted_images_get_refined_masks_once_and_no_other_does(project):
    assert complete(project, "cpu", no_progress) == 2
    assert set(project.result_keys("refined")) == {"0.png", "1.png"}
    assert complete(project, "cpu", no_progress) == 0


def test_an_image_of_which_a_part_is_accepted_is_completed(project):
    project.edit_mask("3.png", (0, 0, 20, 20), truth(3)[:20, :20].astype(np.uint16), BY)
    assert project.state("3.png") == "accepted"
    assert complete(project, "cpu", no_progress) == 3
    refined = project.result("3.png", "refined").labels
    assert np.array_equal(refined[:20, :20], truth(3)[:20, :20])
    assert (refined == truth(3)).mean() > 0.8


def test_a_run_learns_from_completed_images_only_if_it_is_wanted(project):
    for wanted in (False, True):
        train(project, replace(QUICK, complete=wanted, steps=1), device="cpu")
        assert bool(project.result_keys("refined")) == wanted


def test_labels_that_are_not_enough_are_learnt_from_as_they_are(tmp_path):
    draw(tmp_path / "images", 1)
    with Project.create(tmp_path / "project", ["field", "cell"]) as project:
        project.add_images([tmp_path / "images"])
        project.add_marks("0.png", [Point(*np.argwhere(truth(0) == 2)[40].tolist(), 2)], BY)
        assert complete(project, "cpu", no_progress) == 0
        assert train(project, replace(QUICK, complete=True, steps=1), device="cpu").steps == 1


def every_look_takes_50_seconds(monkeypatch):
    ticks = iter(range(0, 10**6, 50))
    for place in (loop, completing):
        monkeypatch.setattr(place, "clock", lambda settings: lambda: float(next(ticks)))


def test_the_seconds_of_completing_are_the_runs(project, monkeypatch):
    every_look_takes_50_seconds(monkeypatch)
    report = train(project, replace(QUICK, complete=True, steps=1), device="cpu")
    assert report.seconds == 100  # 50 of completing, 50 of one step


def test_completing_takes_no_more_than_half_of_the_minutes(project, monkeypatch):
    every_look_takes_50_seconds(monkeypatch)
    report = train(project, replace(QUICK, complete=True, steps=None, minutes=1.0), device="cpu")
    assert (report.steps, report.seconds) == (1, 80)  # 30 of the 50 of completing, 50 of one step


def test_masks_are_made_again_once_the_project_teaches_half_as_much_more(project):
    complete(project, "cpu", no_progress)
    project.add_marks("0.png", [Point(*np.argwhere(truth(0) == 2)[60].tolist(), 2)], BY)
    assert complete(project, "cpu", no_progress) == 1  # a point beside a whole mask
    project.accept("3.png", Mask(truth(3).astype(np.uint16)), BY)
    assert complete(project, "cpu", no_progress) == 2
    assert complete(project, "cpu", no_progress) == 0


def test_a_class_that_nobody_had_named_makes_masks_anew(project):
    complete(project, "cpu", no_progress)
    more = Classes((*project.classes, Class(3, "nucleolus", "#ff00ff")))
    project.save_settings(replace(project.settings, classes=more))
    complete(project, "cpu", no_progress)
    project.add_marks("1.png", [Point(4, 4, 3)], BY)
    assert complete(project, "cpu", no_progress) == 2
