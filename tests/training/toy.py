"""A toy on which colour is useless: discs and rings of random brightness on noise, fully or sparsely labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_wsss.project import Project
from napari_wsss.training.settings import Training
from napari_wsss.types import Mask, Point
from tests.toy_projects import BY, draw, truth

QUICK = Training(
    segmenter="plain",
    steps=6,
    tile=32,
    batch=2,
    check_every=3,
    save_every=1e9,
    held_out=0.0,
    rate=1e-2,
    flips="all",
    threads=1,
    complete=False,
)


def accepted(folder: Path, count: int = 6, accept: int = 5) -> Project:
    """Bright discs; the first images are accepted as the truth has them."""
    draw(folder / "images", count)
    project = Project.create(folder / "project", ["background", "cell"])
    project.add_images([folder / "images"])
    for n in range(accept):
        project.accept(f"{n}.png", Mask(truth(n).astype(np.uint16)), BY)
    return project


def squares_and_discs(folder: Path, count: int, shuffled: bool = False) -> tuple[Project, dict[str, np.ndarray]]:
    """Squares (class 2) and discs (class 3) of any brightness; ``shuffled`` gives the masks to other images."""
    folder.joinpath("images").mkdir(parents=True)
    truths: dict[str, np.ndarray] = {}
    for n in range(count):
        rng = np.random.default_rng(n)
        labels, values = np.ones((64, 64), np.uint16), rng.normal(100, 6, (64, 64))
        for k, (y, x) in zip(rng.permutation([2, 3, 2, 3]), ((16, 16), (16, 48), (48, 16), (48, 48)), strict=True):
            rows, columns = np.ogrid[:64, :64]
            far = np.maximum(abs(rows - y), abs(columns - x)) if k == 2 else np.hypot(rows - y, columns - x)
            inside = far <= (9 if k == 2 else 10.5)
            labels[inside] = k
            values[inside] += rng.choice([-60, 60]) + rng.normal(0, 6)
        Picture.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{n:02}.png")
        truths[f"{n:02}.png"] = labels
    project = Project.create(folder / "project", ["ground", "square", "disc"])
    project.add_images([folder / "images"])
    names = list(truths)
    given = names[7:] + names[:7] if shuffled else names
    for name, source in zip(names, given, strict=True):
        project.accept(name, Mask(truths[source]), BY)
    return project, truths


def clicked(folder: Path) -> Project:
    """One click on the cell and none elsewhere: nobody said where the background is."""
    draw(folder / "images", 2)
    project = Project.create(folder / "project", ["background", "cell"])
    project.add_images([folder / "images"])
    inside = np.argwhere(truth(0) == 2).mean(0).round().astype(int).tolist()
    project.add_marks("0.png", [Point(inside[0], inside[1], 2)], BY)
    return project
