"""People at windows. Their things lie in the test's folder, and no failure may have been told unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gui.hands import Person


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def person(make_napari_viewer):
    someone = Person(make_napari_viewer(show=True))
    yield someone
    assert not someone.failed
