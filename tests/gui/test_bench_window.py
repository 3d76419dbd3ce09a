"""``bench window``: what is measured, beside what, in windows of its own; nothing here asserts a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_wsss import bench
from napari_wsss.bench import window
from napari_wsss.errors import WsssError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, few clicks, a moment of training."""
    sizes = {"_SIDES": (96, 128), "_CLICKS": 2, "_STARTS": 1, "_IMAGES": 2, "_SIDE": 96, "_TRAINING": 0.01}
    for name, value in sizes.items():
        monkeypatch.setattr(window, name, value)


@pytest.mark.timeout(1800)
def test_clicks_undo_pauses_and_the_start_are_measured_beside_their_limits(small: None):
    rows = {(r.set.split(",")[0], r.what, r.method): r for r in bench.measure("window", bench.Setting(threads=1))}
    whats = {what for _, what, _ in rows}
    for part in ("opening", "embedding", "stages", "training", "resting"):
        row = rows["2 drawn images of 96x96", f"pause_{part}_1_thread", "ours"]
        assert row.value > 0
        assert row.reference == 100
    assert rows["2 drawn images of 96x96", "cancel_seconds_1_thread", "ours"].reference == 2
    for side in (96, 128):
        first = rows[f"drawn {side}x{side}", "first_click_p95_1_thread", "ours"]
        assert first.reference == 250
        assert first.value >= rows[f"drawn {side}x{side}", "first_click_p50_1_thread", "ours"].value
        theirs = rows[f"drawn {side}x{side}", "undo_1_thread", "napari"]
        assert rows[f"drawn {side}x{side}", "undo_1_thread", "ours"].reference == theirs.value
    beside = rows["drawn 128x128", "first_click_p95_beside_96_1_thread", "ours"]
    assert beside.reference == 2 * rows["drawn 96x96", "first_click_p95_1_thread", "ours"].value
    assert {"usable_seconds_1_thread", "memory_1_thread"} <= whats


def test_clicked_places_lie_inside_cells_around_the_middle(tmp_path: Path):
    path, places = window.picture(tmp_path, 700)
    pixels = tifffile.imread(path)
    assert pixels.shape == (700, 700)
    _, mask = window._blocks(700)
    assert len(places) == window._CLICKS
    assert all(mask[y, x] == 2 for y, x in places)
    assert np.abs(np.array(places) - 350).max() < 256


def test_without_a_display_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(WsssError, match="needs a display"):
        list(bench.measure("window", bench.Setting()))
