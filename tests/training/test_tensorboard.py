"""TensorBoard as an option: the same numbers as in the JSON lines, each step once also after an interruption."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from napari_wsss.cli import main
from napari_wsss.errors import Cancelled
from napari_wsss.training.loop import train
from napari_wsss.training.run_folder import runs
from tests.training.toy import QUICK, accepted


def test_events_hold_what_the_metrics_hold(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def enough(done: int, total: int, what: str) -> None:
        if what.startswith("step 4"):
            raise Cancelled("enough")

    settings = replace(QUICK, tensorboard=True, held_out=0.3, save_every=0.0)
    with accepted(tmp_path, 6, 6) as project:
        with pytest.raises(Cancelled):
            train(project, settings, device="cpu", progress=enough)
        run = runs(project.folder)[0]
        train(project, settings, device="cpu", resume=True)
    shown = EventAccumulator(str(run.folder)).Reload()
    lines = run.metrics()
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert [(e.step, e.value) for e in shown.Scalars("loss")] == [(s, pytest.approx(v)) for s, v in losses]
    looks = [(line["step"], line["held_out_iou"]["cell"]) for line in lines if "held_out_iou" in line]
    assert [(e.step, e.value) for e in shown.Scalars("held_out_iou/cell")] == [(s, pytest.approx(v)) for s, v in looks]


def test_without_the_option_there_are_no_events(tmp_path):
    with accepted(tmp_path, 2, 2) as project:
        train(project, replace(QUICK, steps=1), device="cpu")
        assert not list(runs(project.folder)[0].folder.glob("events*"))


def test_where_it_is_not_installed_a_line_says_so_before_anything_begins(tmp_path, monkeypatch, capsys):
    with accepted(tmp_path, 2, 2) as project:
        folder = project.folder
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["train", str(folder), "--tensorboard", "--steps", "1"]) == 2
    assert "pip install 'napari-wsss[tensorboard]'" in capsys.readouterr().err
    assert runs(folder) == []
