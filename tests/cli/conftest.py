"""The command line, in this process and in one of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from napari_wsss.cli import main
from tests.toy_projects import QUICK_OPTIONS, draw, points_csv

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """``cli("run", project)``: exit status and what was printed."""

    def call(*words) -> Said:
        capsys.readouterr()
        status = main([str(w) for w in words])
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture
def process():
    """``process("--help", env={...})``: the same in a process of its own."""

    def call(*words, env=None, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "napari_wsss", *map(str, words)]
        return subprocess.run(
            command, env=environment(**(env or {})), text=True, capture_output=True, timeout=120, check=False, **options
        )

    return call


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``project`` (three images, two of them clicked, all masks computed), ``images`` and ``points.csv``."""
    folder = tmp_path_factory.mktemp("computed")
    draw(folder / "images", 3)
    points_csv(folder / "points.csv", [0, 1])
    for words in (
        ("init", folder / "project", "--classes", "background,cell#ff0000", "--images", folder / "images"),
        ("label", folder / "project", "--points", folder / "points.csv"),
        ("run", folder / "project", *QUICK_OPTIONS),
    ):
        assert main([str(w) for w in words]) == 0
    return folder


@pytest.fixture
def here(computed: Path, tmp_path: Path) -> Path:
    """A copy of ``computed`` that a test may change."""
    return Path(shutil.copytree(computed, tmp_path / "here"))
