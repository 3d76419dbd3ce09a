"""The commands on small projects: what they print, write and leave as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from napari_wsss.project import Project
from tests.toy_projects import QUICK_OPTIONS, accuracy, clicks, draw, picture, points_csv, truth


def test_every_level_has_help(cli):
    for words in ((), ("init",), ("add",), ("label",), ("run",), ("accept",), ("segment",), ("export",), ("evaluate",)):
        said = cli(*words, "--help")
        assert said.status == 0
        assert "usage: napari-wsss" in said.out
    for words in (("models",), ("models", "list"), ("models", "fetch"), ("models", "verify"), ("models", "path")):
        assert cli(*words, "--help").status == 0


def test_help_of_run_names_every_method_and_the_defaults(cli):
    out = cli("run", "--help").out
    for name in (
        "head",
        "gradcam",
        "clip-es",
        "excel",
        "pooled",
        "agmm",
        "walker",
        "sam",
        "par",
        "filters",
        "backbone",
    ):
        assert any(line.strip().startswith(name) for line in out.splitlines()), name
    assert sum("(default)" in line for line in out.splitlines()) == 4


def test_the_same_file_twice_changes_nothing(cli, tmp_path):
    draw(tmp_path / "images", 2)
    cli("init", tmp_path / "P", "--classes", "background,cell", "--images", tmp_path / "images")
    points_csv(tmp_path / "points.csv", [0, 1])
    (tmp_path / "tags.csv").write_text("image,tag\n0,cell\n1,!cell\n1,!*\n")
    (tmp_path / "boxes.csv").write_text("image,y0,x0,y1,x1,class\n0,0,0,9,9,cell\n")
    strokes = tmp_path / "scribbles"
    strokes.mkdir()
    Picture.fromarray(np.where(np.eye(48, 56) > 0, 2, 0).astype(np.uint8)).save(strokes / "1.png")
    words = [f"--{kind}" for kind in ("points", "tags", "boxes", "scribbles")]
    files = [tmp_path / f for f in ("points.csv", "tags.csv", "boxes.csv", "scribbles")]
    options = [w for pair in zip(words, files) for w in pair]
    assert "changed" in cli("label", tmp_path / "P", *options).out
    before = _labels(tmp_path / "P")
    again = cli("label", tmp_path / "P", *options)
    assert again.status == 0
    assert again.out.count("nothing new") == 4
    assert _labels(tmp_path / "P") == before
    with (tmp_path / "points.csv").open("a") as more:
        more.write("0,3,9,background\n")
    cli("label", tmp_path / "P", "--points", tmp_path / "points.csv")
    after = _labels(tmp_path / "P")
    assert len(after["0.png"][1]) == len(before["0.png"][1]) + 1
    assert after["1.png"] == before["1.png"]


def _labels(folder):
    with Project.open(folder) as project:
        found = {r.name: project.labels(r.name) for r in project.records()}
        return {n: (f.tags, [repr(m) for m in f.marks], project.record(n).labels_digest) for n, f in found.items()}


def test_adding_twice_and_copying(cli, tmp_path):
    folder = draw(tmp_path / "images", 2)
    cli("init", tmp_path / "P", "--classes", "a,b", "--images", folder, "--copy")
    assert "2 images were in the project already" in cli("add", tmp_path / "P", folder).out
    for file in folder.iterdir():
        file.unlink()
    with Project.open(tmp_path / "P") as project:
        assert project.image("0").shape == (48, 56)


def test_run_reports_and_a_second_run_says_that_all_is_done(cli, here):
    said = cli("run", here / "project", *QUICK_OPTIONS, "--json")
    report = json.loads(said.out)
    assert said.status == 0
    assert report["computed"] == {"cam": [], "pseudo": [], "refine": []}
    assert report["up_to_date"]["refine"] == 3
    plain = cli("run", here / "project", *QUICK_OPTIONS)
    assert "refine: 0 computed, 3 up to date" in plain.out
    assert [line for line in plain.err.splitlines() if line.startswith("cam skipped")] == [plain.err.strip()]


def test_accept_export_and_evaluate(cli, here):
    assert "accepted 3 refined masks" in cli("accept", here / "project").out
    assert "3 accepted masks as png" in cli("export", here / "project", here / "out", "--format", "png").out
    manifest = json.loads((here / "out" / "manifest.json").read_text())
    assert [entry["image"] for entry in manifest["images"]] == ["0.png", "1.png", "2.png"]
    with Project.open(here / "project") as project:
        mask = project.accepted("0.png").labels
    assert (np.asarray(Picture.open(here / "out" / "masks" / "0.png")) == mask).all()
    truths = here / "truth"
    truths.mkdir()
    for n in range(3):
        Picture.fromarray(truth(n)).save(truths / f"{n}.png")
    said = cli("evaluate", here / "project", "--truth", truths, "--json")
    assert said.status == 0
    found = json.loads(said.out)
    assert set(found) == {"pseudo", "refined", "accepted"}
    again = cli("evaluate", here / "project", "--truth", here / "out", "--what", "accepted", "--json")
    assert json.loads(again.out)["accepted"]["miou"] == pytest.approx(1.0)
    plain = cli("evaluate", here / "project", "--truth", truths, "--what", "refined", "--without-hints")
    assert plain.out.startswith("refined\n")


def test_accepting_a_box(cli, here):
    said = cli("accept", here / "project", "--images", "0", "--box", "0,0,9,9")
    assert "in box 0,0,9,9" in said.out
    with Project.open(here / "project") as project:
        mask = project.accepted("0.png").labels
    assert mask[:9, :9].all()
    assert mask.sum() == mask[:9, :9].sum()


def test_models_are_listed_with_their_size_and_licence(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    listed = json.loads(cli("models", "list", "--json").out)
    assert all({"name", "size", "licence", "good_for", "present"} <= m.keys() for m in listed["models"])
    assert [m["name"] for m in listed["models"] if m["present"]] == ["embedded"]
    assert cli("models", "verify").out.startswith("embedded: ")


# --------------------------------------------------------------------------- one object by clicks


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_segment_writes_the_object_under_the_click(cli, computed, tmp_path, ending):
    y, x = np.argwhere(truth(0) == 2).mean(0).round().astype(int).tolist()
    out = tmp_path / "deep" / f"mask{ending}"
    said = cli("segment", computed / "images" / "0.png", "--point", f"{y},{x}", "--point", "2,2,0", "--out", out)
    assert said.status == 0, said.err
    mask = tifffile.imread(out) if ending == ".tif" else np.asarray(Picture.open(out))
    assert set(np.unique(mask)) == {0, 1}
    assert f"{mask.sum()} pixels" in said.out
    assert ((mask == 1) == (truth(0) == 2)).mean() > 0.97


def test_a_box_alone_is_enough(cli, computed, tmp_path):
    rows, columns = np.nonzero(truth(0) == 2)
    box = f"{rows.min()},{columns.min()},{rows.max() + 1},{columns.max() + 1}"
    said = cli("segment", computed / "images" / "0.png", "--box", box, "--out", tmp_path / "m.png")
    assert said.status == 0, said.err
    mask = np.asarray(Picture.open(tmp_path / "m.png"))
    assert ((mask == 1) == (truth(0) == 2)).mean() > 0.95


# --------------------------------------------------------------------------- stacks


def test_the_planes_of_a_stack_are_images_and_their_masks_one_file(cli, tmp_path):
    planes = np.stack([picture(n) for n in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", planes, metadata={"axes": "ZYX"}, imagej=True)
    cli("init", tmp_path / "P", "--classes", "background,cell", "--images", tmp_path / "stack.tif")
    with Project.open(tmp_path / "P") as project:
        assert [r.name for r in project.records()] == ["stack.tif@z0", "stack.tif@z1", "stack.tif@z2"]
    names = ("", "background", "cell")
    rows = [f"stack,{p.y},{p.x},{names[p.class_id]},{z}\n" for z in (0, 2) for p in clicks(z)]
    (tmp_path / "p.csv").write_text("image,y,x,class,z\n" + "".join(rows))
    assert cli("label", tmp_path / "P", "--points", tmp_path / "p.csv").status == 0
    assert cli("run", tmp_path / "P", *QUICK_OPTIONS).status == 0
    assert cli("accept", tmp_path / "P").status == 0
    assert cli("export", tmp_path / "P", tmp_path / "out", "--format", "png").status == 0
    with tifffile.TiffFile(tmp_path / "out" / "masks" / "stack.tif") as file:
        assert [page.description for page in file.pages] == ["z0", "z1", "z2"]
        masks = file.asarray()
    assert masks.shape == planes.shape
    assert [p.name for p in (tmp_path / "out" / "masks").iterdir()] == ["stack.tif"]
    for z in range(3):
        assert accuracy(masks[z], truth(z)) > 0.9
    out = tmp_path / "m.png"
    y, x = np.argwhere(truth(2) == 2)[50].tolist()
    words = ("--plane", "z2", "--point", f"{y},{x}", "--point", "2,2,0", "--out", out)
    assert cli("segment", tmp_path / "stack.tif", *words).status == 0
    assert ((np.asarray(Picture.open(out)) == 1) == (truth(2) == 2)).mean() > 0.97
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("image,y,x,class,z\nstack,5,5,cell,9\n")
    said = cli("label", tmp_path / "P", "--points", wrong)
    assert said.status in (1, 2)
    assert "line 2" in said.err
