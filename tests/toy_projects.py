"""Small projects drawn here: bright discs on a dark, noisy ground, with a few clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_wsss.pipeline import Plan
from napari_wsss.project import Project
from napari_wsss.types import Point, Provenance

BY = Provenance("person", "ann", "2026-11-20T10:00:00Z", version="0.1")
SHAPE = (48, 56)
QUICK = {"pseudo": {"size": "small", "position": "no"}}  # asks no held-out images: a second less
QUICK_OPTIONS = ("--param", "pseudo.size=small", "--param", "pseudo.position=no")
MASKS = ("pseudo", "refine")


def truth(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Class ids: 2 in a disc, 1 around it."""
    rng = np.random.default_rng(seed)
    y, x = (int(rng.integers(16, n - 16)) for n in shape)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.where((rows - y) ** 2 + (columns - x) ** 2 <= 100, 2, 1).astype(np.uint8)


def picture(seed: int, shape: tuple[int, int] = SHAPE, channels: int = 1) -> np.ndarray:
    """uint8 (h, w) or (h, w, channels)."""
    ids = truth(seed, shape)
    noise = np.random.default_rng(seed + 1000).normal(0, 8, (*shape, channels))
    values = np.where(ids == 2, 170, 60)[..., None] + noise
    return values.clip(0, 255).astype(np.uint8).squeeze()


def draw(folder: Path, count: int = 3, channels: int = 1, first: int = 0) -> Path:
    """A folder with ``0.png``, ``1.png``, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + count):
        Picture.fromarray(picture(n, channels=channels)).save(folder / f"{n}.png")
    return folder


def clicks(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[Point, ...]:
    """Three clicks on the disc, eight around it."""
    inside = np.argwhere(truth(seed, shape) == 2)
    y, x = inside.mean(0).round().astype(int).tolist()
    around = [(y - 13, x), (y + 13, x), (y, x - 13), (y, x + 13), *((a, b) for a in (2, -3) for b in (2, -3))]
    outside = [(a % shape[0], b % shape[1]) for a, b in around]
    return (*(Point(y + d, x - d, 2) for d in (-5, 0, 5)), *(Point(a, b, 1) for a, b in outside))


def points_csv(file: Path, seeds, classes: tuple[str, str] = ("background", "cell")) -> Path:
    rows = [f"{n},{p.y},{p.x},{classes[p.class_id - 1]}\n" for n in seeds for p in clicks(n)]
    file.write_text("image,y,x,class\n" + "".join(rows))
    return file


def make(folder: Path, count: int = 3, clicked: int = 2, classes=("background", "cell"), **settings) -> Project:
    """A project whose first images are clicked."""
    draw(folder / "images", count)
    project = Project.create(folder / "project", list(classes), **settings)
    project.add_images([folder / "images"])
    for n in range(clicked):
        project.add_marks(f"{n}.png", clicks(n), BY)
    return project


def plan(**changes) -> Plan:
    return Plan(**{"stages": MASKS, "params": QUICK, "device": "cpu", **changes})


def accuracy(labels: np.ndarray, ids: np.ndarray) -> float:
    return float((labels == ids).mean())
