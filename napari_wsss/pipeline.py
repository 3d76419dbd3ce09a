"""From weak labels to masks: which stages are out of date, and computing just those.

A stage's result of an image is out of date when the labels of that image, its pixels, its contrast,
the project's settings, the chosen method, encoder or parameters, or an earlier stage's result has
changed. A method that learns from the whole project is fitted anew whenever a result is to be made;
results of images whose own labels and settings did not change stay as they are unless ``again`` is
asked for.

Nothing here imports torch until something must be computed.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from napari_wsss import __version__
from napari_wsss.acceptance import accept, by_person, chosen_records, now
from napari_wsss.choices import DEFAULT_ENCODER, DEFAULTS, KIND, RESULT, STAGES, Plan, StageName, choices
from napari_wsss.errors import CannotFeed, UnreadableImage
from napari_wsss.kinds import Kinds
from napari_wsss.project import ImageRecord, Project
from napari_wsss.protocols import Context
from napari_wsss.refusals import Refusals
from napari_wsss.side_by_side import side_by_side
from napari_wsss.side_by_side import workers as threads_beside
from napari_wsss.spreading import spread
from napari_wsss.stage_work import Errand, StageWork, errand, sample_of
from napari_wsss.surroundings import Surroundings, knowledge_file
from napari_wsss.types import Progress, Provenance, Sample, State, digest, no_progress
from napari_wsss.workers import Workers

__all__ = [
    "DEFAULTS",
    "DEFAULT_ENCODER",
    "KIND",
    "STAGES",
    "Plan",
    "RunReport",
    "accept",
    "by_person",
    "chosen_records",
    "run",
    "sample_of",
]

_BATCH = 8  # images handed to a method that computes several at once
_Keys = dict[str, dict[str, str]]  # stage to image to key of its result


@dataclass
class RunReport:
    """What a run did: images computed by stage, up to date, skipped and failed (one line each)."""

    computed: dict[str, list[str]] = field(default_factory=lambda: {s: [] for s in STAGES})
    up_to_date: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run(project: Project, plan: Plan, progress: Progress = no_progress, workers: Workers | None = None) -> RunReport:
    """Compute the stages of a plan for every image that lacks them.

    Parameters
    ----------
    progress : callable
        Told of each image; may raise Cancelled, which leaves what was finished.
    workers : Workers, optional
        Who computes, an image at a time; this process learns (``fit``) and writes. None = this process.

    Raises
    ------
    UsageError
        For an unknown method, encoder, parameter, stage or image; nothing was computed then.
    """
    return _Run(project, plan, progress, workers).all_stages()


class _Run:
    def __init__(self, project: Project, plan: Plan, progress: Progress, workers: Workers | None) -> None:
        self.project, self.plan, self.progress, self.workers = project, plan, progress, workers
        self.choices = choices(plan, project.settings)
        self.records = chosen_records(project, plan.images)
        self.report = RunReport()
        self.leaving = ExitStack()  # what is put back at the end of the run
        self.around = Surroundings(project, self.choices, plan.stages, plan.device, progress, self.leaving)
        self.kinds = Kinds(project)
        self.named: dict[StageName, str] = {}  # methods, with their models

    def all_stages(self) -> RunReport:
        start = time.perf_counter()
        keys: _Keys = {stage: self.project.result_keys(RESULT[stage]) for stage in STAGES}
        with self.leaving:
            for stage in STAGES:
                if stage in self.plan.stages:
                    self._one_stage(stage, keys)
        self._tell_what_was_used()
        self.report.seconds = time.perf_counter() - start
        return self.report

    def _tell_what_was_used(self) -> None:
        """By the stages that made anything: a method that its labels could not feed was not used."""
        made = [stage for stage in STAGES if self.report.computed[stage]]
        if made:
            self.report.used = {"device": self.around.described, **{stage: self.named[stage] for stage in made}}
            encoders = self.around.encoders_used(made)
            self.report.used |= {"encoder": encoders} if encoders else {}

    # -------------------------------------------------------------- what is out of date

    def _one_stage(self, stage: StageName, keys: _Keys) -> None:
        stale = self._stale(stage, keys)
        if not stale:
            return
        refusals = Refusals(self.project.cache, self._told(stage))
        if not self.plan.again:
            for _, key in stale:
                self._skip(refusals.of(key))
            stale = [(r, k) for r, k in stale if not refusals.of(k)]
        if not stale:
            return
        method = self._make(stage)
        for peers, part in self._parts(stage, method, stale):
            self._compute(stage, method, peers, part, keys, refusals)
        refusals.save()

    def _stale(self, stage: StageName, keys: _Keys) -> list[tuple[ImageRecord, str]]:
        """Images whose result is out of date, each with the key that its new result will have."""
        stale = []
        for record in self.records:
            wanted = self._key(stage, record, keys)
            if not self.plan.again and keys[stage].get(record.name) == wanted:
                self.report.up_to_date[stage] += 1
            else:
                stale.append((record, wanted))
        return stale

    def _key(self, stage: StageName, record: ImageRecord, keys: _Keys) -> str:
        earlier = [keys[s].get(record.name, "") for s in STAGES[: STAGES.index(stage)]]
        return digest(
            self.choices.stages[stage].signature,
            self.choices.encoders[stage].signature if stage != "refine" else "",
            record.key,
            record.labels_digest,
            self._settings,
            *self._thresholds(stage),
            *earlier,
        )

    @cached_property
    def _settings(self) -> str:
        """What no image and no given parameter holds: the project's settings, and the version, for its defaults."""
        s = self.project.settings
        classes = [(c.name, c.phrases) for c in s.classes]
        knowledge = knowledge_file(self.project)
        told = digest(knowledge.read_bytes()) if knowledge else ""
        return json.dumps([__version__, s.seed, s.point_radius, s.rgb_channels, classes, told])

    def _thresholds(self, stage: StageName) -> tuple[str, ...]:
        """By which seeds are taken from maps; nothing where no class has its own, so that earlier keys hold."""
        given = [c.thresholds for c in self.project.classes]
        return (json.dumps(given),) if stage != "cam" and any(given) else ()

    def _told(self, stage: StageName) -> str:
        """All that a method may learn from: the whole project's images, labels and settings, and the maps."""
        return digest(
            self.choices.stages[stage].signature,
            self.choices.encoders[stage].signature,
            self._settings,
            *self._thresholds(stage),
            *(f"{r.name}{r.key}{r.labels_digest}{r.state == 'skipped'}" for r in self.project.records()),
            *sorted(self.project.result_keys("cam").values() if stage != "cam" else ()),
        )

    def _skip(self, line: str) -> None:
        if line and line not in self.report.skipped:
            self.report.skipped.append(line)

    def _fail(self, line: str) -> None:
        if line not in self.report.failed:
            self.report.failed.append(line)

    # -------------------------------------------------------------- methods and what they learn

    def _make(self, stage: StageName) -> Any:
        choice = self.choices.stages[stage]
        method = choice.make(self.around.context(stage))
        self.named[stage] = f"{choice.name}{f' ({method.model})' if method.model else ''}"
        return method

    def _parts(
        self, stage: StageName, method: Any, stale: Sequence[tuple[ImageRecord, str]]
    ) -> list[tuple[list[ImageRecord], list[tuple[ImageRecord, str]]]]:
        """Stale images, and the images that a method learns from to do them."""
        if not hasattr(method, "fit"):
            return [([], list(stale))]
        peers = [r for r in self.project.records() if r.state != "skipped"]
        kinds = self.kinds(peers, [r for r, _ in stale], self.around.features(stage))
        return [([r for r in peers if r.name in kind], [(r, k) for r, k in stale if r.name in kind]) for kind in kinds]

    def _learnt(self, stage: StageName, method: Any, peers: Sequence[ImageRecord]) -> State:
        """What the method learns from these images. Raises CannotFeed where they do not teach it enough."""
        if not hasattr(method, "fit"):
            return {}
        key = digest("state", self._told(stage), method.model, *(r.name for r in peers))
        cached = self.project.cache.get(key)
        if cached is not None:
            return cached
        samples = [s for s in (self._sample(stage, r) for r in peers) if s.labels]
        try:
            state: State = method.fit(samples)
        except UnreadableImage:
            readable = [s for s in samples if self._is_readable(s)]
            return cast("State", method.fit(readable))  # not kept: the image may come back
        self.project.cache.put(key, dict(state))
        return state

    def _is_readable(self, sample: Sample) -> bool:
        try:
            sample.image  # noqa: B018  # reads it
        except UnreadableImage as reason:
            self._fail(str(reason))
            return False
        finally:
            sample.forget()
        return True

    # -------------------------------------------------------------- results

    def _compute(
        self,
        stage: StageName,
        method: Any,
        peers: Sequence[ImageRecord],
        stale: Sequence[tuple[ImageRecord, str]],
        keys: _Keys,
        refusals: Refusals,
    ) -> None:
        try:
            state = self._learnt(stage, method, peers)
        except CannotFeed as reason:
            line = f"{stage} skipped: {reason}"
            self._skip(line)
            if not self.report.failed:  # an image that could not be read may come back
                for _, key in stale:
                    refusals.add(key, line)
            return
        with closing(self._results(stage, method, state, stale, refusals)) as results:
            for done, ((record, key), result) in enumerate(results):
                self.progress(done, len(stale), f"{stage}: {record.name}")
                if result is not None:
                    maker = self._provenance(stage, method, record)
                    self.project.put_result(record.name, RESULT[stage], result, key, maker)
                    keys[stage][record.name] = key
                    self.report.computed[stage].append(record.name)
        self.progress(len(stale), len(stale), stage)

    def _results(
        self,
        stage: StageName,
        method: Any,
        state: State,
        stale: Sequence[tuple[ImageRecord, str]],
        refusals: Refusals,
    ) -> Generator[tuple[tuple[ImageRecord, str], Any], None, None]:
        if self.workers is not None:
            yield from self._by_workers(stage, state, stale, refusals)
            return

        def one(pair: tuple[ImageRecord, str]) -> Any:
            return self._attempt(stage, pair, lambda: method(self._sample(stage, pair[0]), state), refusals)

        batched: Callable[..., list[Any]] | None = getattr(method, "call_batch", None)
        if self.around.device == "cpu" or batched is None:
            beside = self.around.device == "cpu" and getattr(method, "parallel", False)
            yield from side_by_side(one, stale, threads_beside() if beside else 1)
            return

        def together(pairs: Sequence[tuple[ImageRecord, str]]) -> list[Any]:
            if len(pairs) == 1:
                return [one(pairs[0])]
            try:
                results = batched([self._sample(stage, r) for r, _ in pairs], state)
                return [self._judged(stage, pair, made, refusals) for pair, made in zip(pairs, results, strict=True)]
            except (CannotFeed, UnreadableImage):  # halves, so that what is good in them still goes together
                half = len(pairs) // 2
                return together(pairs[:half]) + together(pairs[half:])

        alike = sorted(stale, key=lambda pair: pair[0].shape)  # images of one shape go through a network together
        for i in range(0, len(alike), _BATCH):
            yield from zip(alike[i : i + _BATCH], together(alike[i : i + _BATCH]), strict=True)

    def _by_workers(
        self, stage: StageName, state: State, stale: Sequence[tuple[ImageRecord, str]], refusals: Refusals
    ) -> Iterator[tuple[tuple[ImageRecord, str], Any]]:
        choice, encoder = self.choices.stages[stage], self.choices.encoders[stage]
        token = digest(str(self.project.folder), choice.signature, encoder.signature, self._settings)
        context = Context(self.project.classes, seed=self.project.settings.seed, knowledge=knowledge_file(self.project))
        radius, cache = self.project.settings.point_radius, self.project.cache
        work = StageWork(token, choice, encoder, context, self.plan.device, radius, cache, dict(state))
        with closing(spread(work, self._errands(stale), self.workers)) as results:
            for todo, done in results:
                self.around.used_by_worker(stage, done.encoder)
                pair = (todo.record, todo.key)
                yield pair, self._judged(stage, pair, done.result, refusals)

    def _errands(self, stale: Sequence[tuple[ImageRecord, str]]) -> Iterator[Errand]:
        for record, key in stale:
            try:
                yield errand(self.project, record, key)
            except UnreadableImage as reason:
                self._fail(str(reason))

    def _attempt(
        self, stage: StageName, pair: tuple[ImageRecord, str], call: Callable[[], Any], refusals: Refusals
    ) -> Any:
        try:
            made = call()
        except (CannotFeed, UnreadableImage) as reason:
            made = reason
        return self._judged(stage, pair, made, refusals)

    def _judged(self, stage: StageName, pair: tuple[ImageRecord, str], made: Any, refusals: Refusals) -> Any:
        """The method's result, or None with a line in the report: one bad image does not stop the others."""
        record, key = pair
        if isinstance(made, CannotFeed):
            line = f"{record.name}: {stage} skipped, {str(made).removeprefix(f'{record.name}: ')}"
            self._skip(line)
            refusals.add(key, line)
            return None
        if isinstance(made, UnreadableImage):
            self._fail(str(made))
            return None
        return made

    def _sample(self, stage: StageName, record: ImageRecord) -> Sample:
        return sample_of(self.project, record, self.around.features(stage))

    def _provenance(self, stage: StageName, method: Any, record: ImageRecord) -> Provenance:
        sources = [f"image {record.sha256}", f"labels {record.labels_digest}"]
        if stage != "refine":
            sources.append(
                f"encoder {self.choices.encoders[stage].signature} {self.around.encoder_used(stage)}".strip()
            )
        params = {k: _plain(v) for k, v in dataclasses.asdict(method.params).items()}
        name = f"{KIND[stage]}/{self.choices.stages[stage].name}"
        return Provenance("method", name, now(), params, method.model, tuple(sources), __version__)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
