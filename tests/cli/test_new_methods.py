"""A CAM method, a refiner and an exporter join as one new file, or from another installed package."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.project import Project
from tests.cli.conftest import ROOT
from tests.toy_projects import make

CAM = '''"""Brightness as an activation map (a test's own)."""

from dataclasses import dataclass

import numpy as np

from napari_wsss.types import Cam


class Bright:
    @dataclass(frozen=True)
    class Params:
        level: float = 0.5

    model = "lamp@1"

    def __init__(self, params, context):
        self.params, self.context = params, context

    def __call__(self, sample, state):
        grey = sample.image.channels.mean(0)
        kinds = self.context.classes.foreground
        seeds = np.where(grey > self.params.level, kinds[0], self.context.classes.background).astype(np.uint16)
        return Cam(np.stack([grey] * len(kinds)), kinds, np.ones(len(kinds), np.float32), seeds)


METHOD = Bright
'''
REFINER = '''"""Everything upside down (a test's own)."""

from dataclasses import dataclass

import numpy as np

from napari_wsss.types import Mask


class Flip:
    @dataclass(frozen=True)
    class Params:
        twice: bool = False

    model = ""

    def __init__(self, params, context):
        self.params = params

    def __call__(self, sample, state):
        labels = sample.pseudo.labels[:: 1 if self.params.twice else -1]
        return Mask(np.where(sample.target.seed > 0, sample.target.seed, labels).astype(np.uint16))


METHOD = Flip
'''
EXPORTER = '''"""Counts of pixels as text (a test's own)."""

from dataclasses import dataclass

import numpy as np


class Counts:
    @dataclass(frozen=True)
    class Params:
        total: bool = False

    def __init__(self, params):
        self.params = params

    def __call__(self, dataset, folder, progress):
        folder.mkdir(parents=True, exist_ok=True)
        for item in dataset.items:
            counts = np.bincount(item.mask().labels.ravel(), minlength=len(dataset.classes) + 1)
            (folder / f"{item.file_stem}.txt").write_text(" ".join(map(str, counts)) + f" {self.params.total}")


METHOD = Counts
'''
FILES = {"cams": ("bright", CAM), "refiners": ("flip", REFINER), "exporters": ("counts", EXPORTER)}


def one_new_file_each(folder: Path) -> Path:
    """A copy of the product with three more files."""
    shutil.copytree(
        ROOT / "napari_wsss", folder / "napari_wsss", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    if (ROOT / "resources").is_dir():
        (folder / "resources").symlink_to(ROOT / "resources")
    for room, (name, text) in FILES.items():
        (folder / "napari_wsss" / room / f"{name}.py").write_text(text)
    return folder


def another_package(folder: Path) -> Path:
    """An installed distribution ``lamps`` whose entry points name its modules."""
    (folder / "lamps").mkdir(parents=True)
    (folder / "lamps" / "__init__.py").write_text("")
    about = folder / "lamps-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lamps\nVersion: 1.0\n")
    lines = []
    for room, (name, text) in FILES.items():
        (folder / "lamps" / f"{name}.py").write_text(text)
        lines.append(f"[napari_wsss.{room}]\n{name} = lamps.{name}\n")
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("joins", [one_new_file_each, another_package])
def test_new_methods_are_shown_and_run(tmp_path, process, joins):
    path = joins(tmp_path / "site")
    # the folder itself comes first on the path of `python -m`
    env = {"PYTHONPATH": f"{path}:{ROOT}"}
    shown = process("run", "--help", env=env, cwd=path)
    assert shown.returncode == 0, shown.stderr
    for name, summary in (
        ("bright", "Brightness as an"),
        ("flip", "Everything upside"),
        ("counts", "Counts of pixels"),
    ):
        assert [line for line in shown.stdout.splitlines() if name in line and summary in line], shown.stdout
    assert "counts" in process("export", "--help", env=env, cwd=path).stdout

    with make(tmp_path) as project:
        folder = project.folder
    use = ("--use", "cam=bright,pseudo=agmm,refine=flip", "--param", "cam.level=0.25", "--param", "flip.twice=1")
    ran = process("run", folder, *use, env=env, cwd=path)
    assert ran.returncode == 0, ran.stderr
    assert "cam: 3 computed" in ran.stdout
    with Project.open(folder) as project:
        cam, maker = project.result("2.png", "cam"), project.result_provenance("2.png", "cam")
        assert np.array_equal(cam.scores[0], project.image("2.png").channels[0])
        assert (maker.name, maker.model, dict(maker.params)) == ("cams/bright", "lamp@1", {"level": 0.25})
        refined = project.result("2.png", "refined").labels
        assert np.array_equal(refined, project.result("2.png", "pseudo").labels)
        assert project.result_provenance("2.png", "refined").name == "refiners/flip"
    words = ("export", folder, tmp_path / "out", "--format", "counts", "--what", "refined", "--param", "total=yes")
    wrote = process(*words, env=env, cwd=path)
    assert wrote.returncode == 0, wrote.stderr
    counts = (tmp_path / "out" / "2.txt").read_text().split()
    assert counts == [*map(str, np.bincount(refined.ravel(), minlength=3)), "True"]


def test_a_broken_package_of_somebody_else_leaves_the_command_line_whole(tmp_path, process):
    about = tmp_path / "site" / "ghost-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ghost\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[napari_wsss.cams]\nghost = ghost_that_is_not_there.cam\n")
    shown = process("run", "--help", env={"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"})
    assert shown.returncode == 0, shown.stderr
    assert "ghost" in shown.stdout
    assert "gradcam" in shown.stdout
    folder = tmp_path / "images"
    folder.mkdir()
    Picture.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(folder / "a.png")
    words = ("init", tmp_path / "P", "--classes", "a,b", "--images", folder)
    assert process(*words, env={"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}).returncode == 0
