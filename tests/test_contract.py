"""Nothing is faked: swapped hints swap masks, shuffled tags teach nothing, a turned image gives a turned mask.

The checklist of methods.md H (a) to (e) and (h), on toys, through the whole pipeline.
"""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from scipy import ndimage

import napari_wsss
from napari_wsss import registry
from napari_wsss.pipeline import Plan, run
from napari_wsss.project import Project
from napari_wsss.types import Features, Point, Tags
from tests.toy_projects import BY, QUICK, accuracy, clicks, make, picture, plan, truth

CLASSES = ["background", "cell"]


def refined(project: Project) -> dict[str, np.ndarray]:
    return {r.name: project.result(r.name, "refined").labels for r in project.records()}


def test_exchanged_hints_exchange_the_masks(tmp_path):
    masks = []
    for name, other in (("a", False), ("b", True)):
        with make(tmp_path / name, clicked=0, classes=("one", "two")) as project:
            for n in range(2):
                marks = [Point(p.y, p.x, 3 - p.class_id if other else p.class_id) for p in clicks(n)]
                project.add_marks(f"{n}.png", marks, BY)
            run(project, plan())
            masks.append(refined(project))
    for name in masks[0]:
        assert (masks[0][name] == 3 - masks[1][name]).mean() > 0.95


def _textures(folder: Path, tags_of) -> Project:
    """Twelve cloudy images, half of them with a rough square; ``tags_of(n)`` says whether 'rough' is tagged."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "images").mkdir()
    for n in range(12):
        image = ndimage.gaussian_filter(rng.normal(0, 1, (48, 48)), 3)
        image *= 40 / image.std()
        if n % 2:
            image[_square(n)] = rng.normal(0, 40, (20, 20))
        Picture.fromarray((image + 128).clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{n}.png")
    project = Project.create(folder / "project", ["background", "rough"])
    project.add_images([folder / "images"])
    for n in range(12):
        project.set_tags(f"{n}.png", Tags(frozenset({1, 2} if tags_of(n) else {1}), frozenset(), True), BY)
    return project


def _square(n: int) -> tuple[slice, slice]:
    y, x = np.random.default_rng(n).integers(2, 26, 2).tolist()
    return slice(y, y + 20), slice(x, x + 20)


def _told(project: Project) -> float:
    """How the maps of 'rough' go with the squares: mean correlation over the images that have both."""
    scores = []
    for n in range(1, 12, 2):
        mask = np.zeros((48, 48), bool)
        mask[_square(n)] = True
        cam = project.result(f"{n}.png", "cam")
        if cam is not None and len(cam.scores):
            scores.append(np.corrcoef(cam.scores[0].ravel(), mask.ravel())[0, 1])
    return float(np.mean(scores))


def test_tags_alone_find_the_object_and_shuffled_tags_do_not(tmp_path):
    scores = {}
    for name, tags_of in (("right", lambda n: n % 2), ("shuffled", lambda n: n // 2 % 2)):
        with _textures(tmp_path / name, tags_of) as project:
            run(project, Plan(stages=("cam",), device="cpu"))
            scores[name] = _told(project)
    assert scores["right"] > 0.2
    assert scores["shuffled"] < 0.1


def test_a_turned_image_gives_the_turned_mask(tmp_path):
    shape = (48, 64)
    masks = []
    for name, turns in (("straight", 0), ("turned", 1)):
        folder = tmp_path / name
        folder.mkdir()
        with Project.create(folder / "project", CLASSES) as project:
            for n in range(2):
                Picture.fromarray(np.rot90(picture(n, shape), turns)).save(folder / f"{n}.png")
                project.add_images([folder / f"{n}.png"])
                marks = [Point(shape[1] - 1 - p.x, p.y, p.class_id) if turns else p for p in clicks(n, shape)]
                project.add_marks(f"{n}.png", marks, BY)
            run(project, plan())
            masks.append({n: np.rot90(m, -turns) for n, m in refined(project).items()})
    for n in range(2):
        assert (masks[0][f"{n}.png"] == masks[1][f"{n}.png"]).mean() > 0.98
        assert accuracy(masks[1][f"{n}.png"], truth(n, shape)) > 0.9


@pytest.mark.parametrize("method", ["pooled", "agmm"])
def test_a_blank_image_is_answered_only_where_a_person_said_it(tmp_path, method):
    with make(tmp_path) as project:
        Picture.fromarray(np.full((48, 56), 90, np.uint8)).save(tmp_path / "blank.png")
        project.add_images([tmp_path / "blank.png"])
        project.add_marks("blank.png", [Point(10, 10, 2), Point(40, 40, 1)], BY)
        params = QUICK if method == "pooled" else {}
        run(project, plan(use={"pseudo": method}, params=params))
        pseudo, labels = project.result("blank.png", "pseudo"), project.result("blank.png", "refined").labels
        clicked = np.zeros(labels.shape, bool)
        clicked[9:12, 9:12] = clicked[39:42, 39:42] = True
        assert not labels[~clicked].any()
        assert not pseudo.labels[~clicked].any()
        assert (labels[10, 10], labels[40, 40]) == (2, 1)


class Blind:
    """An encoder that sees nothing: noise in the place of features."""

    @dataclasses.dataclass(frozen=True)
    class Params:
        pass

    model = ""

    def __init__(self, params, context):
        self.params = params

    def encode(self, image):
        seed = int(image.key[:8], 16)
        return Features(np.random.default_rng(seed).normal(0, 1, (6, *image.shape)).astype(np.float32), 1.0)


def test_features_that_tell_nothing_give_chance(tmp_path, monkeypatch):
    load, module_of = registry.load, registry.module_of
    monkeypatch.setattr(registry, "load", lambda kind, name: Blind if name == "blind" else load(kind, name))
    monkeypatch.setattr(registry, "module_of", lambda kind, name: "" if name == "blind" else module_of(kind, name))
    scores = {}
    with make(tmp_path) as project:
        for encoder in ("filters", "blind"):
            run(project, plan(encoder=encoder, stages=("pseudo",)))
            labels = project.result("2.png", "pseudo").probabilities.argmax(0) + 1  # also where it would not answer
            shares = [(labels[truth(2) == k] == k).mean() for k in (1, 2)]
            scores[encoder] = float(np.mean(shares))
    assert scores["filters"] > 0.8
    assert 0.25 < scores["blind"] < 0.6


def test_no_method_may_read_the_truth(tmp_path, monkeypatch):
    """A poisoned truth: whoever asks for it in a run dies of it."""
    from napari_wsss.evaluation import truth as reader

    def poisoned(*_, **__):
        raise AssertionError("the truth was read in a run")

    monkeypatch.setattr(reader.TruthFolder, "__init__", poisoned)
    monkeypatch.setattr(reader, "_read", poisoned)
    with make(tmp_path) as project:
        (project.folder / "masks_truth").mkdir()
        run(project, Plan(params=QUICK, device="cpu"))
        assert len(project.result_keys("refined")) == 3


def test_only_the_doors_of_evaluation_know_the_truth():
    package = Path(napari_wsss.__file__).parent
    allowed = (
        "assess.py",
        "bench",
        "demo",
        "evaluation",
        "cli",
        "report",
        "report.py",
        "pictures.py",
        "pretraining",
        "simulation",
    )
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        if place.parts[0] in allowed or place.name.startswith("report"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        doors = ("napari_wsss.evaluation", "napari_wsss.simulation")  # the simulated annotator knows the truth too
        assert not [m for m in modules if m.startswith(doors)], place


def test_a_class_that_complete_tags_lack_never_appears(tmp_path):
    with make(tmp_path) as project:
        project.set_tags("2.png", Tags(frozenset(), frozenset(), True), BY)
        project.set_tags("0.png", Tags(frozenset(), frozenset({1}), False), BY)
        run(project, plan())
        assert (refined(project)["2.png"] == 1).all()
        clicked = refined(project)["0.png"] == 1
        assert clicked.sum() <= 8 * 9  # where somebody clicked it nevertheless


def test_a_project_without_a_background_class_works(tmp_path):
    with make(tmp_path, classes=("sea", "island")) as project:
        project.set_tags("2.png", Tags(frozenset({2}), frozenset(), True), BY)
        report = run(project, Plan(params=QUICK, device="cpu"))
        assert not report.failed
        masks = refined(project)
        assert (masks["2.png"] == 2).all()
        assert accuracy(masks["0.png"], truth(0)) > 0.9
