"""The whole way from points or strokes to masks beside a random forest on filter features."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._hints import classes_of, hints_of
from napari_wsss.bench._rows import Row, Setting, cost, score
from napari_wsss.bench._sets import ImageSet, read_set
from napari_wsss.bench._timing import has_cuda, job, need_sklearn
from napari_wsss.errors import UsageError
from napari_wsss.evaluation import Case, Figures, TruthFolder, evaluate, hinted
from napari_wsss.types import Bool, ImportedLabels, WeakLabels
from napari_wsss.weak_labels import FoundImage, read_points, read_scribbles

_THREADS = 2
KINDS = ("points", "scribbles")
_FIGURES = ("miou", "miou_unhinted", "coverage")  # more is better
_ERRORS = ("fp_ratio", "fn_ratio")


def measure(setting: Setting) -> Iterator[Row]:
    """Figures of both and wall seconds of both: new processes, an empty project, no cache, masks written as PNG.

    Each side's seconds are those of its whole process: interpreter, imports, reading, learning, writing.
    """
    need_sklearn("loop")
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        work = Path(folder)
        sets = [read_set(path) for path in setting.sets or write_sets(work / "drawn")]
        total = len(sets) * len(KINDS)
        for n, of in enumerate(sets):
            hints = hints_of(of, work / "hints" / of.name, setting)
            for m, kind in enumerate(KINDS):
                setting.progress(n * len(KINDS) + m, total, f"loop {of.name} {kind}")
                yield from _one_kind(of, kind, hints, work / of.name / kind, setting)
        setting.progress(total, total, "loop")


def _one_kind(of: ImageSet, kind: str, hints: Path, work: Path, setting: Setting) -> Iterator[Row]:
    chosen = "".join(f" {stage}={method}" for stage, method in setting.use.items())
    label = f"{of.name} {kind}{' hurry' if setting.hurry else ''}{chosen}"
    task = {
        "images": [str(path.resolve()) for path in of.images],
        "classes": of.classes,
        "points": str(hints / "points.csv") if kind == "points" else None,
        "scribbles": str(hints / "scribbles") if kind == "scribbles" else None,
        "use": dict(setting.use),
        "threads": setting.threads or _THREADS,
    }
    forest_seconds, forest = _run("_forest", task, work / "forest")
    scorer = _Scorer(of, kind, hints)
    reference = scorer.figures(forest)
    yield from _rows(label, "forest", reference, reference)
    yield cost(label, "seconds", "forest", forest_seconds, "s", forest_seconds)
    for device in ("cpu", "cuda") if has_cuda() else ("cpu",):
        seconds, out = _run("_loop_job", {**task, "device": device}, work / device)
        suffix = "" if device == "cpu" else f"_{device}"
        for what in ("pseudo", "refined"):
            yield from _rows(label, what + suffix, scorer.figures(out / what), reference)
        yield cost(label, "seconds", f"ours{suffix}", seconds, "s", forest_seconds)


def _rows(of: str, method: str, found: dict[str, float], reference: dict[str, float]) -> Iterator[Row]:
    for what in _FIGURES:
        yield score(of, what, method, found[what], "share", reference[what])
    for what in _ERRORS:
        yield cost(of, what, method, found[what], "share", reference[what])


def _run(module: str, task: dict[str, Any], out: Path) -> tuple[float, Path]:
    """Wall seconds of one side, and the folder that holds its masks."""
    out.mkdir(parents=True)
    file = out / "task.json"
    file.write_text(json.dumps({**task, "out": str(out)}), encoding="utf-8")
    seconds, _ = job(f"napari_wsss.bench.{module}", [str(file)], task["threads"])
    return seconds, out


class _Images:
    """The set's images as the readers of label files look for them."""

    def __init__(self, shapes: dict[str, tuple[int, int]]) -> None:
        self._found = {Path(name).stem: FoundImage(name, shape) for name, shape in shapes.items()}

    def find(self, name: str) -> FoundImage:
        found = self._found.get(name) or self._found.get(Path(name).stem)
        if found is None:
            raise UsageError(f"unknown image {name!r}")
        return found

    def planes(self, name: str) -> Sequence[FoundImage]:
        return [self.find(name)]

    def all(self) -> Sequence[FoundImage]:
        return list(self._found.values())


class _Scorer:
    """Scores folders of masks against a set's truth, with and without the pixels that bear a hint."""

    def __init__(self, of: ImageSet, kind: str, hints: Path) -> None:
        self._of, self._classes = of, classes_of(of)
        self._truth = TruthFolder(of.folder, self._classes, [path.name for path in of.images])
        shapes = {p.name: m.shape for p in of.images if (m := self._truth.mask(p.name)) is not None}
        images = _Images({name: (h, w) for name, (h, w) in shapes.items()})
        if kind == "points":
            found = read_points(hints / "points.csv", images, self._classes).by_image
        else:
            found = read_scribbles(hints / "scribbles", images, self._classes).by_image
        self._hinted: dict[str, Bool] = {
            name: hinted(WeakLabels(marks=found.get(name, ImportedLabels()).marks), (h, w))
            for name, (h, w) in shapes.items()
        }

    def figures(self, folder: Path) -> dict[str, float]:
        """``miou``, ``coverage``, ``fp_ratio`` and ``fn_ratio`` over all scored pixels; ``miou_unhinted``."""
        every, unhinted = (evaluate(self._cases(folder, left), self._classes) for left in (False, True))
        return {**_chosen(every), "miou_unhinted": unhinted.miou}

    def _cases(self, folder: Path, leave_hints_out: bool) -> Iterator[Case]:
        for path in self._of.images:
            truth = self._truth.mask(path.name)
            if truth is None:
                continue
            file = folder / f"{path.stem}.png"
            answer = np.asarray(Picture.open(file)).astype(np.uint16) if file.exists() else None
            yield Case(path.name, truth, answer, left_out=self._hinted[path.name] if leave_hints_out else None)


def _chosen(figures: Figures) -> dict[str, float]:
    return {name: float(getattr(figures, name)) for name in ("miou", "coverage", *_ERRORS)}
