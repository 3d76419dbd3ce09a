"""From weak labels to masks: which stages are out of date, and computing just those.

A stage's result of an image is out of date when the labels of that image, its pixels, its contrast,
the chosen method, encoder or parameters, or an earlier stage's result has changed. A method that
learns from the whole project is fitted anew whenever a result is to be made; results of images
whose own labels and settings did not change stay as they are unless ``again`` is asked for.

Nothing here imports torch until something must be computed.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from napari_wsss import __version__, registry
from napari_wsss.errors import Cancelled, CannotFeed, UnreadableImage, UsageError, WsssError
from napari_wsss.project import ImageRecord, Project
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import (
    Cam,
    Features,
    Image,
    Mask,
    Progress,
    Provenance,
    PseudoLabels,
    Sample,
    State,
    WeakLabels,
    WeakTarget,
    digest,
    no_progress,
)
from napari_wsss.weak_labels import compile_target

StageName = Literal["cam", "pseudo", "refine"]
STAGES: tuple[StageName, ...] = ("cam", "pseudo", "refine")
KIND: Mapping[StageName, str] = {"cam": "cams", "pseudo": "label_models", "refine": "refiners"}
DEFAULTS: Mapping[StageName, str] = {"cam": "head", "pseudo": "pooled", "refine": "walker"}
DEFAULT_ENCODER = "filters"
RESULT: Mapping[StageName, Literal["cam", "pseudo", "refined"]] = {
    "cam": "cam",
    "pseudo": "pseudo",
    "refine": "refined",
}
_BATCH = 8  # images handed to a method that computes several at once


@dataclass(frozen=True)
class Plan:
    """What to compute and how.

    Attributes
    ----------
    stages : stages to compute, of :data:`STAGES`
    use : stage to method; what is absent comes from the project's settings, then :data:`DEFAULTS`
    encoder : encoder of the dense features; None = the project's, then :data:`DEFAULT_ENCODER`
    params : parameters by stage (``cam``), ``encoder``, or method name
    images : names of images, or None for all
    again : compute what is up to date as well
    device : ``auto``, ``cpu``, ``cuda`` or ``mps``
    """

    stages: Sequence[StageName] = STAGES
    use: Mapping[str, str] = field(default_factory=dict)
    encoder: str | None = None
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    images: Sequence[str] | None = None
    again: bool = False
    device: str = "auto"


@dataclass
class RunReport:
    """What a run did: images computed by stage, up to date, skipped and failed (one line each)."""

    computed: dict[str, list[str]] = field(default_factory=lambda: {s: [] for s in STAGES})
    up_to_date: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run(project: Project, plan: Plan, progress: Progress = no_progress) -> RunReport:
    """Compute the stages of a plan for every image that lacks them.

    Parameters
    ----------
    progress : callable
        Told of each image; may raise Cancelled, which leaves what was finished.

    Raises
    ------
    UsageError
        For an unknown method, encoder, parameter, stage or image.
    """
    return _Run(project, plan, progress).all_stages()


@dataclass(frozen=True)
class _Choice:
    """A method as chosen: kind, name, parameters given. Its signature needs no import of the method."""

    kind: str
    name: str
    given: Mapping[str, Any]

    @property
    def signature(self) -> str:
        values = {key: _identity(value) for key, value in sorted(self.given.items())}
        return f"{self.kind}/{self.name}{json.dumps(values)}"

    def make(self, context: Context, label: str) -> Any:
        method = registry.load(self.kind, self.name)
        return method(registry.parameters(method, self.given, label), context)


def _identity(value: Any) -> str:
    """A parameter as text; a file is known by its size and time, so that new weights are new results."""
    path = Path(str(value))
    if isinstance(value, str) and "/" in value and path.is_file():
        stat = path.stat()
        return f"{value}#{stat.st_size}#{stat.st_mtime_ns}"
    return str(value)


class _Run:
    def __init__(self, project: Project, plan: Plan, progress: Progress) -> None:
        self.project, self.plan, self.progress = project, plan, progress
        unknown = [s for s in plan.stages if s not in STAGES]
        if unknown:
            raise UsageError(f"no stage {unknown[0]!r}; there are: {', '.join(STAGES)}")
        self.records = chosen_records(project, plan.images)
        self.choices = {stage: self._choice(stage) for stage in STAGES}
        self.encoder_choice = self._encoder_choice()
        self._refuse_unknown_params()
        self.report = RunReport()
        self.context: Context | None = None
        self.encoder: _LazyEncoder | None = None
        self.recent = _Recent()

    # -------------------------------------------------------------- what was chosen

    def _choice(self, stage: StageName) -> _Choice:
        settings = self.project.settings
        name = self.plan.use.get(stage) or settings.use.get(stage) or DEFAULTS[stage]
        name = name.replace("-", "_")
        registry.module_of(KIND[stage], name)
        given = {**settings.params.get(name, {}), **self.plan.params.get(name, {}), **self.plan.params.get(stage, {})}
        return _Choice(KIND[stage], name, given)

    def _encoder_choice(self) -> _Choice:
        settings = self.project.settings
        name = (self.plan.encoder or settings.encoder or DEFAULT_ENCODER).replace("-", "_")
        registry.module_of("encoders", name)
        given = {**settings.params.get(name, {}), **self.plan.params.get(name, {})}
        return _Choice("encoders", name, {**given, **self.plan.params.get("encoder", {})})

    def _refuse_unknown_params(self) -> None:
        known = {*STAGES, "encoder", self.encoder_choice.name, *(c.name for c in self.choices.values())}
        for group in self.plan.params:
            if group not in known:
                there = ", ".join(sorted(known))
                raise UsageError(f"--param {group}: no such stage or chosen method; there are: {there}")

    # -------------------------------------------------------------- stages in order

    def all_stages(self) -> RunReport:
        start = time.perf_counter()
        keys: dict[str, dict[str, str]] = {stage: self.project.result_keys(RESULT[stage]) for stage in STAGES}
        for stage in STAGES:
            if stage in self.plan.stages:
                self._one_stage(stage, keys)
        self.report.seconds = time.perf_counter() - start
        return self.report

    def _one_stage(self, stage: StageName, keys: dict[str, dict[str, str]]) -> None:
        stale = []
        for record in self.records:
            wanted = self._key(stage, record, keys)
            if not self.plan.again and keys[stage].get(record.name) == wanted:
                self.report.up_to_date[stage] += 1
            else:
                stale.append((record, wanted))
        stale = [(r, k) for r, k in stale if self._can_be_fed(stage, r, keys)]
        if not stale:
            return
        method = self._make(stage)
        state = self._state(stage, method)
        if state is None:
            return
        total = len(stale)
        for done, ((record, key), result) in enumerate(self._results(stage, method, state, stale)):
            self.progress(done, total, f"{stage}: {record.name}")
            if result is not None:
                self.project.put_result(
                    record.name, RESULT[stage], result, key, self._provenance(stage, method, record)
                )
                keys[stage][record.name] = key
                self.report.computed[stage].append(record.name)
        self.progress(total, total, stage)

    def _key(self, stage: StageName, record: ImageRecord, keys: Mapping[str, Mapping[str, str]]) -> str:
        earlier = [keys[s].get(record.name, "") for s in STAGES[: STAGES.index(stage)]]
        uses_features = stage != "refine"
        encoder = self.encoder_choice.signature if uses_features else ""
        settings = self.project.settings
        return digest(
            self.choices[stage].signature,
            encoder,
            record.key,
            record.labels_digest,
            json.dumps([settings.seed, settings.point_radius, settings.classes.names]),
            *earlier,
        )

    def _can_be_fed(self, stage: StageName, record: ImageRecord, keys: Mapping[str, Mapping[str, str]]) -> bool:
        if stage == "refine" and record.name not in keys["pseudo"]:
            self._skip(f"{record.name}: refine skipped, it has no pseudo-labels")
            return False
        return True

    def _skip(self, line: str) -> None:
        if line not in self.report.skipped:
            self.report.skipped.append(line)

    # -------------------------------------------------------------- methods and what they learn

    def _make(self, stage: StageName) -> Any:
        context = self._context()
        choice = self.choices[stage]
        method = choice.make(context, stage)
        self.report.used[stage] = f"{choice.name}{f' ({method.model})' if method.model else ''}"
        return method

    def _context(self) -> Context:
        if self.context is None:
            from napari_wsss import device

            bare = Context(
                self.project.classes,
                device.choose(self.plan.device),
                self.project.settings.seed,
                self.progress,
                knowledge=_knowledge_file(self.project),
            )
            self.report.used["device"] = device.described(bare.device)
            self.encoder = _LazyEncoder(self, bare)
            self.context = dataclasses.replace(bare, encoder=cast("Encoder", self.encoder), features=self.features)
        return self.context

    def _lazy_encoder(self) -> Encoder:
        return cast("Encoder", self._context().encoder)

    def _state(self, stage: StageName, method: Any) -> State | None:
        if not hasattr(method, "fit"):
            return {}
        samples = [self._sample(r) for r in self.project.records() if r.state != "skipped"]
        key = digest(
            "state",
            self.choices[stage].signature,
            self.encoder_choice.signature,
            method.model,
            *(f"{r.key}{r.labels_digest}" for r in self.project.records() if r.state != "skipped"),
            *sorted(self.project.result_keys("cam").values() if stage != "cam" else ()),
        )
        cached = self.project.cache.get(key)
        if cached is not None:
            return cached
        try:
            state: State = method.fit([s for s in samples if s.labels])
        except CannotFeed as reason:
            self._skip(f"{stage} skipped: {reason}")
            return None
        self.project.cache.put(key, dict(state))
        return state

    def _results(
        self, stage: StageName, method: Any, state: State, stale: Sequence[tuple[ImageRecord, str]]
    ) -> Iterator[tuple[tuple[ImageRecord, str], Any]]:
        batched: Callable[..., Any] | None = getattr(method, "call_batch", None)
        on_cpu = self._context().device == "cpu"
        if batched is None or on_cpu:
            for pair in stale:
                yield pair, self._attempt(stage, pair[0], lambda s: method(s, state))
            return
        for i in range(0, len(stale), _BATCH):
            pairs = stale[i : i + _BATCH]
            samples = [self._sample(r) for r, _ in pairs]
            try:
                results = batched(samples, state)
            except (CannotFeed, UnreadableImage):
                results = [self._attempt(stage, r, lambda s: method(s, state)) for r, _ in pairs]
            yield from zip(pairs, results, strict=True)

    def _attempt(self, stage: StageName, record: ImageRecord, call: Callable[[Sample], Any]) -> Any:
        """The method's result, or None with a line in the report: one bad image does not stop the others."""
        try:
            return call(self._sample(record))
        except Cancelled:
            raise
        except CannotFeed as reason:
            self._skip(f"{record.name}: {stage} skipped, {_tail(str(reason), record.name)}")
        except UnreadableImage as reason:
            self.report.failed.append(str(reason))
        return None

    # -------------------------------------------------------------- samples and features

    def _sample(self, record: ImageRecord) -> Sample:
        return sample_of(self.project, record, self.features)

    def features(self, image: Image) -> Features:
        """Dense features of the chosen encoder, through memory and the project's cache.

        Kept at half precision, and rounded so when fresh too: a run from the cache gives the same pixels.
        """
        key = digest("features", self.encoder_choice.signature, image.key, str(image.rgb_channels), str(image.shape))
        held = self.recent.get(key) or self.project.cache.get(key)
        if held is None:
            features = self._lazy_encoder().encode(image)
            held = {"data": features.data.astype(np.float16), "stride": np.array(features.stride)}
            self.project.cache.put(key, held)
        self.recent.put(key, held)
        return Features(held["data"].astype(np.float32), float(held["stride"]))

    def _provenance(self, stage: StageName, method: Any, record: ImageRecord) -> Provenance:
        sources = [f"image {record.sha256}", f"labels {record.labels_digest}"]
        if self.encoder is not None and stage != "refine":
            sources.append(f"encoder {self.encoder_choice.signature} {self.encoder.used_model}".strip())
        params = {k: _plain(v) for k, v in dataclasses.asdict(method.params).items()}
        name = f"{KIND[stage]}/{self.choices[stage].name}"
        return Provenance("method", name, now(), params, method.model, tuple(sources), __version__)


class _Recent:
    """The features used last, in memory, bounded in bytes: fitting and predicting read each image twice."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self._limit, self._held = limit, dict[str, dict[str, NDArray[Any]]]()

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        held = self._held.pop(key, None)
        if held is not None:
            self._held[key] = held
        return held

    def put(self, key: str, arrays: dict[str, NDArray[Any]]) -> None:
        self._held.pop(key, None)
        self._held[key] = arrays
        while len(self._held) > 1 and sum(a.nbytes for h in self._held.values() for a in h.values()) > self._limit:
            del self._held[next(iter(self._held))]


class _LazyEncoder:
    """The run's encoder, made when first used: a stage that needs no features loads no weights."""

    def __init__(self, run: _Run, context: Context) -> None:
        self._run, self._bare = run, context
        self._made: Encoder | None = None

    def _encoder(self) -> Encoder:
        if self._made is None:
            choice = self._run.encoder_choice
            self._made = choice.make(self._bare, "encoder")
            model = f" ({self._made.model})" if self._made.model else ""
            self._run.report.used["encoder"] = choice.name + model
        return self._made

    @property
    def used_model(self) -> str:
        return self._made.model if self._made else ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._encoder(), name)


def sample_of(project: Project, record: ImageRecord, features: Callable[[Image], Features]) -> Sample:
    """An image of a project as methods see it: everything is loaded when first asked for."""
    labels: WeakLabels = project.labels(record.name)

    def image() -> Image:
        return project.image(record.name)

    def target() -> WeakTarget:
        return compile_target(
            labels, project.classes, record.shape, sample.image.valid, point_radius=project.settings.point_radius
        )

    def cam() -> Cam | None:
        result = project.result(record.name, "cam")
        return result if isinstance(result, Cam) else None

    def pseudo() -> PseudoLabels | None:
        result = project.result(record.name, "pseudo")
        return result if isinstance(result, PseudoLabels) else None

    sample = Sample(record.name, labels, target, image, lambda: features(sample.image), cam, pseudo)
    return sample


def accept(
    project: Project,
    names: Sequence[str] | None,
    what: Literal["refined", "pseudo"] = "refined",
    box: tuple[int, int, int, int] | None = None,
) -> tuple[list[str], list[str]]:
    """Accept what a stage made as ground truth, for whole images or one region.

    Returns
    -------
    accepted, lacking : lists of names
        Images whose masks were accepted, and those without such a result.
    """
    accepted, lacking = [], []
    for record in chosen_records(project, names):
        result = project.result(record.name, what)
        if result is None:
            lacking.append(record.name)
            continue
        mask = result if isinstance(result, Mask) else Mask(result.labels)  # type: ignore[union-attr]
        maker = project.result_provenance(record.name, what)
        source = (f"{maker.name} {maker.model} {maker.version}".replace("  ", " "),) if maker else ()
        project.accept(record.name, mask, by_person(f"accept {what}", source), box)
        accepted.append(record.name)
    return accepted, lacking


def chosen_records(project: Project, names: Sequence[str] | None) -> list[ImageRecord]:
    """Records of the named images, or of all.

    Raises
    ------
    UsageError
        For a name that no image has.
    """
    if names is None:
        return project.records()
    return [project.record(n) for n in dict.fromkeys(names)]


def by_person(what: str, sources: tuple[str, ...] = ()) -> Provenance:
    """Provenance of something a person did now."""
    return Provenance("person", what, now(), sources=sources, version=__version__)


def now() -> str:
    """ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _knowledge_file(project: Project) -> Path | None:
    path = project.folder / "knowledge.toml"
    return path if path.is_file() else None


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _tail(reason: str, name: str) -> str:
    return reason.removeprefix(f"{name}: ")


__all__ = ["DEFAULTS", "STAGES", "Plan", "RunReport", "WsssError", "accept", "chosen_records", "run", "sample_of"]
