"""Small projects on pictures drawn here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.project import Project
from napari_wsss.types import Provenance

HERE = Path(__file__).parent


def draw(file: Path, seed: int, shape: tuple[int, int] = (40, 30)) -> Path:
    """A grey picture of noise; another seed, another content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(file)
    return file


@pytest.fixture(name="draw")
def draw_fixture():
    return draw


@pytest.fixture
def by() -> Provenance:
    return Provenance("person", "ann", "2026-11-20T10:00:00+00:00", {"tool": "brush"}, "", ("a.png",), "0.1")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures: a.png, b.png, deep/c.png and deep/a.tif."""
    folder = tmp_path / "pictures"
    for seed, name in enumerate(("a.png", "b.png", "deep/c.png", "deep/a.tif")):
        draw(folder / name, seed)
    return folder


@pytest.fixture
def project(tmp_path: Path, pictures: Path):
    with Project.create(tmp_path / "project", ["background", "cell#ff0000", "nucleus"]) as project:
        project.add_images([pictures])
        yield project


@pytest.fixture(scope="session")
def labelling():
    """The module ``labelling.py`` beside this file (also a program that the kill test runs)."""
    spec = importlib.util.spec_from_file_location("labelling", HERE / "labelling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["labelling"] = module
    spec.loader.exec_module(module)
    return module
