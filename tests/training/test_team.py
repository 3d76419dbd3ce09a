"""Several processes train one network: each tile once in all, gradients averaged, one of them writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from napari_wsss.cli import main
from napari_wsss.prediction import predict
from napari_wsss.project import Project
from napari_wsss.training.gallery import snapshot
from napari_wsss.training.loop import train
from napari_wsss.training.run_folder import runs
from napari_wsss.training.tiles import cells
from tests.training.toy import QUICK, accepted

ROOT = Path(__file__).parents[2]

SMALL = ("--param", "training.tile=32", "--param", "training.threads=1", "--param", "training.batch=2")


def environment() -> dict[str, str]:
    """As a person's: no test's rank or rendezvous in it."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A project that two processes trained on, and what each of them wrote down."""
    pytest.importorskip("lightning_fabric")
    folder = tmp_path_factory.mktemp("team")
    with accepted(folder, 7, 6) as project:
        words = [sys.executable, str(Path(__file__).with_name("together.py")), str(project.folder), str(folder)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr
        return project.folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_each_tile_comes_once_an_epoch_in_all(both):
    folder, told = both
    with Project.open(folder) as project:
        shot = snapshot(project, 0.2, 0, True)
    assert shot.held_out
    wanted = [(0, p.name, p.row, p.column) for name in shot.taught for p in cells(name, shot.shapes[name], 32)]
    seen = [[tuple(place) for place in one["seen"] if place[0] == 0] for one in told]
    assert sorted(seen[0] + seen[1]) == sorted(wanted)
    assert len(seen[0]) == len(seen[1]) == len(wanted) // 2
    assert max(place[0] for one in told for place in one["seen"]) == 1  # the next epoch has begun
    assert [line["step"] for line in runs(folder)[0].metrics() if "loss" in line] == list(range(1, 9))


def test_gradients_are_the_mean_over_all_tiles(both):
    for told in both[1]:
        assert told["averaged"] == [True, [1.75, 1.75], [3.0, 3.0], None, [6.0, 6.0], False, 5, 0]


def test_all_processes_end_with_the_same_network(both):
    one, other = both[1]
    assert one["weights"] == other["weights"]
    assert one["gate"] == other["gate"]


def test_one_process_writes_a_run_that_anybody_can_use(both):
    folder, (leader, other) = both
    assert other["written"] == []
    assert {"training.json", "checkpoint.safetensors", "weights.safetensors"} == set(leader["written"])
    with Project.open(folder) as project:
        assert len(runs(folder)) == 1
        assert len(predict(project, device="cpu").predicted) == 7
        assert train(project, replace(QUICK, steps=9), device="cpu", resume=True).steps == 9


def test_the_command_starts_the_others_and_speaks_once(both, tmp_path):
    words = ["train", both[0], "--devices", "2", "--device", "cpu", "--steps", "1", "--json", *SMALL]
    command = [sys.executable, "-m", "napari_wsss", *map(str, words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 1
    assert done.stdout.count("\n") == 1


def test_machines_that_share_the_folder_train_together(both, tmp_path):
    """Two machines played by two commands that are told their numbers; only the first one opens the journal."""
    folder = both[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["train", folder, "--nodes", "2", "--device", "cpu", "--steps", "2", "--json", *SMALL]
    command = [sys.executable, "-m", "napari_wsss", *map(str, words)]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    machines = [
        subprocess.Popen(
            command, env={**environment(), **told, "NODE_RANK": str(n)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for n in (0, 1)
    ]
    said = [machine.communicate(timeout=500) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert json.loads(said[0][0])["steps"] == 2
    assert said[1][0] == b""
    assert runs(folder)[-1].weights.is_file()
    assert not (folder / "tmp").is_dir() or not any((folder / "tmp").iterdir())


def test_a_copy_of_the_journal_shows_the_same_labels_and_changes_nothing(tmp_path):
    with accepted(tmp_path, 2, 1) as project:
        project.copy_journal(tmp_path / "elsewhere")
        before = journal_of(project.folder)
        with Project.open_with(project.folder, tmp_path / "elsewhere") as copy:
            assert [r.labels_digest for r in copy.records()] == [r.labels_digest for r in project.records()]
            assert (copy.accepted("0.png").labels == project.accepted("0.png").labels).all()
            assert (copy.image("1.png").channels == project.image("1.png").channels).all()
            copy.skip("1.png")
        assert project.state("1.png") == "new"
        assert journal_of(project.folder) == before


def journal_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("journal*") if not file.name.endswith("shm")}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--devices", "0"), "at least 1"),
        (("--devices", "2"), "only from a command line of their own"),
    ],
)
def test_wrong_teams_are_one_line(both, capsys, words, line):
    assert main(["train", str(both[0]), *words]) == 2
    assert line in capsys.readouterr().err
