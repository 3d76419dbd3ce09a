"""Wrong use and failed jobs: an exit status, one line that names the thing, and nothing half done."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.project import Project
from tests.toy_projects import QUICK_OPTIONS, draw, make


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def refused(said, status: int, *words: str) -> None:
    """One line on stderr that holds these words, nothing on stdout, no traceback."""
    assert said.status == status, said
    assert said.out == ""
    assert said.err.strip().count("\n") == 0, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("run",), "PROJECT"),
        (("run", "P", "--device", "abacus"), "abacus"),
        (("init", "P"), "--classes"),
        (("export", "P", "OUT"), "--format"),
        (("export", "P", "OUT", "--format", "docx"), "docx"),
        (("accept", "P", "--box", "1,2,3"), "1,2,3"),
        (("accept", "P", "--box", "5,5,5,9"), "empty"),
        (("accept", "P", "--what", "guessed"), "guessed"),
        (("segment", "nowhere.png", "--point", "1,1", "--out", "m.png"), "nowhere.png"),
        (("label", "P", "--points", "nowhere.csv"), "nowhere.csv"),
        (("evaluate", "P", "--truth", "nowhere"), "nowhere"),
        (("models",), "VERB"),
        (("models", "fetch"), "NAME"),
    ],
)
def test_words_that_the_command_line_does_not_know(cli, words, named):
    refused(cli(*words), 2, named, "--help")


@pytest.mark.parametrize(
    "command",
    [("run",), ("add", "IMAGES"), ("label", "--points", "POINTS"), ("accept",), ("export", "OUT", "--format", "png")],
)
def test_a_folder_that_is_no_project_is_named(cli, tmp_path, command):
    draw(tmp_path / "images", 1)
    (tmp_path / "points.csv").write_text("image,y,x,class\n")
    places = {"IMAGES": tmp_path / "images", "POINTS": tmp_path / "points.csv", "OUT": tmp_path / "out"}
    for project in (tmp_path / "images", tmp_path / "absent", tmp_path / "points.csv"):
        words = [places.get(w, w) for w in command]
        refused(cli(words[0], project, *words[1:]), 2, str(project), "napari-wsss init")
    assert not (tmp_path / "absent").exists()


def test_a_full_folder_is_no_place_for_a_new_project(cli, tmp_path):
    draw(tmp_path / "images", 1)
    refused(cli("init", tmp_path / "images", "--classes", "a,b"), 2, str(tmp_path / "images"))


@pytest.mark.parametrize("classes", ["a,a", "a#12", ",", "a#zzzzzz"])
def test_classes_that_make_no_sense_leave_no_project_behind(cli, tmp_path, classes):
    refused(cli("init", tmp_path / "P", "--classes", classes), 2)
    assert not (tmp_path / "P").exists()


def test_images_that_are_not_there_leave_no_project_behind(cli, tmp_path):
    refused(cli("init", tmp_path / "P", "--classes", "a", "--images", tmp_path / "none"), 2, "none")
    (tmp_path / "empty").mkdir()
    refused(cli("init", tmp_path / "P", "--classes", "a", "--images", tmp_path / "empty"), 1, "empty")
    assert not (tmp_path / "P").exists()


def test_a_broken_image_is_named_and_the_others_go_on(cli, tmp_path):
    folder = draw(tmp_path / "images", 2)
    (folder / "text.tif").write_text("I am no image")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:90])
    said = cli("init", tmp_path / "P", "--classes", "a,b", "--images", folder)
    assert said.status == 0
    assert "2 images" in said.out
    for name in ("text.tif", "cut.png"):
        assert len([line for line in said.err.splitlines() if name in line and "napari-wsss:" in line]) == 1
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "text.tif").write_text("I am no image")
    said = cli("add", tmp_path / "P", alone)
    assert said.status == 1
    assert "Traceback" not in said.err


POINTS = {
    "image,y,x,class\n0,5,5,cat\n": ("line 2", "cat", "cell"),
    "image,y,x,class\nnine,5,5,cell\n": ("line 2", "nine"),
    "image,y,x,class\n0,5,5,cell\n0,48,5,cell\n": ("line 3", "48"),
    "image,y,x,class\n0,5,-1,cell\n": ("line 2", "-1"),
    "image,y,x,class\n0,five,5,cell\n": ("line 2", "five"),
    "image,y,x,class\n0,nan,5,cell\n": ("line 2", "nan"),
    "image,y,x,class\n0,5,5\n": ("line 2",),
    "0,5,5,cell\n": ("image,y,x,class",),
    "": ("points.csv",),
}


@pytest.mark.parametrize("text", POINTS)
def test_a_wrong_row_names_file_line_and_reason_and_nothing_is_imported(cli, here, text):
    file = here / "wrong points.csv"
    file.write_text(text)
    before = _marks(here)
    said = cli("label", here / "project", "--points", file)
    assert said.status in (1, 2)
    refused(said, said.status, "wrong points.csv", *(w for w in POINTS[text] if w != "points.csv"))
    assert _marks(here) == before


def test_wrong_rows_can_be_left_out_and_are_counted(cli, here):
    file = here / "points.csv"
    file.write_text("image,y,x,class\n2,5,5,cell\n2,5,5,cat\n0,99,5,cell\n")
    said = cli("label", here / "project", "--points", file, "--skip-bad-rows")
    assert said.status == 0
    assert "2 wrong rows left out" in said.out
    assert len(_marks(here)["2.png"]) == 1


def _marks(here: Path) -> dict:
    with Project.open(here / "project") as project:
        return {r.name: project.labels(r.name).marks for r in project.records()}


def test_nothing_to_import_is_said(cli, here):
    refused(cli("label", here / "project"), 2, "--points")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--stages", "cam,dream"), ("dream", "refine")),
        (("--use", "pseudo=oracle"), ("oracle", "agmm", "pooled")),
        (("--use", "dream=agmm"), ("dream", "refine")),
        (("--use", "pseudo"), ("pseudo",)),
        (("--encoder", "oracle"), ("oracle", "filters")),
        (("--param", "dream.depth=3"), ("dream", "refine")),
        (("--param", "refine.depth=3"), ("depth", "edge")),
        (("--param", "refine.edge=steep"), ("refine.edge", "steep")),
        (("--param", "pseudo.size=huge"), ("pseudo.size", "huge", "small")),
        (("--param", "refine.prior=-1"), ("refine", "prior")),
        (("--param", "encoder.stride=3"), ("encoder", "stride")),
        (("--param", "edge=3"), ("edge=3",)),
        (("--param", "refine.edge"), ("refine.edge",)),
        (("--images", "0", "nine"), ("nine", "0.png")),
    ],
)
def test_a_run_that_cannot_be_meant_computes_nothing(cli, here, words, named):
    before = _keys(here)
    refused(cli("run", here / "project", *words), 2, *named)
    assert _keys(here) == before


def _keys(here: Path) -> list:
    with Project.open(here / "project") as project:
        return [project.result_keys(stage) for stage in ("cam", "pseudo", "refined")]


def test_a_project_without_images_says_how_to_get_some(cli, tmp_path):
    assert cli("init", tmp_path / "P", "--classes", "a,b").status == 0
    refused(cli("run", tmp_path / "P"), 2, "napari-wsss add")


def test_weights_that_are_missing_name_the_command_that_gets_them(cli, here, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "nothing"))
    listed = json.loads(cli("models", "list", "--json").out)
    absent = [m["name"] for m in listed["models"] if not m["present"]]
    assert absent
    refused(cli("models", "path", absent[0]), 1, f"napari-wsss models fetch {absent[0]}")
    said = cli("run", here / "project", "--stages", "refine", "--use", "refine=sam", *QUICK_OPTIONS)
    refused(said, 1, "napari-wsss models fetch")
    refused(cli("models", "path", "gpt-9"), 2, "gpt-9")
    refused(cli("models", "fetch", "gpt-9"), 2, "gpt-9")


def test_accepting_what_is_not_there(cli, here):
    refused(cli("accept", here / "project", "--box", "0,0,5,5"), 2, "--images")
    refused(cli("accept", here / "project", "--images", "nine"), 2, "nine")
    refused(cli("accept", here / "project", "--images", "0", "--box", "0,0,99,5"), 2, "0.png")
    with Project.open(here / "project") as project:
        assert all(project.accepted(r.name) is None for r in project.records())


def test_an_export_touches_no_folder_of_somebody_else(cli, here):
    refused(cli("export", here / "project", here / "out", "--format", "png"), 2, "accept")
    assert not (here / "out").exists()
    cli("accept", here / "project")
    (here / "mine").mkdir()
    (here / "mine" / "diary.txt").write_text("dear diary")
    before = content(here / "mine")
    refused(cli("export", here / "project", here / "mine", "--format", "png"), 2, "mine")
    assert content(here / "mine") == before
    refused(cli("export", here / "project", here / "o", "--format", "png", "--split", "1,2"), 2, "1,2")
    refused(cli("export", here / "project", here / "o", "--format", "png", "--param", "depth=3"), 2, "depth")
    refused(cli("export", here / "project", here / "o", "--format", "png", "--images", "nine"), 2, "nine")
    refused(cli("export", here / "project", here / "o", "--format", "png", "--split-by", "("), 2, "(")
    assert not (here / "o").exists()


def test_truth_that_does_not_fit(cli, here):
    truth = here / "truth"
    truth.mkdir()
    said = cli("evaluate", here / "project", "--truth", truth)
    assert said.status in (1, 2)
    refused(said, said.status, "truth")
    Picture.fromarray(np.ones((5, 5), np.uint8)).save(truth / "0.png")
    said = cli("evaluate", here / "project", "--truth", truth)
    refused(said, 1, "0")
    refused(cli("evaluate", here / "project", "--truth", truth, "--what", "dreams"), 2, "dreams")
    refused(cli("evaluate", here / "project", "--truth", truth, "--what", "accepted"), 2, "accepted")


def test_a_project_of_a_newer_version_is_refused_and_left_untouched(cli, here):
    toml = here / "project" / "project.toml"
    toml.write_text(re.sub(r"format = \d+", "format = 999", toml.read_text()))
    before = content(here / "project")
    for words in (("run",), ("accept",), ("label", "--points", here / "points.csv")):
        refused(cli(words[0], here / "project", *words[1:]), 2, "newer version")
    assert content(here / "project") == before


@pytest.mark.parametrize("again", [(), ("--again",)])
def test_an_image_that_broke_after_it_was_added_stops_no_other(cli, tmp_path, again):
    project = make(tmp_path, 4, 3)
    project.close()
    (tmp_path / "images" / "0.png").write_bytes(b"no longer an image")
    said = cli("run", project.folder, *again, "--stages", "pseudo,refine", *QUICK_OPTIONS)
    assert said.status == 0
    assert "pseudo: 3 computed" in said.out
    assert len([line for line in said.err.splitlines() if "0.png: the content" in line]) == 1
    assert "Traceback" not in said.err
    for n in range(4):
        (tmp_path / "images" / f"{n}.png").unlink()
    refused_last = cli("run", project.folder, "--again", "--stages", "pseudo", *QUICK_OPTIONS)
    assert refused_last.status == 1
    assert "Traceback" not in refused_last.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(cli, here):  # pragma: no cover
    here.chmod(0o500)
    try:
        said = cli("init", here / "new", "--classes", "a,b")
    finally:
        here.chmod(0o700)
    refused(said, 1, "new")


def test_a_place_where_nothing_can_be_written_is_one_line_with_a_log(cli, here):
    cli("accept", here / "project")
    said = cli("export", here / "project", here / "points.csv" / "out", "--format", "png")
    assert said.status in (1, 2)
    refused(said, said.status, "points.csv")
    said = cli("segment", here / "images" / "0.png", "--point", "5,5", "--out", here / "points.csv" / "m.png")
    refused(said, said.status, "points.csv")
    assert said.status in (1, 2)


def test_what_nobody_foresaw_is_one_line_and_the_details_are_in_a_file(cli, here, monkeypatch, tmp_path):
    def fails(*_):
        raise RuntimeError("the moon\nis full")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("napari_wsss.pipeline.run", fails)
    said = cli("run", here / "project")
    refused(said, 1, "the moon is full")
    log = re.search(r"details: (.*\.log)", said.err).group(1)
    assert "Traceback" in Path(log).read_text()
    assert "RuntimeError" in Path(log).read_text()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--point", "500,5"), "500,5"),
        (("--point", "five,5"), "five,5"),
        (("--point", "5,5,2"), "5,5,2"),
        (("--box", "5,5,5,9"), "empty"),
        (("--box", "0,0,500,9"), "500"),
        ((), "--point"),
        (("--point", "5,5,0"), "on the object"),
        (("--point", "5,5", "--plane", "z7"), "z7"),
        (("--point", "5,5", "--model", "oracle"), "oracle"),
    ],
)
def test_a_segment_that_cannot_be_meant_writes_nothing(cli, computed, tmp_path, words, named):
    said = cli("segment", computed / "images" / "0.png", *words, "--out", tmp_path / "m.png")
    assert said.status == 2
    refused(said, 2)
    assert named in said.err or "point" in said.err
    assert not (tmp_path / "m.png").exists()


def test_a_mask_is_png_or_tiff(cli, computed, tmp_path):
    said = cli("segment", computed / "images" / "0.png", "--point", "5,5", "--out", tmp_path / "m.jpg")
    refused(said, 2, "m.jpg", ".png")
