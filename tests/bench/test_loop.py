"""The loop's hints, its reference and its scores."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.bench import _forest, loop
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._hints import HURRY, regions, write_hints
from napari_wsss.bench._rows import Setting
from napari_wsss.bench._sets import read_set
from napari_wsss.cli import main
from napari_wsss.errors import UsageError


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return [read_set(folder) for folder in write_sets(tmp_path_factory.mktemp("drawn"), images=2, size=96)]


@pytest.fixture(scope="module")
def hints(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hints")
    for of in sets:
        write_hints(of, folder / of.name)
    return folder


CHOSEN = " pseudo=agmm refine=random_walker"


def mask_of(of, stem):
    return np.asarray(Picture.open(of.folder / "masks" / f"{stem}.png"))


def points_of(folder):
    rows = (folder / "points.csv").read_text().splitlines()
    assert rows[0] == "image,y,x,class"
    return [row.split(",") for row in rows[1:]]


def test_every_hint_is_true(sets, hints):
    for of in sets:
        for image, y, x, name in points_of(hints / of.name):
            assert of.classes[mask_of(of, image.removesuffix(".png"))[int(y), int(x)] - 1] == name
        for file in (hints / of.name / "scribbles").iterdir():
            strokes, mask = np.asarray(Picture.open(file)), mask_of(of, file.stem)
            assert strokes.any()
            assert (strokes[strokes > 0] == mask[strokes > 0]).all()
            assert (strokes > 0).mean() < 0.3


def test_every_large_region_gets_a_point_and_a_stroke(sets, hints):
    for of in sets:
        for path in of.images:
            mask = mask_of(of, path.stem).astype(np.uint16)
            strokes = np.asarray(Picture.open(hints / of.name / "scribbles" / f"{path.stem}.png"))
            points = np.zeros(mask.shape, bool)
            for image, y, x, _ in points_of(hints / of.name):
                if image == path.name:
                    points[int(y), int(x)] = True
            for k, window, region in regions(mask, None, most=60):
                assert (points[window] & region).sum() == 1
                assert (strokes[window][region] == k).any()


def test_hints_are_the_same_each_time_and_fewer_in_a_hurry(sets, hints, tmp_path):
    for of in sets:
        write_hints(of, tmp_path / of.name)
        write_hints(of, tmp_path / "hurry" / of.name, hurry=True)
        for file in ("points.csv", f"scribbles/{of.images[0].stem}.png"):
            assert (tmp_path / of.name / file).read_bytes() == (hints / of.name / file).read_bytes()
        per_class = {}
        for image, *_, name in points_of(tmp_path / "hurry" / of.name):
            per_class[image, name] = per_class.get((image, name), 0) + 1
        assert max(per_class.values()) <= HURRY


def test_objects_that_touch_are_hinted_one_by_one():
    mask = np.ones((40, 40), np.uint16)
    objects = np.zeros((40, 40), np.uint32)
    objects[:, 20:] = 7
    found = [region.sum() for _, _, region in regions(mask, objects + 1, most=60)]
    assert found == [800, 800]


@pytest.mark.parametrize("kind", loop.KINDS)
def test_the_forest_learns_from_the_hints(kind, sets, hints, tmp_path):
    of = sets[1]
    task = {"images": [str(p) for p in of.images], "classes": of.classes, "out": str(tmp_path), "threads": 1}
    task |= {"points": None, "scribbles": None}
    task[kind] = str(hints / of.name / ("points.csv" if kind == "points" else "scribbles"))
    _forest.main(task)
    found = loop._Scorer(of, kind, hints / of.name).figures(tmp_path)
    assert found["coverage"] == 1
    assert found["miou"] > 0.5  # one guess for all pixels reaches 0.1
    assert found["miou"] + found["fp_ratio"] + found["fn_ratio"] == pytest.approx(1)


def test_scores_count_missing_masks_as_wrong_and_leave_hints_out(sets, hints, tmp_path):
    of = sets[0]
    scorer = loop._Scorer(of, "scribbles", hints / of.name)
    only_hints = tmp_path / "only_hints"
    shutil.copytree(hints / of.name / "scribbles", only_hints)
    found = scorer.figures(only_hints)
    assert found["miou"] > 0
    assert found["miou_unhinted"] == 0
    (tmp_path / "none").mkdir()
    assert scorer.figures(tmp_path / "none")["coverage"] == 0


def test_the_rows_of_the_loop(sets, hints, capsys):
    """Both sides in processes of their own, on two small images."""
    arguments = ["--set", str(sets[1].folder), "--hints", str(hints), "--threads", "1", "--json"]
    assert main(["bench", "loop", *arguments, "--use", "pseudo=agmm,refine=random_walker"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    there = {(row["set"], row["what"], row["method"]) for row in rows}
    for kind in loop.KINDS:
        for method in ("pseudo", "refined", "forest"):
            for what in ("miou", "miou_unhinted", "coverage", "fp_ratio", "fn_ratio"):
                assert (f"drawn_land {kind}{CHOSEN}", what, method) in there
        assert {(f"drawn_land {kind}{CHOSEN}", "seconds", m) for m in ("ours", "forest")} <= there
    for row in rows:
        if row["what"] == "miou":
            assert row["ratio"] == pytest.approx(row["value"] / row["reference"])


def test_hints_of_several_sets_lie_in_folders_of_their_names(sets, hints, tmp_path):
    setting = Setting(tuple(of.folder for of in sets), hints=tmp_path)
    with pytest.raises(UsageError, match="no folder drawn_cells"):
        loop.hints_of(sets[0], tmp_path / "made", setting)
    assert loop.hints_of(sets[0], tmp_path / "made", Setting(setting.sets, hints=hints)) == hints / "drawn_cells"


def test_a_folder_that_is_no_set_is_told(tmp_path):
    with pytest.raises(UsageError, match="no images"):
        read_set(tmp_path)


def test_hints_of_real_sets_are_true(shared_data, tmp_path):
    of = read_set(shared_data / "nuclei_histology", "test")
    write_hints(of, tmp_path / "h", hurry=True)
    for image, y, x, name in points_of(tmp_path / "h"):
        assert of.classes[mask_of(of, image.rsplit(".", 1)[0])[int(y), int(x)] - 1] == name
