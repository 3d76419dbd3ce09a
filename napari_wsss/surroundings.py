"""What surrounds the methods of a run: the device, the project's classes, and each stage's encoder and its features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import cast

from napari_wsss.choices import Choices, StageName
from napari_wsss.dense_features import DenseFeatures
from napari_wsss.project import Project
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import Progress


class Surroundings:
    """The context of each stage. Stages whose encoders are chosen alike share one, and its features.

    Parameters
    ----------
    stages : stages that will be computed; their parameters are checked before anything is
    device : as the person said it
    leaving : is given what must be put back at the end of the run
    """

    def __init__(
        self,
        project: Project,
        chosen: Choices,
        stages: Iterable[StageName],
        device: str,
        progress: Progress,
        leaving: ExitStack,
    ) -> None:
        self._project, self._chosen, self._stages = project, chosen, tuple(stages)
        self._device, self._progress, self._leaving = device, progress, leaving
        self._features: dict[str, DenseFeatures] = {}
        self._elsewhere: dict[StageName, str] = {}

    def context(self, stage: StageName) -> Context:
        """What a method of this stage is given. Raises UsageError for a parameter that does not fit, of any stage."""
        features = self.features(stage)
        return dataclasses.replace(self._bare, encoder=cast("Encoder", features.encoder), features=features)

    def features(self, stage: StageName) -> DenseFeatures:
        """Of the stage's encoder, through memory and the project's cache."""
        choice = self._chosen.encoders[stage]
        if choice.signature not in self._features:
            self._features[choice.signature] = DenseFeatures(choice, self._bare, self._project.cache)
        return self._features[choice.signature]

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self._bare.device

    def used_by_worker(self, stage: StageName, encoder: str | None) -> None:
        """Remember which encoder another process used."""
        if encoder is not None:
            self._elsewhere[stage] = encoder

    def encoder_used(self, stage: StageName) -> str:
        """Name and model of the encoder that was used for a stage, here or by a worker; "" while nobody used it."""
        made = self._features.get(self._chosen.encoders[stage].signature)
        return (made and made.encoder.used) or self._elsewhere.get(stage, "")

    def encoders_used(self, stages: Iterable[StageName]) -> str:
        """The encoders of these stages, in words; "" while nobody used any."""
        by = {stage: self.encoder_used(stage) for stage in stages}
        names = list(dict.fromkeys(filter(None, by.values())))
        own = [f"{name} for {' and '.join(s for s in by if by[s] == name)}" for name in names[:-1]]
        return ", ".join([*own, *(f"else {name}" if own else name for name in names[-1:])])

    @property
    def described(self) -> str:
        """The device, in words."""
        from napari_wsss import device

        return device.described(self._bare.device)

    @cached_property
    def _bare(self) -> Context:
        from napari_wsss import device

        for choice in (*self._chosen.encoders.values(), *(self._chosen.stages[s] for s in self._stages)):
            choice.parameters()
        self._leaving.enter_context(device.few_threads())
        return Context(
            self._project.classes,
            device.choose(self._device),
            self._project.settings.seed,
            self._progress,
            knowledge=knowledge_file(self._project),
        )


def knowledge_file(project: Project) -> Path | None:
    """What a person wrote of the classes, where they did."""
    path = project.folder / "knowledge.toml"
    return path if path.is_file() else None
