"""Rounds of training, predicting, asking and answering, on a scratch project that holds only what was answered."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_wsss.active_learning import EXPLORE, RANDOM, Asking, NothingTold, cell_reach, features_of, rank
from napari_wsss.dense_features import remembered
from napari_wsss.errors import UsageError
from napari_wsss.evaluation import Case, TruthFolder, evaluate
from napari_wsss.project import Project
from napari_wsss.project.settings import to_toml
from napari_wsss.simulation.curve import CEILING, Row
from napari_wsss.simulation.oracle import Kind, Oracle
from napari_wsss.training import Training
from napari_wsss.types import Mask, Prediction, Progress, Provenance, Region, digest, no_progress
from napari_wsss.weak_labels import compile_target

_REGIONS = 128
"""Regions' half sides along an image's longer side: small ones, as the published method's, tell more a pixel."""

_BY = Provenance("person", "simulated annotator", "1970-01-01T00:00:00Z")


REFIT = Training(segmenter="frozen", steps=600, held_out=0.0)
"""The learner of a play: a light head, taught as `train` does: the rest of the answered images is completed first.

Taught by answers alone, all at the borders of things, it forgot what their inside and the background look like.
"""


NOTHING = "none"
"""In place of a segmenter's name: nothing is trained, the label model answers itself."""


@dataclass(frozen=True)
class Play:
    """What to simulate.

    Attributes
    ----------
    strategies : of ``acquisition``
    labels : how regions are answered
    budget : share of the pool's pixels that may be labelled in all, the start included
    rounds, seeds : after the start; one play a seed
    training : of each refit, ``frozen`` by default; None = nothing is trained, the label model answers itself
    test : names of images that are never asked about and that every round is scored on; None = three tenths
    reach : half side of a region in image pixels; 0 = a 128th of the longer side, a quarter of what a person is asked
    explore : share of each batch that every strategy draws at random
    """

    strategies: Sequence[str] = ("ripu", "entropy", "random")
    labels: Kind = "regions"
    budget: float = 0.05
    rounds: int = 5
    seeds: int = 5
    training: Training | None = REFIT
    test: Sequence[str] | None = None
    reach: int = 0
    explore: float = EXPLORE

    def __post_init__(self) -> None:
        Asking(explore=self.explore)  # says what is wrong with it
        if not 0 < self.budget <= 1 or self.rounds < 1 or self.seeds < 1 or not self.strategies:
            raise UsageError("simulate: a budget in (0, 1], at least one round, seed and strategy are needed")

    @property
    def signature(self) -> str:
        """Equal for plays whose rows may be joined; more strategies, seeds or rounds go on where the last ended."""
        told = {
            **asdict(self),
            "training": self.training.to_json() if self.training else None,
            "test": list(self.test or []),
        }
        for name in ("strategies", "seeds"):
            told.pop(name)
        return digest(json.dumps(told, sort_keys=True))[:12]


def simulate(
    project: Project,
    truth: Path,
    play: Play,
    *,
    units: Sequence[tuple[str, int]] | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> list[Row]:
    """Learning curves of every strategy, and the ceiling of the same learner on every mask.

    Finished plays are kept in the project's ``simulations/`` and not played again. The project itself is
    not changed: its images are used, its labels are not looked at.

    Parameters
    ----------
    units : sequence of (strategy, seed), optional
        Only these plays, ``ceiling`` among the strategies; None = all of them.

    Raises
    ------
    UsageError
        No image has truth, or too few to test on.
    """
    names = [r.name for r in project.records()]
    known = TruthFolder(truth, project.classes, names)
    pool, test = _sides(names, known, play)
    folder = project.folder / "simulations" / _told(project, known, play)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    if units is None:
        units = [(s, n) for n in range(play.seeds) for s in (CEILING, *play.strategies)]
    with remembered():
        for done, (strategy, seed) in enumerate(units):
            progress(done, len(units), f"{strategy}, seed {seed}")
            file = folder / f"{strategy}-{seed}.json"
            if not file.is_file():
                game = _Game(project, known, play, strategy, seed, pool, test, device, folder)
                game.save(file, list(game.rows()))
            rows += [Row(**values) for values in json.loads(file.read_text(encoding="utf-8"))]
    progress(len(units), len(units), "simulate")
    return rows


def _told(project: Project, known: TruthFolder, play: Play) -> str:
    """Equal where finished plays may be taken up: the same images, settings, truth and rules."""
    masks = {r.name: known.mask(r.name) for r in project.records()}
    truths = [b"" if m is None else m.tobytes() for m in masks.values()]
    return digest(play.signature, to_toml(project.settings), *(r.key for r in project.records()), *truths)[:12]


def _sides(names: Sequence[str], known: TruthFolder, play: Play) -> tuple[list[str], list[str]]:
    with_truth = [n for n in names if known.mask(n) is not None]
    if play.test is None:
        order = sorted(with_truth, key=lambda n: digest("simulate", n))
        test = order[: max(1, round(0.3 * len(order)))]
    else:
        test = [n for n in with_truth if n in set(play.test)]
    pool = [n for n in with_truth if n not in test]
    if not pool or not test:
        raise UsageError("simulate: at least one image to ask about and one to test on need ground truth")
    return pool, test


class _Game:
    """One strategy with one seed."""

    def __init__(
        self,
        project: Project,
        truth: TruthFolder,
        play: Play,
        strategy: str,
        seed: int,
        pool: list[str],
        test: list[str],
        device: str,
        folder: Path,
    ) -> None:
        self.source, self.play, self.strategy, self.seed = project, play, strategy, seed
        self.pool, self.test, self.truth, self.device = pool, test, truth, device
        self.scratch = folder / f"scratch-{strategy}-{seed}"

    def rows(self) -> Iterator[Row]:
        """The start and each round; the ceiling has one row."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        with self._scratch_project() as scratch:
            self._meet(scratch)
            if self.strategy == CEILING:
                for name in self.oracle.names:
                    scratch.accept(name, Mask(self.oracle.whole(name)), _BY)
                yield self._row(scratch, 0)
                return
            for name, points in self.oracle.start(len(scratch.classes), self.seed).items():
                scratch.add_marks(name, points, _BY)
                self._charge(scratch, name)
            yield self._row(scratch, 0)
            for number in range(1, self.play.rounds + 1):
                self._ask(scratch, number)
                yield self._row(scratch, number)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def save(self, file: Path, rows: list[Row]) -> None:
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps([asdict(r) for r in rows]), encoding="utf-8")
        beside.replace(file)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _scratch_project(self) -> Project:
        told = self.source.settings
        names = [f"{c.name}{c.colour}" for c in told.classes]
        scratch = Project.create(
            self.scratch,
            names,
            seed=told.seed + self.seed,
            percentiles=told.percentiles,
            encoder=told.encoder,
            params=told.params,
            rgb_channels=told.rgb_channels,
        )
        shared = self.source.folder / "cache"
        shared.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):  # where links may not be made, each play computes its features itself
            (self.scratch / "cache").symlink_to(shared.resolve(), target_is_directory=True)
        files = {self.source.record(n).file for n in (*self.pool, *self.test)}
        scratch.add_images(sorted(files))
        return scratch

    def _meet(self, scratch: Project) -> None:
        """Take the scratch project's names of the images, which may be shorter, and give the oracle both."""
        theirs = {(r.sha256, r.plane): r.name for r in self.source.records()}
        names = {r.name: theirs[r.sha256, r.plane] for r in scratch.records() if (r.sha256, r.plane) in theirs}
        self.oracle = Oracle(self.truth, {mine: source for mine, source in names.items() if source in self.pool})
        self.tests = {mine: source for mine, source in names.items() if source in self.test}
        for name in self.tests:
            scratch.skip(name)  # neither asked about nor looked at without labels
        longer = float(np.median([max(scratch.record(name).shape) for name in self.oracle.names]))
        self.reach = self.play.reach or max(1, round(longer / _REGIONS))
        self.total = sum(int((self.oracle.whole(name) > 0).sum()) for name in self.oracle.names)

    def _charge(self, scratch: Project, name: str) -> None:
        labels, record = scratch.labels(name), scratch.record(name)
        radius = scratch.settings.point_radius
        self.oracle.count(name, compile_target(labels, scratch.classes, record.shape, point_radius=radius).seed)

    def _ask(self, scratch: Project, number: int) -> None:
        """Ask until this round's part of the budget is spent, but for less than a region."""
        allowance = self.play.budget * self.total * number / self.play.rounds
        each = self._pixels_of_a_region(scratch)
        while self.oracle.pixels + each <= allowance:
            count = int((allowance - self.oracle.pixels) / each)
            before = self.oracle.pixels
            most = math.ceil(count / len(self.oracle.names))  # an even share, as the published method asks
            asking = Asking(self.strategy, reach=self.reach, cost=False, most=most, explore=self.play.explore)
            found = self._ranked(scratch, count, asking)
            scratch.add_regions(found, _BY)
            self._answer(scratch, found, allowance)
            if self.oracle.pixels == before:
                return

    def _ranked(self, scratch: Project, count: int, asking: Asking) -> Sequence[Region]:
        """What the strategy picks; at random where a learner that has seen a point a class answers one class only."""
        features = features_of(scratch)
        try:
            return rank(scratch, count, asking, features=features).regions
        except NothingTold:
            return rank(scratch, count, replace(asking, strategy=RANDOM), features=features).regions

    def _pixels_of_a_region(self, scratch: Project) -> int:
        """Of the first image: regions are whole cells of its prediction."""
        prediction = scratch.result(next(iter(self.oracle.names)), "predicted")
        if self.play.labels == "points" or not isinstance(prediction, Prediction):
            return 1
        half = cell_reach(prediction.labels.shape, self.reach, prediction.stride)
        return ((2 * half + 1) * prediction.stride) ** 2

    def _answer(self, scratch: Project, found: Sequence[Region], allowance: float) -> None:
        """Answer regions in their order; one that might cost more than what is left of the round is left out."""
        answered: dict[str, NDArray[np.uint16]] = {}
        for region in found:
            labels = answered.get(region.image)
            if labels is None:
                labels = self._labels_of(scratch, region.image)
            y0, x0, y1, x1 = region.box
            part = labels[y0:y1, x0:x1]
            most = 1 if self.play.labels == "points" else int((part == 0).sum())
            if self.oracle.pixels + most > allowance:
                continue
            said = self.oracle.answer(region, self.play.labels)
            part[:] = np.where(part > 0, part, said)
            self.oracle.count(region.image, labels)
            answered[region.image] = labels
        for name, labels in answered.items():
            scratch.edit_mask(name, (0, 0, *labels.shape), labels, _BY)

    def _labels_of(self, scratch: Project, name: str) -> NDArray[np.uint16]:
        accepted = scratch.accepted(name)
        return np.zeros(scratch.record(name).shape, np.uint16) if accepted is None else accepted.labels.copy()

    def _row(self, scratch: Project, number: int) -> Row:
        began = time.monotonic()
        over = self.strategy == CEILING or number == self.play.rounds  # nothing is asked about any more
        pool = () if over else tuple(self.oracle.names)
        miou = _fit_and_score(scratch, self.play.training, self.seed, self.device, pool, self.tests, self.truth)
        labels = "masks" if self.strategy == CEILING else self.play.labels
        oracle = self.oracle
        share = oracle.pixels / max(self.total, 1)
        return Row(
            self.strategy,
            labels,
            self.seed,
            number,
            oracle.pixels,
            share,
            oracle.questions,
            oracle.seconds,
            miou,
            time.monotonic() - began,
        )


def _fit_and_score(
    scratch: Project,
    training: Training | None,
    seed: int,
    device: str,
    pool: Sequence[str],
    test: Mapping[str, str],
    truth: TruthFolder,
) -> float:
    """Learn from what the scratch project holds, predict (the pool too, if regions are asked next), score the test."""
    from napari_wsss.simulation.learner import teach

    teach(scratch, training, [*pool, *test], seed, device)

    def cases() -> Iterator[Case]:
        for name, source in test.items():
            found, answer = scratch.result(name, "predicted"), truth.mask(source)
            if answer is not None:
                yield Case(name, answer, found.labels if isinstance(found, Prediction) else None)

    return evaluate(cases(), scratch.classes).miou
