"""A run's folder: settings, metrics as JSON lines, checkpoint, and the weights that others use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_wsss.errors import UsageError
from napari_wsss.project.atomic import TEMPORARY, write_bytes
from napari_wsss.training.settings import Training

RUNS = "runs"
WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
SETTINGS = "training.json"


def _nobody(values: Mapping[str, Any]) -> None:
    """Watches nothing; a function with a name, since a run's folder is told to other processes."""


class RunFolder:
    """``PROJECT/runs/N/``. Every file but the metrics is replaced whole; a line of metrics is appended whole."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder, self._temporary = folder, temporary
        self.watcher: Callable[[Mapping[str, Any]], None] = _nobody
        """Told of each line of metrics."""

    @property
    def number(self) -> int:
        return int(self.folder.name)

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def settings(self) -> Training:
        """As the run was begun."""
        return Training.from_json((self.folder / SETTINGS).read_text(encoding="utf-8"))

    def write(self, name: str, data: bytes) -> None:
        write_bytes(self.folder / name, data, self._temporary)

    def add_metrics(self, values: Mapping[str, Any]) -> None:
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        self.watcher(values)

    def metrics(self) -> list[dict[str, Any]]:
        """All lines; a last line that a killed process left half written is not one."""
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        return [json.loads(line) for line in lines[:-1] if line]

    def forget_metrics_after(self, step: int) -> None:
        """Drop lines of steps that will be done again."""
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line.get("step", 0) <= step]
        self.write(METRICS, "".join(kept).encode())


def runs(project: Path) -> list[RunFolder]:
    """All runs of a project folder, oldest first."""
    folder = project / RUNS
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
    return [RunFolder(folder / str(n), project / TEMPORARY) for n in numbers]


def new_run(project: Path, settings: Training) -> RunFolder:
    """The folder of the next run, its settings written."""
    before = runs(project)
    number = before[-1].number + 1 if before else 1
    run = RunFolder(project / RUNS / str(number), project / TEMPORARY)
    run.folder.mkdir(parents=True)
    run.write(SETTINGS, settings.to_json().encode())
    return run


def run_to_resume(project: Path) -> RunFolder:
    """The newest run.

    Raises
    ------
    UsageError
        There is none, or it has no checkpoint yet.
    """
    found = runs(project)
    if not found:
        raise UsageError(f"{project}: no run to resume; begin one with `napari-wsss train`")
    if not found[-1].checkpoint.is_file():
        raise UsageError(f"{found[-1].folder}: was ended before its first checkpoint; begin a new run")
    return found[-1]


def has_segmenter(project: Path) -> bool:
    """Whether a run of the project has weights."""
    return any(run.weights.is_file() for run in runs(project))


def newest_weights(project: Path) -> Path:
    """Weights of the newest run that has some.

    Raises
    ------
    UsageError
        No run of the project has weights.
    """
    found = [run.weights for run in runs(project) if run.weights.is_file()]
    if not found:
        raise UsageError(f"{project}: no trained segmenter yet; train one with `napari-wsss train`")
    return found[-1]
