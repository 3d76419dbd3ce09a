"""A trained segmenter's masks: of a project's images, or of files that belong to no project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_wsss import __version__
from napari_wsss.acceptance import now
from napari_wsss.device import choose, few_threads, torch_threads
from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.models.recent import Recent
from napari_wsss.project import Cache, ImageReader, ImageRecord, Project
from napari_wsss.protocols import Context
from napari_wsss.quality import note_review
from napari_wsss.spreading import spread
from napari_wsss.stage_work import check_version
from napari_wsss.tiled_prediction import ONE_VIEW, Tiling, predict_tiled
from napari_wsss.trained import Feed, Trained, context_for, read_trained
from napari_wsss.training.learner import with_checkpoint
from napari_wsss.training.run_folder import CHECKPOINT, newest_weights
from napari_wsss.types import Bool, Box4, Float, Image, Prediction, Progress, Provenance, digest, no_progress
from napari_wsss.workers import Workers

R = TypeVar("R")
Made = Prediction | str
"""A prediction, or in one line why there is none."""


@dataclass
class PredictReport:
    """Names predicted, how many were up to date, lines about those that failed, and the model."""

    predicted: list[str] = field(default_factory=list)
    up_to_date: int = 0
    failed: list[str] = field(default_factory=list)
    model: str = ""


def predict(
    project: Project,
    names: Sequence[str] | None = None,
    *,
    weights: Path | None = None,
    device: str = "auto",
    views: int = 1,
    student: bool = False,
    again: bool = False,
    workers: Workers | None = None,
    progress: Progress = no_progress,
) -> PredictReport:
    """Predict every image that lacks a prediction of the newest weights, and keep it in the project.

    Parameters
    ----------
    weights : Path, optional
        A file of weights; by default those of the newest run.
    views : int
        1, or 2 or 4 flipped views that are averaged (test-time augmentation).
    student : bool
        Keep where the run's student disagrees with its teacher, who alone answers.
    workers : Workers, optional
        Who compute, where they see the project's folder and the images; this process writes. Images whose worker died
        are given to another. None = one after another, here.

    Raises
    ------
    UsageError
        No trained segmenter, or the project's classes are not those that it was trained on, or it has no student.
    """
    file = weights or newest_weights(project.folder)
    context = context_for(project, device)
    trained = loaded(file, context.device, student)
    report = PredictReport(model=trained.model)
    compared = f"{views}{_student_of(file)}" if student else str(views)
    stale = _stale(project, names, trained.model, compared, again, report)
    _check_classes(project, trained)

    def tiles(done: int, total: int, name: str) -> None:
        if len(stale) == 1:
            progress(done, total, f"predict {name}")
        else:
            finished = len(report.predicted) + len(report.failed)
            progress(finished, len(stale), f"predict {name}: {done} of {total} tiles")

    work = _Work(
        weights=file,
        device=device,
        context=context,
        cache=project.cache,
        tiling=Tiling(views=views),
        student=student,
    )
    work = replace(work, progress=tiles) if workers is None else replace(work, threads=1)
    with few_threads(), closing(spread(work, _errands(project, stale, report), workers)) as results:
        for done, (todo, made) in enumerate(results):
            if workers is not None:  # here the tiles told it already
                progress(done, len(stale), f"predict {todo}")
            if isinstance(made, str):
                report.failed.append(made)
                continue
            note_review(project, todo.name)  # what the old prediction was worth is lost with it
            maker = _provenance(project, todo.name, trained.model, views)
            project.put_result(todo.name, "predicted", made, todo.key, maker)
            report.predicted.append(todo.name)
    progress(len(stale), len(stale), "predict")
    return report


def _stale(
    project: Project, names: Sequence[str] | None, model: str, views: str, again: bool, report: PredictReport
) -> list[tuple[ImageRecord, str]]:
    """Images whose prediction is of other weights, pixels or views, with the key that the new one gets."""
    wanted = project.records() if names is None else [project.record(name) for name in names]
    there = project.result_keys("predicted")
    stale = []
    for record in {r.name: r for r in wanted}.values():
        key = digest("predicted", model, record.key, views)
        if there.get(record.name) == key and not again:
            report.up_to_date += 1
        else:
            stale.append((record, key))
    return stale


def _check_classes(project: Project, trained: Trained) -> None:
    known = trained.recipe.classes
    if project.classes.names[: len(known)] != known:
        raise UsageError(
            f"the segmenter {trained.model} knows the classes {', '.join(known)}, the project has"
            f" {', '.join(project.classes.names)}; train on this project"
        )


def _provenance(project: Project, name: str, model: str, views: int) -> Provenance:
    record = project.record(name)
    sources = (f"image {record.sha256}",)
    return Provenance("method", "segmenters/predict", now(), {"views": views}, model, sources, __version__)


# --------------------------------------------------------------------------- one image


@dataclass(frozen=True, eq=False)
class _Errand:
    """An image to predict: all that a worker needs of the project, which it never opens (see ``stage_work``)."""

    name: str
    key: str
    shape: tuple[int, int]
    reader: ImageReader

    def __str__(self) -> str:
        return self.name


def _errands(project: Project, stale: Sequence[tuple[ImageRecord, str]], report: PredictReport) -> Iterator[_Errand]:
    for record, key in stale:
        try:
            yield _Errand(record.name, key, record.shape, project.reader(record.name))
        except UnreadableImage as reason:
            report.failed.append(str(reason))


@dataclass(frozen=True, eq=False, kw_only=True)
class Equipment:
    """What a worker must know to predict anything; small and picklable. The project is not opened.

    Attributes
    ----------
    device : str
        As the person said it, so that each worker chooses its own.
    threads : int
        Of torch; 0 = as it is.
    """

    weights: Path
    device: str
    context: Context
    cache: Cache
    tiling: Tiling
    student: bool = False
    threads: int = 0
    version: str = __version__

    def used(self, predict: Callable[[Trained, Feed], R]) -> R | str:
        """What is predicted with the segmenter and what feeds it, or a line."""
        check_version(self.version)
        context = replace(self.context, device=choose(self.device))
        trained = loaded(self.weights, context.device, self.student)
        try:
            with torch_threads(self.threads) if self.threads else nullcontext():
                return predict(trained, Feed(trained.recipe, self.cache, context))
        except (UnreadableImage, UsageError) as reason:
            return str(reason)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Work(Equipment):
    progress: Progress = no_progress

    def __call__(self, todo: _Errand) -> Made:
        """The prediction of an image, or a line."""
        return self.used(
            lambda trained, feed: predict_image(
                todo.reader, todo.shape, trained, feed, self.tiling, self.progress, todo.name
            )
        )


_LOADED: Recent[Trained] = Recent(2)


def loaded(weights: Path, where: str, student: bool = False) -> Trained:
    """The network of a file, with what its run's checkpoint has beside it; read again when one has changed."""
    checkpoint = weights.with_name(CHECKPOINT)

    def read() -> Trained:
        return with_checkpoint(read_trained(weights, where), checkpoint, where, student)

    changed = [file.stat().st_mtime_ns for file in (weights, checkpoint) if file.is_file()]
    return _LOADED.made((weights, where, student, *changed), read)


def _student_of(weights: Path) -> str:
    return digest(weights.with_name(CHECKPOINT).read_bytes())


def predict_image(
    image: Callable[[Box4 | None], Image],
    shape: tuple[int, int],
    trained: Trained,
    feed: Feed,
    tiling: Tiling = ONE_VIEW,
    progress: Progress = no_progress,
    name: str = "",
) -> Prediction:
    """The prediction of an image that is read by boxes. A network that sees pixels gets a band of rows at a time.

    Raises
    ------
    UnreadableImage
        The file is gone or damaged.
    UsageError
        Its channels do not fit the network.
    """
    if trained.recipe.inputs == "features":
        return _predict_features(trained, feed, image(None), tiling, progress)
    return predict_tiled(trained, shape, 1, _ByBands(image, feed, shape[1]), tiling, progress, name)


class _ByBands:
    """Reads a band of rows at once, the image's full width: many files cannot be read by tiles, but by rows."""

    def __init__(self, image: Callable[[Box4 | None], Image], feed: Feed, width: int) -> None:
        self._image, self._feed, self._width = image, feed, width
        self._rows, self._band = (-1, -1), (np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), bool))

    def __call__(self, box: Box4) -> tuple[Float, Bool]:
        y0, x0, y1, x1 = box
        if self._rows != (y0, y1):
            image = self._image((y0, 0, y1, self._width))
            self._rows, self._band = (y0, y1), (self._feed(image)[0], image.valid)
        x, valid = self._band
        return x[:, :, x0:x1], valid[:, x0:x1]


def _predict_features(trained: Trained, feed: Feed, image: Image, tiling: Tiling, progress: Progress) -> Prediction:
    x, step = feed(image)

    def read(box: Box4) -> tuple[Float, Bool]:
        y0, x0, y1, x1 = box
        part = x[:, y0 // step : -(-y1 // step), x0 // step : -(-x1 // step)]
        return part, image.valid[y0:y1, x0:x1]

    return predict_tiled(trained, image.shape, step, read, tiling, progress, image.name)


def told_of(weights: Path) -> dict[str, object]:
    """What the trainer wrote beside the weights: run, step, mIoU on the held-out images."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        found: dict[str, object] = json.loads((file.metadata() or {}).get("told", "{}"))
    return found
