"""The reference of ``bench loop``: a random forest on multiscale filter features.

The recipe that people use today, with scikit-image and scikit-learn: intensity, edges and texture at scales 1
to 16, a forest of 100 trees of depth 20 with balanced classes, taught by every labelled point, or by at most
1,500 stroked pixels an image, and asked about every pixel. A job of its own process, as the product's side is.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from skimage.io import imread
from sklearn.ensemble import RandomForestClassifier

from napari_wsss.bench._basic_features import basic_features

_STROKED = 1500  # pixels of an image
_HELD = 64  # images whose features stay in memory between learning and answering

Pixels = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]  # rows, columns, class ids
FeaturesOf = Callable[[Path], NDArray[np.float32]]


def main(task: dict[str, Any]) -> None:
    """Learn from a task's ``images`` by ``points`` or ``scribbles``; label ``asked`` (default: the same) into ``out``.

    Further keys: ``classes``, ``threads``.
    """
    images = [Path(p) for p in task["images"]]
    threads = int(task["threads"])

    @lru_cache(maxsize=_HELD)
    def features(path: Path) -> NDArray[np.float32]:
        return basic_features(imread(path).astype(np.float32), threads)

    hints = (
        _points(Path(task["points"]), task["classes"], images)
        if task["points"]
        else [_stroked(Path(task["scribbles"]), path) for path in images]
    )
    forest = _taught(images, hints, features, threads)
    for path in [Path(p) for p in task.get("asked", task["images"])]:
        x = features(path)
        answer = forest.predict(x.reshape(-1, x.shape[-1])).reshape(x.shape[:2])
        Picture.fromarray(answer.astype(np.uint8)).save(Path(task["out"]) / f"{path.stem}.png")


def _taught(
    images: Sequence[Path], hints: Sequence[Pixels], features: FeaturesOf, threads: int
) -> RandomForestClassifier:
    chosen = [features(path)[rows, columns] for path, (rows, columns, _) in zip(images, hints, strict=True)]
    answers = np.concatenate([ids for *_, ids in hints])
    forest = RandomForestClassifier(
        n_estimators=100, max_depth=20, class_weight="balanced", random_state=0, n_jobs=threads
    )
    return forest.fit(np.concatenate(chosen), answers)


def _points(file: Path, classes: Sequence[str], images: Sequence[Path]) -> list[Pixels]:
    """The points of each image."""
    found: dict[str, list[tuple[int, int, int]]] = {path.stem: [] for path in images}
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            own = found.get(Path(row["image"]).stem)
            if own is not None:
                own.append((int(row["y"]), int(row["x"]), classes.index(row["class"]) + 1))
    tables = (np.array(found[path.stem], np.intp).reshape(-1, 3) for path in images)
    return [(t[:, 0], t[:, 1], t[:, 2]) for t in tables]


def _stroked(folder: Path, image: Path) -> Pixels:
    """At most 1,500 stroked pixels of an image, drawn at random with a seed of the image's own."""
    file = next((folder / f"{image.stem}{e}" for e in (".png", ".tif") if (folder / f"{image.stem}{e}").exists()), None)
    if file is None:
        return (np.zeros(0, np.intp),) * 3
    raster = imread(file)
    rows, columns = np.nonzero(raster)
    rng = np.random.default_rng(len(rows))
    kept = rng.choice(len(rows), min(len(rows), _STROKED), replace=False)
    return rows[kept], columns[kept], raster[rows[kept], columns[kept]].astype(np.intp)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
