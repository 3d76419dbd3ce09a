"""The demo as a stranger runs it: without a display, without a network, into a folder that it alone owns."""

from __future__ import annotations

import csv
import json
import re
import socket

import numpy as np
import pytest
import rasterio
from PIL import Image as Picture

from napari_wsss.cli import main, showing
from napari_wsss.demo import THEMES, run_demo
from napari_wsss.demo.folder import MARK, DemoFolder
from napari_wsss.errors import UsageError
from napari_wsss.labelling import import_labels
from napari_wsss.pipeline import by_person
from napari_wsss.project import Project
from napari_wsss.types import Tags

BY_NAME = {theme.name: theme for theme in THEMES}
DRAWN = ("nuclei", "land_cover", "tiles")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*address):
        raise AssertionError(f"the demo went to the network: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def written(name, folder):
    images, truth = folder / "images", folder / "truth"
    images.mkdir(parents=True)
    truth.mkdir()
    BY_NAME[name].write(images, truth)
    return images, truth


def rows(file):
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


# --------------------------------------------------------------------------- the whole of it


@pytest.mark.usefixtures("no_network")
def test_a_theme_leaves_project_export_pictures_and_report(tmp_path):
    said = []
    outcome = run_demo(tmp_path / "out", said.append, [BY_NAME["land_cover"]])
    place = tmp_path / "out" / "land_cover"
    with Project.open(outcome.projects["land_cover"]) as project:
        records = project.records()
        assert [r.state for r in records] == ["accepted"] * 3
        assert project.source("valley_a").georeference is not None
        assert not project.check()
    for form in BY_NAME["land_cover"].exports:
        manifest = json.loads((place / "exports" / form / "manifest.json").read_text())
        assert len(manifest["images"]) == 3
    with rasterio.open(next((place / "exports" / "geotiff").rglob("valley_b.tif"))) as file:
        assert file.crs.to_epsg() == 32632
        assert file.res == (1.0, 1.0)
    full = (place / "report.html").read_text()
    assert full.count("<figure") >= 3 * 4
    assert "GeoTIFF" in outcome.page.read_text()
    assert not re.search(r'(src|href)="https?://', full + outcome.page.read_text())
    with Picture.open(tmp_path / "out" / "pictures" / "land_cover.png") as sheet:
        assert sheet.size == (3 * 300 + 2 * 6, 30 + 3 * (300 + 6))
    text = "\n".join(said)
    assert "pooled" in text
    assert "cpu" in text or "cuda" in text or "mps" in text
    refined = float(re.search(r"refined (0\.\d+)", text).group(1))
    assert refined > 0.75  # measured 0.87; the drawing is easy, a broken stage is not


@pytest.mark.usefixtures("no_network")
def test_the_command_runs_headless_and_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("napari_wsss.demo.work.run_demo.__defaults__", ([BY_NAME["tissue"]], "auto", lambda *a: None))
    assert main(["demo", "--headless", "--out", str(tmp_path / "out")]) == 0
    mask = next((tmp_path / "out" / "tissue" / "exports" / "png").rglob("ihc.png"))
    first = np.asarray(Picture.open(mask)).copy()
    assert main(["demo", "--headless", "--out", str(tmp_path / "out")]) == 0
    assert np.array_equal(first, np.asarray(Picture.open(mask)))
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out


# --------------------------------------------------------------------------- hints


@pytest.mark.parametrize("theme", THEMES, ids=lambda t: t.name)
def test_hints_import_and_every_image_shown_is_there(theme, tmp_path):
    images, _ = written(theme.name, tmp_path)
    with Project.create(tmp_path / "project", theme.classes) as project:
        added = project.add_images([images])
        assert not added.unreadable
        found = import_labels(project, **theme.hints())
        assert all(i.images and not i.left_out for i in found)
        names = {r.name.rpartition(".")[0] for r in project.records()}
    assert set(theme.shown) <= names


def test_hints_lie_on_what_they_name(tmp_path):
    for name in DRAWN:
        _, truth = written(name, tmp_path / name)
        classes = [c.partition("#")[0] for c in BY_NAME[name].classes]
        hints = BY_NAME[name].hints()
        for file in hints["scribbles"].iterdir() if "scribbles" in hints else ():
            strokes, true = (np.asarray(Picture.open(p)) for p in (file, truth / "masks" / file.name))
            assert (strokes[strokes > 0] == true[strokes > 0]).all(), file.name
        for row in rows(hints["points"]) if "points" in hints else ():
            true = np.asarray(Picture.open(truth / "masks" / f"{row['image']}.png"))
            assert classes[true[int(row["y"]), int(row["x"])] - 1] == row["class"], row


def test_tags_say_what_is_in_the_tiles(tmp_path):
    _, truth = written("tiles", tmp_path)
    classes = [c.partition("#")[0] for c in BY_NAME["tiles"].classes]
    told = {}
    for row in rows(BY_NAME["tiles"].hints()["tags"]):
        told.setdefault(row["image"], set()).add(row["tag"])
    for file in (truth / "masks").iterdir():
        true = np.asarray(Picture.open(file))
        seen = {classes[k - 1] for k in range(2, 5) if np.mean(true == k) >= 0.015}
        assert told[file.stem] == seen | {"!*"}


# --------------------------------------------------------------------------- the folder


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        DemoFolder(tmp_path).claim()
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("where", ["letter.txt", "tissue/letter.txt"])
def test_what_was_put_beside_a_demo_stays(tmp_path, where):
    folder = DemoFolder(tmp_path / "out")
    folder.claim()
    folder.begin("tissue")
    (tmp_path / "out" / where).write_text("dear")
    with pytest.raises(UsageError, match=r"letter\.txt"):
        DemoFolder(tmp_path / "out").claim()
    assert (tmp_path / "out" / where).exists()


@pytest.mark.parametrize("worked", [False, True])
def test_a_demo_that_somebody_worked_on_stays(tmp_path, worked):
    folder = DemoFolder(tmp_path / "out")
    folder.claim()
    place = folder.begin("tissue")
    (place / "images").mkdir()
    BY_NAME["tissue"].write(place / "images", place)
    with Project.create(place / "project", ("a", "b")) as project:
        project.add_images([place / "images"])
        folder.finish("tissue", project)
        if worked:
            project.set_tags("ihc", Tags(frozenset({1})), by_person("a test"))
    if worked:
        with pytest.raises(UsageError, match="since the demo"):
            DemoFolder(tmp_path / "out").claim()
        assert (place / "project" / "project.toml").exists()
    else:
        DemoFolder(tmp_path / "out").claim()
        assert [p.name for p in (tmp_path / "out").iterdir()] == [MARK]


def test_a_forged_mark_removes_nothing_outside(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARK).write_text(json.dumps({"../precious": {}}))
    with pytest.raises(UsageError, match="cannot be understood"):
        DemoFolder(tmp_path / "out").claim()
    assert (tmp_path / "precious").exists()


# --------------------------------------------------------------------------- the window


def test_without_a_display_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(showing, "_has_display", lambda: False)
    showing._open_window(tmp_path)
    assert capsys.readouterr().out.count("\n") == 1


def test_without_napari_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(showing, "_has_display", lambda: True)
    monkeypatch.setattr(showing.importlib.util, "find_spec", lambda name: None)
    showing._open_window(tmp_path)
    assert "pip install 'napari-wsss[gui]'" in capsys.readouterr().out
