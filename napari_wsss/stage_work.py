"""One image through one method: in the process that has the project open, or in a worker that only sees its folder.

A worker never opens the journal: SQLite's write-ahead log must not be shared between machines. It is sent what a person
said of the image, reads the image's file and earlier results (files that never change), may use the cache (files that
are whole or absent), and gives back what it made. The process that has the project open writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

from napari_wsss import __version__, device
from napari_wsss.choices import Choice
from napari_wsss.dense_features import DenseFeatures
from napari_wsss.errors import CannotFeed, UnreadableImage, UsageError
from napari_wsss.maps.seeds import with_thresholds
from napari_wsss.models.recent import Recent
from napari_wsss.project import Cache, ImageReader, ImageRecord, Project, Result, read_result
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import (
    Cam,
    Classes,
    Features,
    Image,
    PseudoLabels,
    Sample,
    State,
    WeakLabels,
    WeakTarget,
)
from napari_wsss.weak_labels import compile_target

_LOADED: Recent[tuple[Any, DenseFeatures]] = Recent(2)
_ONE_AT_A_TIME = Lock()  # a dask worker may have several threads, and few methods may be called from several


def sample_of(project: Project, record: ImageRecord, features: Callable[[Image], Features]) -> Sample:
    """An image of an open project as methods see it: everything is loaded when first asked for."""
    return _sample(
        record,
        project.labels(record.name),
        project.classes,
        project.settings.point_radius,
        features,
        lambda: project.image(record.name),
        lambda stage: project.result(record.name, cast("Any", stage)),
    )


def _sample(
    record: ImageRecord,
    labels: WeakLabels,
    classes: Classes,
    point_radius: int,
    features: Callable[[Image], Features],
    image: Callable[[], Image],
    earlier: Callable[[str], Result | None],
) -> Sample:
    def target() -> WeakTarget:
        return compile_target(labels, classes, record.shape, sample.image.valid, point_radius=point_radius)

    def cam() -> Cam | None:
        result = earlier("cam")
        return with_thresholds(result, classes, sample.image.valid) if isinstance(result, Cam) else None

    def pseudo() -> PseudoLabels | None:
        result = earlier("pseudo")
        return result if isinstance(result, PseudoLabels) else None

    sample = Sample(record.name, labels, target, image, lambda: features(sample.image), cam, pseudo)
    return sample  # its parts ask it for its image, which it reads once


# --------------------------------------------------------------------------- what is sent


@dataclass(frozen=True, eq=False)
class Errand:
    """One image of a stage: all that a worker needs of the project to do it.

    Attributes
    ----------
    key : str
        Of the result that is to be made.
    earlier : name of an earlier stage to its result's file
    """

    record: ImageRecord
    key: str
    labels: WeakLabels
    reader: ImageReader
    earlier: dict[str, Path]

    def __str__(self) -> str:
        return self.record.name


def errand(project: Project, record: ImageRecord, key: str) -> Errand:
    """What to send.

    Raises
    ------
    UnreadableImage
        The image's file is gone or changed.
    """
    files = {stage: project.result_file(record.name, stage) for stage in ("cam", "pseudo")}
    there = {stage: file for stage, file in files.items() if file is not None}
    return Errand(record, key, project.labels(record.name), project.reader(record.name), there)


def check_version(of_the_work: str) -> None:
    """Raises UsageError in a worker whose program is another version's: its results could be others."""
    if of_the_work != __version__:
        raise UsageError(f"a worker has napari-wsss {__version__}, not {of_the_work}; install the same everywhere")


@dataclass(frozen=True, eq=False)
class Done:
    """What a worker made, or why it made nothing; and the encoder that it used, as ``LazyEncoder.used`` says it."""

    result: Result | CannotFeed | UnreadableImage
    encoder: str | None


@dataclass(frozen=True, eq=False)
class StageWork:
    """What all errands of a stage have in common; small and picklable. Called in a worker.

    Attributes
    ----------
    token : str
        Equal tokens, equal methods: a worker makes a method once.
    device : str
        As the person said it, so that each worker chooses its own.
    """

    token: str
    method: Choice
    encoder: Choice
    context: Context
    device: str
    point_radius: int
    cache: Cache
    state: State
    version: str = __version__

    def __call__(self, todo: Errand) -> Done:
        """One image's result."""
        check_version(self.version)
        with device.torch_threads(1):  # as many workers as cores beat several threads on one image
            method, features = _LOADED.made((self.token, self.device), self._make)
            with nullcontext() if getattr(method, "parallel", False) else _ONE_AT_A_TIME:
                made: Result | CannotFeed | UnreadableImage
                try:
                    made = method(self._sample(todo, features), self.state)
                except (CannotFeed, UnreadableImage) as reason:
                    made = reason
        return Done(made, features.encoder.used)

    def _make(self) -> tuple[Any, DenseFeatures]:
        bare = replace(self.context, device=device.choose(self.device))
        features = DenseFeatures(self.encoder, bare, self.cache)
        context = replace(bare, encoder=cast("Encoder", features.encoder), features=features)
        return self.method.make(context), features

    def _sample(self, todo: Errand, features: DenseFeatures) -> Sample:
        def earlier(stage: str) -> Result | None:
            if stage not in todo.earlier:
                return None
            found = read_result(todo.earlier[stage])
            if found is None:
                raise UnreadableImage(f"{todo}: its {stage} was replaced meanwhile; run again")
            return found

        return _sample(
            todo.record,
            todo.labels,
            self.context.classes,
            self.point_radius,
            features,
            lambda: todo.reader(None),
            earlier,
        )
