"""Ctrl-C in the middle of a run keeps what was finished, and the next run goes on from there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from napari_wsss.project import Project
from tests.cli.conftest import environment
from tests.toy_projects import QUICK_OPTIONS, make

COUNT = 10
SLOW = '''"""Pseudo-labels in no hurry (a test's own)."""

import os
import time
from dataclasses import dataclass

import numpy as np

from napari_wsss.types import PseudoLabels


class Slow:
    @dataclass(frozen=True)
    class Params:
        pass

    model = ""

    def __init__(self, params, context):
        self.params = params

    def __call__(self, sample, state):
        time.sleep(float(os.environ.get("SECONDS_AN_IMAGE", "0")))
        shape = sample.image.shape
        sure = np.ones(shape, np.float16)
        return PseudoLabels(np.stack([sure / 2] * 2), np.ones(shape, np.uint16), sure)


METHOD = Slow
'''


@pytest.fixture
def slow(tmp_path):
    """A path on which the label model ``slow`` is installed."""
    site = tmp_path / "site"
    about = site / "slowness-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "slowness.py").write_text(SLOW)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slowness\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[napari_wsss.label_models]\nslow = slowness\n")
    return site


def _heed_ctrl_c() -> None:
    """A shell's background jobs, and all that they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_keeps_what_was_finished_and_the_next_run_goes_on(tmp_path, slow, process):
    with make(tmp_path, COUNT, 1) as project:
        folder = project.folder
    words = ("run", folder, "--stages", "pseudo", "--use", "pseudo=slow")
    env = environment()
    env["PYTHONPATH"] = f"{slow}:{env['PYTHONPATH']}"
    hurry = {"PYTHONPATH": env["PYTHONPATH"]}
    env["SECONDS_AN_IMAGE"] = "2"  # so long that the signal comes in time on a busy machine
    command = [sys.executable, "-m", "napari_wsss", *map(str, words)]
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_heed_ctrl_c
    ) as running:
        deadline = time.monotonic() + 60
        while _finished(folder) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1] == "napari-wsss: stopped; what was finished is kept"
    with Project.open(folder) as project:
        kept = project.result_keys("pseudo")
        assert project.check() == []
        files = sorted((folder / "results" / "pseudo").iterdir())
    assert 2 <= len(kept) < COUNT
    assert len(files) == len(kept)
    again = process(*words, env=hurry)
    assert again.returncode == 0, again.stderr
    assert f"{COUNT - len(kept)} computed, {len(kept)} up to date" in again.stdout
    with Project.open(folder) as project:
        whole = project.result_keys("pseudo")
    assert kept.items() <= whole.items()
    assert len(whole) == COUNT


def _finished(folder) -> int:
    with Project.open(folder) as project:
        return len(project.result_keys("pseudo"))


def test_ctrl_c_before_anything_is_finished_leaves_the_project_as_it_was(tmp_path, cli, monkeypatch):
    with make(tmp_path) as project:
        folder, before = project.folder, project.records()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_wsss.label_models.pooled.Pooled.fit", interrupted)
    said = cli("run", folder, *QUICK_OPTIONS)
    assert said.status == 130
    assert said.err.strip().splitlines()[-1].endswith("what was finished is kept")
    with Project.open(folder) as project:
        assert project.records() == before
        assert project.result_keys("pseudo") == {}


def test_ctrl_c_while_a_new_project_takes_images_in_leaves_no_project_behind(tmp_path, cli, monkeypatch):
    with make(tmp_path) as project:
        images = project.folder.parent / "images"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_wsss.project.image_list.ImageList._add_file", interrupted)
    assert cli("init", tmp_path / "new", "--classes", "a,b", "--images", images).status == 130
    assert not (tmp_path / "new").exists()
