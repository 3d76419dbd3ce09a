"""``kill -9`` at any moment loses nothing that was reported as saved, and leaves the project sound."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zarr

from napari_wsss.project import Project

HERE = Path(__file__).parent
SHAPE = (560, 530)  # four chunks


def _labelled_until_killed(folder: Path, rng: random.Random) -> list[dict]:
    """What a process that labelled the project said before it was killed: some lines, and a moment later."""
    root = str(HERE.parents[1])
    env = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "labelling.py"), str(folder), str(rng.randrange(2**31))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True) as process:
        first = "".join(process.stdout.readline() for _ in range(rng.randint(1, 16)))
        time.sleep(rng.uniform(0.0, 0.05))
        assert process.poll() is None, process.stderr.read()
        process.kill()
        rest = process.stdout.read()
    complete = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in complete]


def _zarr_on_disk(project: Project, key: str) -> tuple:
    folder = project.folder / "masks" / key
    return tuple(
        zarr.open_array(folder / f"{what}.zarr", mode="r")[:] if (folder / f"{what}.zarr").exists() else None
        for what in ("labels", "instances")
    )


@pytest.mark.timeout(1800)
def test_nothing_reported_as_saved_is_lost(tmp_path: Path, draw, labelling, count) -> None:
    rng = random.Random(7)
    saved, kills = 0, count(12, 200)
    for number in range(kills):
        if number % 10 == 0:  # a new project now and then, for the history of the old one grows
            picture = draw(tmp_path / f"{number}" / "a.png", number, SHAPE)
            folder = tmp_path / f"project{number}"
            with Project.create(folder, ["background", "cell", "nucleus"]) as project:
                project.add_images([picture])
            model = labelling.Model(SHAPE)
        told = _labelled_until_killed(folder, rng)
        pending = None
        for line in told:
            if "about" in line:
                pending = line["about"]
            else:
                model, pending, saved = model.after(line["saved"]), None, saved + 1
        with Project.open(folder) as project:
            if pending is not None and model.differences(project):
                model = model.after(pending)  # saved, but killed before it could say so
            assert model.differences(project) == []
            assert project.check() == []
            _assert_arrays_are_the_model(project, model, labelling.NAME)
    print(f"{kills} kills, {saved} items reported as saved, none lost")
    assert saved > kills


def _assert_arrays_are_the_model(project: Project, model, name: str) -> None:
    with project._journal.read() as db:
        row = project._images.row(db, name)
        replayed = project._masks.read(db, row, replay=True)
    assert (replayed.labels == model.labels).all()
    labels, ids = _zarr_on_disk(project, row.file_key)
    assert (labels == model.labels).all() if labels is not None else not model.labels.any()
    assert (ids == model.ids).all() if ids is not None else not model.ids.any()
