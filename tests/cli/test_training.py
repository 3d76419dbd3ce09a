"""``train``, ``predict``, ``next``, ``simulate`` and what follows from them, as a person types them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as Picture

from tests.toy_projects import draw, truth

SMALL = (
    "--device", "cpu", "--param", "training.tile=32", "--param", "training.batch=2", "--param", "training.threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A project with the masks of four of six images, and the truth of all."""
    from napari_wsss.cli import main

    folder = tmp_path_factory.mktemp("labelled")
    draw(folder / "images", 6)
    for name, count in (("truth", 6), ("masks", 4)):
        (folder / name).mkdir()
        for n in range(count):
            Picture.fromarray(truth(n)).save(folder / name / f"{n}.png")
    words = ("init", folder / "project", "--classes", "background,cell", "--images", folder / "images")
    assert main([str(w) for w in words]) == 0
    assert main(["label", str(folder / "project"), "--masks", str(folder / "masks")]) == 0
    return folder


def test_the_way_from_masks_to_the_next_regions(labelled, cli, tmp_path):
    project = labelled / "project"
    assert "no trained segmenter yet" in cli("predict", project, "--device", "cpu").err
    assert "train" in cli("next", project).err

    said = cli("train", project, "--steps", 40, *SMALL, "--param", "training.check_every=20", "--json")
    assert said.status == 0, said.err
    report = json.loads(said.out)
    assert (report["steps"], report["images"] + report["held_out"]) == (40, 4)
    assert cli("train", project, "--steps", 42, "--resume", *SMALL[:2]).status == 0

    said = cli("predict", project, "--device", "cpu", "--out", tmp_path / "out")
    assert said.status == 0, said.err
    assert "6 predicted, 0 up to date, 6 masks written" in said.out
    assert "0 predicted, 6 up to date" in cli("predict", project, "--device", "cpu").out

    figures = json.loads(cli("evaluate", project, "--truth", labelled / "truth", "--what", "predicted", "--json").out)
    assert figures["predicted"]["miou"] > 0.6
    assert cli("export", project, tmp_path / "png", "--format", "png", "--what", "predicted").status == 0
    written = np.array(Picture.open(tmp_path / "png" / "masks" / "5.png"))
    assert np.array_equal(written, np.array(Picture.open(tmp_path / "out" / "5.png")))
    manifest = (tmp_path / "png" / "manifest.json").read_text()
    assert "segmenters/predict" in manifest

    regions = json.loads(cli("next", project, "--regions", 3, "--json").out)["regions"]
    assert [r["id"] for r in regions] == [1, 2, 3]
    assert {r["image"] for r in regions} <= {"4.png", "5.png"}  # the others are labelled
    for key in ("score", "impurity", "uncertainty", "image", "box", "why"):
        assert key in regions[0]
    plain = cli("next", project, "--regions", 3).out
    assert plain.count("\n") == 3
    assert "pixels labelled" in cli("next", project, "--answer", "1=accept", "--answer", "2=cell").out
    assert [line.split()[2] for line in cli("next", project, "--regions", 1).out.splitlines()] == ["3"]
    accepted = cli("accept", project, "--what", "predicted", "--images", "5.png")
    assert accepted.status == 0, accepted.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train", "--steps", "0"), "steps must be at least 1"),
        (("train", "--segmenter", "dreams"), "no segmenter named 'dreams'"),
        (("train", "--param", "training.dreams=1"), "no setting 'dreams'"),
        (("train", "--param", "cam.layers=1"), "no such group"),
        (("train", "--segmenter", "plain", "--param", "segmenter.size=giant"), "not one of tiny, small, base"),
        (("next", "--strategy", "dreams"), "no acquisition named 'dreams'"),
        (("next", "--answer", "1:cell"), "is not ID=accept"),
        (("next", "--answer", "1=dog"), "no class 'dog'"),
        (("predict", "--images", "nowhere.png"), "no image named"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(labelled, cli, words, line):
    said = cli(words[0], labelled / "project", *words[1:])
    assert said.status == 2
    assert line in said.err
    assert said.err.count("\n") == 1


def test_simulate_prints_curves_and_writes_them(labelled, cli, tmp_path):
    said = cli(
        "simulate", labelled / "project", "--oracle", labelled / "truth", "--strategy", "ripu", "--strategy", "random",
        "--rounds", 1, "--seeds", 1, "--budget", 0.05, "--steps", 5, "--reach", 2, *SMALL, "--out", tmp_path / "curves",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["ceiling", "ripu", "random"]
    assert "of the ceiling" in said.out
    for budget in ("pixels", "questions", "seconds"):
        assert (tmp_path / "curves" / f"curve_{budget}.svg").is_file()
        assert (tmp_path / "curves" / f"curve_{budget}.png").is_file()
    assert len(json.loads((tmp_path / "curves" / "curves.json").read_text())["rows"]) == 5
