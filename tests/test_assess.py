"""Figures of a project against the truth: every image counts, hints can be left out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.assess import figures
from napari_wsss.errors import UsageError
from napari_wsss.pipeline import run
from napari_wsss.types import Mask, Point
from tests.toy_projects import BY, make, plan, truth


@pytest.fixture
def project(tmp_path):
    (tmp_path / "truth").mkdir()
    for n in range(3):
        Picture.fromarray(truth(n)).save(tmp_path / "truth" / f"{n}.png")
    with make(tmp_path, clicked=0) as project:
        yield project


def test_the_truth_itself_is_perfect_and_an_image_without_a_mask_all_wrong(project, tmp_path):
    for n in range(3):
        project.accept(f"{n}.png", Mask(truth(n).astype(np.uint16)), BY)
    assert figures(project, tmp_path / "truth")["accepted"]["miou"] == pytest.approx(1.0)
    project.edit_mask("2.png", (0, 0, 48, 56), np.zeros((48, 56), np.uint16), BY)
    found = figures(project, tmp_path / "truth")["accepted"]
    assert found["images"] == 3
    assert found["miou"] == pytest.approx(
        np.mean(
            [sum((truth(n) == k).sum() for n in (0, 1)) / sum((truth(n) == k).sum() for n in range(3)) for k in (1, 2)]
        )
    )


def test_hinted_pixels_are_left_out_when_asked(project, tmp_path):
    wrong = truth(0).astype(np.uint16)
    y, x = np.argwhere(wrong == 2)[0].tolist()
    wrong[y, x] = 1
    for n in range(3):
        project.accept(f"{n}.png", Mask(wrong if n == 0 else truth(n).astype(np.uint16)), BY)
    project.add_marks("0.png", [Point(y, x, 1)], BY)
    assert figures(project, tmp_path / "truth")["accepted"]["miou"] < 1
    assert figures(project, tmp_path / "truth", without_hints=True)["accepted"]["miou"] == pytest.approx(1.0)


def test_what_was_asked_for_must_be_there(project, tmp_path):
    with pytest.raises(UsageError, match="nothing to evaluate"):
        figures(project, tmp_path / "truth")
    with pytest.raises(UsageError, match="no refined masks"):
        figures(project, tmp_path / "truth", ["refined"])
    with pytest.raises(UsageError, match=r"'dreams'.*refined"):
        figures(project, tmp_path / "truth", ["dreams"])
    with pytest.raises(UsageError, match="no such folder"):
        figures(project, tmp_path / "nowhere")


def test_each_stage_has_its_row_and_evaluating_changes_nothing(project, tmp_path):
    project.add_marks("0.png", [Point(*np.argwhere(truth(0) == 2)[150].tolist(), 2), Point(2, 2, 1)], BY)
    run(project, plan())
    keys = [project.result_keys(s) for s in ("pseudo", "refined")]
    found = figures(project, tmp_path / "truth")
    assert set(found) == {"pseudo", "refined"}
    assert all(0 <= row["miou"] <= 1 for row in found.values())
    assert [project.result_keys(s) for s in ("pseudo", "refined")] == keys
    assert set(figures(project, tmp_path / "truth", ["refined"])) == {"refined"}
