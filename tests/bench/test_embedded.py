"""``bench embedded``: what is measured beside what; nothing here asserts a time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_wsss import bench
from napari_wsss.bench import embedded
from napari_wsss.bench._drawn import textured_image
from napari_wsss.bench._timing import job
from napari_wsss.errors import WsssError
from napari_wsss.models.tiny_vit_sam import TinyVitEncoder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, few points, one round; a small frame for the reference."""
    sizes = {"_ROUNDS": 1, "_SIDE": 64, "_LARGE": 64, "_BLOCK": 96, "_BLOCKS": 1, "_POINTS": 6, "_ALONE": 3}
    for name, value in sizes.items():
        monkeypatch.setattr(embedded, name, value)
    monkeypatch.setattr(embedded, "_SAM_GRID", 8)
    monkeypatch.setattr(TinyVitEncoder, "img_size", 224)


def test_every_figure_has_its_reference_or_limit(small: None) -> None:
    said: list[tuple[int, int]] = []
    setting = bench.Setting(threads=1, progress=lambda done, total, what: said.append((done, total)))
    rows = {(row.what, row.method): row for row in bench.measure("embedded", setting) if "cuda" not in row.method}
    for what, reference in (("embedding", embedded.ENCODER), ("click", embedded.DECODER)):
        theirs, ours = rows[f"{what}_seconds_1_thread", reference], rows[f"{what}_seconds_1_thread", "ours"]
        assert theirs.ratio == 1
        assert ours.reference == theirs.value
    assert rows["click_seconds_1_thread", "ours_further_click"].reference is not None
    single = rows["points_seconds_1_thread", "3_single_calls_scaled"]
    many = rows["points_seconds_1_thread", "ours"]
    assert many.reference == single.value
    assert "6 points" in many.set
    assert rows["points_limit_1_thread", "ours"].value == many.value
    assert 0.5 < rows["points_iou_1_thread", "ours"].value <= 1
    first, imports = rows["first_mask_seconds_1_thread", "ours"], rows["imports_of_it_seconds_1_thread", "ours"]
    assert 0 < imports.value < first.value
    assert first.reference == 6
    assert rows["memory_above_1_thread", "ours"].reference == pytest.approx(400e6 / 2**20)
    assert rows["memory_1_thread", "torch_and_segment_anything"].value > 0
    assert said[-1][0] == said[-1][1]


def test_the_points_lie_on_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_BLOCK", 96)
    monkeypatch.setattr(embedded, "_BLOCKS", 3)
    monkeypatch.setattr(embedded, "_POINTS", 50)
    image, prompts = embedded.crowd()
    assert image.shape == (288, 288)
    assert len(prompts) == 50
    clicked = np.array([image.channels[0][tuple(p.points[0])] for p in prompts])
    assert clicked.mean() > image.channels.mean() + 0.1
    assert all(p.positive.all() for p in prompts)


def test_the_reference_decodes_three_masks_of_the_published_size() -> None:
    masks, iou = embedded.sam_click()()
    assert masks.shape == (1, 3, 256, 256)
    assert iou.shape == (1, 3)


def test_a_first_mask_of_a_file_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(WsssError, match=r"nowhere\.tif"):
        job("napari_wsss.bench._first_mask_job", [repr(time.time()), str(tmp_path / "nowhere.tif")])


def test_a_picture_of_the_bench_has_no_key_to_be_remembered_by(small: None) -> None:
    """Else the second round would find the embedding made."""
    assert textured_image((8, 8), 1, seed=0).key
    image, _ = embedded.crowd()
    assert not image.key
