"""A session on a small project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.session.hand import Hand
from tests.toy_projects import make


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with make(tmp_path, count=3, clicked=0) as project:
        return project.folder


@pytest.fixture
def hand(folder: Path):
    made = Hand()
    made.session.open_project(folder)
    made.settle()
    yield made
    made.close()
    assert not made.failed
