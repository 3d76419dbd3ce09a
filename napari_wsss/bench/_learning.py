"""One training of a side on a set's training images, and its figures on the test images: a stored row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image as Picture

from napari_wsss.bench._hints import classes_of
from napari_wsss.bench._rows import Setting
from napari_wsss.bench._sets import ImageSet
from napari_wsss.bench._timing import job
from napari_wsss.evaluation import Case, TruthFolder, evaluate
from napari_wsss.training import Training
from napari_wsss.types import digest

Side = Literal["forest", "ours"]
_PROTOCOL = 1  # counts up when the way of measuring changes: stored rows are then made anew
_JOBS = {"forest": "napari_wsss.bench._forest", "ours": "napari_wsss.bench._learn_job"}


@dataclass(frozen=True)
class Lesson:
    """Who learns what from which images.

    Attributes
    ----------
    train, test : ImageSet
    hints : Path
        Folder with ``points.csv`` and ``scribbles/``.
    side : "forest" or "ours"
    labels : "masks", "points" or "scribbles"
    training : Training
        Of ours.
    threads : int
    project : Path or None
        Where ours keeps its project, so that later lessons find features; None = nowhere.
    device : str
        Of ours; the forest knows the CPU alone.
    """

    train: ImageSet
    test: ImageSet
    hints: Path
    side: Side
    labels: str
    training: Training
    threads: int = 1
    project: Path | None = None
    device: str = "cpu"

    @property
    def key(self) -> str:
        """Equal keys, equal figures."""
        images = [path.name for of in (self.train, self.test) for path in of.images]
        words = [self.train.name, self.side, self.labels, str(_PROTOCOL), *images]
        words += [digest(file.read_bytes()) for file in self._hint_files()]
        if self.side == "ours":
            words += [self.training.to_json(), weights_of(self.training)]
            words += [] if self.device == "cpu" else [self.device]
        return digest(*words)

    def _hint_files(self) -> list[Path]:
        if self.labels == "points":
            return [self.hints / "points.csv"]
        return sorted((self.hints / "scribbles").iterdir()) if self.labels == "scribbles" else []


def learnt(lesson: Lesson, work: Path) -> dict[str, Any]:
    """Figures on the test images and what the side says of itself."""
    out = work / "lesson"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    task = _task(lesson, out)
    file = out / "task.json"
    file.write_text(json.dumps(task), encoding="utf-8")
    seconds, said = job(_JOBS[lesson.side], [str(file)], lesson.threads)
    of = lesson.test
    truth = TruthFolder(of.folder, classes_of(of), [path.name for path in of.images])
    figures = evaluate(_cases(of, truth, out), classes_of(of))
    row: dict[str, Any] = {"set": of.name, "side": lesson.side, "labels": lesson.labels, "miou": figures.miou}
    row |= {"iou": figures.iou, "seconds": seconds, "threads": lesson.threads}
    if lesson.side == "ours":
        told = lesson.training
        row |= {"segmenter": told.segmenter, "encoder": told.encoder, "minutes": told.minutes, "seed": told.seed}
        row |= {"device": lesson.device, "clock": told.clock, "weights": weights_of(told), **json.loads(said)}
    return row


def clock_of(device: str) -> Literal["cpu", "wall"]:
    """What minutes are of: on the CPU its own time, so that other work on the machine does not shorten a training."""
    return "cpu" if device == "cpu" else "wall"


def budgeted(setting: Setting, minutes: float, segmenter: str | None) -> Training:
    """A training by minutes, without held-out images; ``segmenter`` None = the product's default."""
    given = Training(
        encoder=setting.use.get("encoder"),
        minutes=setting.minutes or minutes,
        clock=clock_of(setting.device),
        held_out=0.0,
        threads=setting.threads or 1,
        seed=0,
        save_every=1e9,
    )
    chosen = setting.segmenter or segmenter
    return replace(given, segmenter=chosen) if chosen else given


def weights_of(training: Training | None) -> str:
    """Name and hash of the model inside where a training, or the label model (None), uses it; else ''."""
    from napari_wsss.models.store import resolve

    encoder = training.encoder or "" if training else ""
    known = training is None or training.segmenter == "embedded" or encoder == "fused" or "embedded" in encoder
    return f"embedded@{resolve('embedded')[1][:8]}" if known else ""


def _task(lesson: Lesson, out: Path) -> dict[str, Any]:
    hints = {"points": lesson.hints / "points.csv", "scribbles": lesson.hints / "scribbles", "masks": out / "masks"}
    if lesson.labels == "masks":
        _copy_masks(lesson.train, hints["masks"])
    task: dict[str, Any] = {
        "images": [str(p.resolve()) for p in lesson.train.images],
        "asked": [str(p.resolve()) for p in lesson.test.images],
        "classes": lesson.train.classes,
        **dict.fromkeys(hints),
        lesson.labels: str(hints[lesson.labels]),
        "out": str(out),
        "threads": lesson.threads,
    }
    if lesson.side == "ours":
        project = str(lesson.project or out / "project")
        task |= {"settings": lesson.training.to_json(), "device": lesson.device, "project": project}
    return task


def _copy_masks(of: ImageSet, folder: Path) -> None:
    """The masks of these images alone, so that no other is in reach."""
    folder.mkdir()
    truth = TruthFolder(of.folder, classes_of(of), [path.name for path in of.images])
    for path in of.images:
        mask = truth.mask(path.name)
        if mask is not None:
            Picture.fromarray(mask.astype(np.uint8)).save(folder / f"{path.stem}.png")


def _cases(of: ImageSet, truth: TruthFolder, folder: Path) -> Iterator[Case]:
    for path in of.images:
        answer, file = truth.mask(path.name), folder / f"{path.stem}.png"
        if answer is not None:
            yield Case(path.name, answer, np.asarray(Picture.open(file)).astype(np.uint16) if file.exists() else None)
