"""What a run was asked for, and which methods that means: the plan's word before the project's before the default.

Nothing here imports a method until its parameters must be checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_wsss import registry
from napari_wsss.errors import UsageError
from napari_wsss.project import Settings
from napari_wsss.protocols import Context

StageName = Literal["cam", "pseudo", "refine"]
STAGES: tuple[StageName, ...] = ("cam", "pseudo", "refine")
KIND: Mapping[StageName, str] = {"cam": "cams", "pseudo": "label_models", "refine": "refiners"}
DEFAULTS: Mapping[StageName, str] = {"cam": "head", "pseudo": "pooled", "refine": "embedded"}
DEFAULT_ENCODER = "filters"
DEFAULT_ENCODERS: Mapping[StageName, str] = {"cam": "fused", "pseudo": DEFAULT_ENCODER, "refine": DEFAULT_ENCODER}
"""Without a click, objects must be known by what they belong to; with clicks, by what their pixels look like.

Measured in docs/encoders.md.
"""
DEFAULT_SEGMENTER = "embedded"
RESULT: Mapping[StageName, Literal["cam", "pseudo", "refined"]] = {
    "cam": "cam",
    "pseudo": "pseudo",
    "refine": "refined",
}


@dataclass(frozen=True)
class Plan:
    """What to compute and how.

    Attributes
    ----------
    stages : stages to compute, of :data:`STAGES`
    use : stage to method; what is absent comes from the project's settings, then :data:`DEFAULTS`
    encoder : encoder of the dense features of all stages; None = the project's, then :data:`DEFAULT_ENCODERS`
    params : parameters by stage (``cam``), ``encoder`` (of pseudo-labels where stages differ), or method name
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


@dataclass(frozen=True)
class Choice:
    """A method as chosen: kind, name, parameters given. Its signature needs no import of the method."""

    kind: str
    name: str
    given: Mapping[str, Any]
    label: str

    @property
    def signature(self) -> str:
        values = {key: _identity(value) for key, value in sorted(self.given.items())}
        return f"{self.kind}/{self.name}{json.dumps(values)}"

    def parameters(self) -> Any:
        """The method's ``Params``. Imports the method; raises UsageError for a name or value that does not fit."""
        return registry.parameters(registry.load(self.kind, self.name), self.given, self.label)

    def make(self, context: Context) -> Any:
        return registry.load(self.kind, self.name)(self.parameters(), context)


@dataclass(frozen=True)
class Choices:
    """The methods of a run, and the encoders of their features, by stage."""

    stages: Mapping[StageName, Choice]
    encoders: Mapping[StageName, Choice]


def choices(plan: Plan, settings: Settings) -> Choices:
    """The methods that a plan and a project's settings mean.

    Raises
    ------
    UsageError
        For an unknown stage or method, or parameters of something that was not chosen.
    """
    unknown = [s for s in (*plan.stages, *plan.use) if s not in STAGES]
    if unknown:
        raise UsageError(f"no stage {unknown[0]!r}; there are: {', '.join(STAGES)}")
    stages = {}
    for stage in STAGES:
        name = plan.use.get(stage) or settings.use.get(stage) or DEFAULTS[stage]
        stages[stage] = _choice(KIND[stage], name, stage, plan, settings)
    encoders = {stage: _encoder(stage, plan, settings) for stage in STAGES}
    known = {*STAGES, "encoder", *(c.name for c in (*encoders.values(), *stages.values()))}
    for group in plan.params:
        if group not in known:
            there = ", ".join(sorted(known))
            raise UsageError(f"--param {group}: no such stage or chosen method; there are: {there}")
    return Choices(stages, encoders)


def _encoder(stage: StageName, plan: Plan, settings: Settings) -> Choice:
    told = plan.encoder or settings.encoder
    name = told or DEFAULT_ENCODERS[stage]
    return _choice("encoders", name, "encoder" if told or name == DEFAULT_ENCODER else name, plan, settings)


def _choice(kind: str, name: str, label: str, plan: Plan, settings: Settings) -> Choice:
    name = name.replace("-", "_")
    registry.module_of(kind, name)
    given = {**settings.params.get(name, {}), **plan.params.get(name, {}), **plan.params.get(label, {})}
    return Choice(kind, name, given, label)


def _identity(value: Any) -> str:
    """A parameter as text; a file is known by its size and time, so that new weights are new results."""
    path = Path(str(value))
    if isinstance(value, str) and "/" in value and path.is_file():
        stat = path.stat()
        return f"{value}#{stat.st_size}#{stat.st_mtime_ns}"
    return str(value)
