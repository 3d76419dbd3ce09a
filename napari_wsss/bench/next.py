"""Ranking regions of 100 predicted tiles of 512 x 512, as `next` and the dock do."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from scipy import ndimage

from napari_wsss.acceptance import by_person
from napari_wsss.active_learning import EXPLORE, Asking, features_of, rank
from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import thread_counts
from napari_wsss.device import torch_threads
from napari_wsss.project import Project
from napari_wsss.types import Prediction

TILES, SIDE, CLASSES, REGIONS = 100, 512, 6, 12
_LIMIT = 60.0  # seconds
_STRIDE = 2  # of a prediction of this size
_BY = by_person("bench")


def measure(setting: Setting) -> Iterator[Row]:
    """Seconds from stored predictions to a diverse batch, and of the scores alone."""
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        project, of = _predicted(Path(folder), setting), f"{TILES} tiles of {SIDE} px, {CLASSES} classes"
        with project:
            for threads in thread_counts(setting.threads):
                with torch_threads(threads):
                    plain = _seconds(project, Asking(diverse=False), setting)
                    whole = _seconds(project, Asking(explore=EXPLORE), setting)
                yield cost(of, f"regions.{threads}_threads", "ours", whole, "s", _LIMIT)
                yield cost(of, f"scores.{threads}_threads", "ours", plain, "s", _LIMIT)


def _seconds(project: Project, asking: Asking, setting: Setting) -> float:
    start = time.perf_counter()
    features = features_of(project) if asking.diverse else None
    rank(project, REGIONS, asking, features=features, progress=setting.progress)
    return time.perf_counter() - start


def _predicted(folder: Path, setting: Setting) -> Project:
    """A project whose images are noise and whose predictions are smooth fields of probabilities."""
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for n in range(TILES):
        Picture.fromarray(rng.integers(0, 255, (SIDE, SIDE), np.uint8)).save(images / f"{n:03}.png")
    project = Project.create(folder / "project", [f"class {k}" for k in range(CLASSES)])
    project.add_images([images])
    for n, record in enumerate(project.records()):
        setting.progress(n, TILES, "predictions to rank")
        logits = np.stack([_field(rng) for _ in range(CLASSES)])
        p = np.exp(logits - logits.max(0))
        p /= p.sum(0)
        labels = (p.argmax(0) + 1).astype(np.uint16).repeat(_STRIDE, 0).repeat(_STRIDE, 1)
        project.put_result(record.name, "predicted", Prediction(labels, p.astype(np.float16), _STRIDE), "k", _BY)
    return project


def _field(rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    cells = SIDE // _STRIDE
    smooth = ndimage.gaussian_filter(rng.standard_normal((cells, cells)), 8)
    field: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = 3 * smooth / smooth.std()
    return field
