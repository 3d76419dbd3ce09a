"""The annotator is honest: it is charged for all it says, and nothing but its answers reaches a method."""

from __future__ import annotations

import inspect
import json
import xml.etree.ElementTree as xml
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.evaluation import TruthFolder
from napari_wsss.project import Project
from napari_wsss.simulation import Oracle, Play, Row, area, simulate, summary
from napari_wsss.simulation.curve import between
from napari_wsss.simulation.drawing_curves import draw_curves
from napari_wsss.training import Training
from napari_wsss.types import Region
from tests.toy_projects import SHAPE, draw, truth

QUICK = Training(segmenter="frozen", steps=12, tile=32, batch=2, held_out=0.0, threads=1, check_every=100)


@pytest.fixture
def setting(tmp_path):
    draw(tmp_path / "images", 5)
    (tmp_path / "truth").mkdir()
    for n in range(5):
        Picture.fromarray(truth(n)).save(tmp_path / "truth" / f"{n}.png")
    with Project.create(tmp_path / "project", ["background", "cell"]) as project:
        project.add_images([tmp_path / "images"])
        yield project, tmp_path / "truth"


def region(box, name="0.png") -> Region:
    return Region(name, box, 1.0, 0.5, 0.5, (1, 2), "", "ripu")


def test_the_annotator_charges_every_pixel_once_and_every_question(setting):
    project, folder = setting
    oracle = Oracle(TruthFolder(folder, project.classes), {f"{n}.png": f"{n}.png" for n in range(5)})
    points = oracle.start(2, seed=1)
    assert sum(map(len, points.values())) == oracle.questions == 2
    assert oracle.seconds == 22.1 * len(points)
    for name, own in points.items():
        assert all(truth(int(name[0]))[p.y, p.x] == p.class_id for p in own)
    labels = np.zeros(SHAPE, np.uint16)
    labels[:2, :3] = 1
    oracle.count("0.png", labels)
    oracle.count("0.png", labels)
    assert oracle.pixels == 6
    labels[2, 0] = 2
    oracle.count("0.png", labels)
    assert oracle.pixels == 7


def test_answers_are_the_truth_of_the_region_and_cost_what_they_hold(setting):
    project, folder = setting
    oracle = Oracle(TruthFolder(folder, project.classes), {"0.png": "0.png"})
    y = np.argwhere(truth(0) == 2)[:, 0].min()
    mixed = region((int(y), 0, int(y) + 6, SHAPE[1]))
    assert np.array_equal(oracle.answer(mixed, "regions"), truth(0)[mixed.box[0] : mixed.box[2]])
    assert oracle.seconds == 12
    assert len(np.unique(oracle.answer(mixed, "class"))) == 1
    assert oracle.seconds == 14
    assert (oracle.answer(mixed, "points") > 0).sum() == 1
    assert oracle.questions == 3


def test_a_play_counts_its_budget_and_is_not_played_twice(setting, monkeypatch):
    project, folder = setting
    before = project.labels("0.png")
    play = Play(("ripu", "random"), budget=0.1, rounds=2, seeds=2, training=QUICK, test=("3.png", "4.png"), reach=2)
    rows = simulate(project, folder, play, device="cpu")
    plays = {(r.strategy, r.seed) for r in rows}
    assert plays == {(s, n) for s in ("ceiling", "ripu", "random") for n in (0, 1)}
    for strategy, seed in plays - {("ceiling", 0), ("ceiling", 1)}:
        mine = [r for r in rows if (r.strategy, r.seed) == (strategy, seed)]
        assert [r.round for r in mine] == [0, 1, 2]
        assert 0 < mine[0].share < mine[1].share < mine[2].share <= 0.1
        assert mine[2].share > 0.095
        assert mine[2].questions > mine[1].questions > mine[0].questions == 2
    assert project.labels("0.png") == before or not project.labels("0.png")
    assert not list((project.folder / "simulations").rglob("scratch-*"))

    def refused(*_, **__):
        raise AssertionError("played twice")

    monkeypatch.setattr("napari_wsss.simulation.play._fit_and_score", refused)
    assert simulate(project, folder, play, device="cpu") == rows


def test_the_label_model_alone_learns_from_every_answer(setting):
    project, folder = setting
    play = Play(("ripu",), budget=0.1, rounds=2, seeds=1, training=None, test=("4.png",), reach=2)
    rows = simulate(project, folder, play, device="cpu")
    ceiling, first, *_, last = (r.miou for r in rows)
    assert ceiling > 0.9
    assert last > max(0.85, first)
    assert not list(project.folder.glob("runs/*"))
    assert replace(play, training=QUICK).signature != play.signature


def test_no_method_reaches_the_truth(setting, monkeypatch):
    """The truth raises when anything but the annotator and the scoring asks for it."""
    project, folder = setting
    read = TruthFolder.mask
    allowed = ("simulation/oracle.py", "simulation/play.py")
    asked: set[str] = set()

    def guarded(self, name):
        callers = [frame.filename.replace("\\", "/") for frame in inspect.stack()[1:]]
        rooms = [c.split("napari_wsss/")[-1] for c in callers if "/napari_wsss/" in c]
        asked.add(rooms[0])
        if not rooms[0].startswith(allowed) or any(r.startswith(("training", "prediction", "active")) for r in rooms):
            raise AssertionError(f"the truth was read by {rooms}")
        return read(self, name)

    monkeypatch.setattr(TruthFolder, "mask", guarded)
    play = Play(("ripu",), budget=0.05, rounds=1, seeds=1, training=QUICK, test=("4.png",), reach=2)
    assert simulate(project, folder, play, device="cpu")
    assert asked == set(allowed)


def test_truth_that_was_not_asked_for_changes_no_choice(setting, tmp_path, monkeypatch):
    """Poisoned wherever nobody asked before the first batch: the same regions are picked."""
    from napari_wsss.simulation import play as room

    project, folder = setting
    picked: list[list[tuple]] = []
    ranked = room.rank

    def watched(*arguments, **options):
        found = ranked(*arguments, **options)
        picked.append([(r.image, r.box, r.score) for r in found.regions])
        return found

    monkeypatch.setattr(room, "rank", watched)
    play = Play(("ripu",), budget=0.05, rounds=1, seeds=1, training=QUICK, test=("4.png",), reach=2)
    simulate(project, folder, play, device="cpu")
    first = picked[0]
    picked.clear()
    started = Oracle.start
    points = Oracle(TruthFolder(folder, project.classes), {f"{n}.png": f"{n}.png" for n in range(4)}).start(2, 0)
    monkeypatch.setattr(Oracle, "start", lambda self, classes, seed: started(self, classes, seed) and points)
    (tmp_path / "poisoned").mkdir()
    for n in range(5):
        lie = 3 - truth(n)
        Picture.fromarray(lie).save(tmp_path / "poisoned" / f"{n}.png")
    simulate(project, tmp_path / "poisoned", replace(play, rounds=2, budget=0.1), device="cpu")
    assert picked[0] == first


# --------------------------------------------------------------------------- curves


def rows(strategy: str, values, seed=0) -> list[Row]:
    return [
        Row(strategy, "regions", seed, n, 100 * 2**n, 0.01 * 2**n, n + 1, 10.0 * (n + 1), v, 1.0)
        for n, v in enumerate(values)
    ]


def test_areas_are_means_along_the_budget():
    assert area([1, 10, 100], [0.5, 0.5, 0.5]) == pytest.approx(0.5)
    assert area([0, 10, 40], [0, 1, 1]) == pytest.approx(0.875)
    assert area([0, 20, 80], [0, 1, 1]) == pytest.approx(0.875)
    assert between(0.6, 0.5, 0.7) == pytest.approx(0.5)
    assert between(0.6, 0.5, 0.5) is None
    for budgets, values in (([1, 1], [0, 1]), ([1], [0])):
        with pytest.raises(ValueError, match="two rising budgets"):
            area(budgets, values)


def test_curves_are_summed_over_seeds_and_drawn(tmp_path):
    table = [
        *rows("ripu", (0.4, 0.6, 0.7)),
        *rows("ripu", (0.5, 0.6, 0.8), 1),
        *rows("random", (0.4, 0.5, 0.6)),
        Row("ceiling", "masks", 0, 0, 0, 0.0, 0, 0.0, 0.85, 1.0),
    ]
    curves = summary(table)
    ripu = curves[0]
    assert (ripu.strategy, ripu.seeds) == ("ripu", 2)
    assert ripu.miou == pytest.approx((0.45, 0.6, 0.75))
    assert ripu.spread == pytest.approx((0.05, 0.0, 0.05))
    assert ripu.area > curves[1].area
    assert curves[2].area is None
    json.dumps([asdict(c) for c in curves], allow_nan=False)
    draw_curves(curves, "pixels", tmp_path / "c.svg")
    tree = xml.parse(tmp_path / "c.svg").getroot()
    assert len([e for e in tree.iter() if e.tag.endswith("polyline")]) == 2
    with Picture.open(tmp_path / "c.png") as drawn:
        assert drawn.size == (640, 400)
    with pytest.raises(ValueError, match="no curve"):
        draw_curves(curves[2:], "pixels", tmp_path / "d.svg")
