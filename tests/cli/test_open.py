"""``open`` where there is no display: one line and status 2, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_wsss.cli import main


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_display_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["open", str(tmp_path)]) == 2
    assert "no display" in capsys.readouterr().err


def test_a_path_that_does_not_exist_is_wrong_use(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["open", str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err
