"""What a segmenter learns from strokes and points, beside the same one taught by masks and a random forest.

Taught by the training split of each set, scored on its test split. The ceiling is the same segmenter with the same
budget and every mask of the training images. Finished rows are kept in ``learn.jsonl``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from napari_wsss.bench._dealing import Dealer, Unit, budget_in
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._hints import hints_of
from napari_wsss.bench._learning import Lesson, Side, budgeted, learnt
from napari_wsss.bench._rows import Row, Setting, score
from napari_wsss.bench._sets import read_set
from napari_wsss.bench._timing import need_sklearn

MINUTES = 5.0
WANTED = {"scribbles": 0.95, "points": 0.85}
"""Share of the ceiling's mIoU that is wanted on average."""
_LEAD = {"points": 0.10, "masks": 0.05}
_UNITS: tuple[tuple[Side, str], ...] = (
    ("forest", "scribbles"),
    ("forest", "points"),
    ("ours", "scribbles"),
    ("ours", "points"),
    ("ours", "masks"),
)

Found = dict[tuple[Side, str], dict[str, Any]]  # (side, labels) to the stored row


def measure(setting: Setting) -> Iterator[Row]:
    """mIoU of each side and kind of label, shares of the ceiling, what was spent; means over the sets at the end.

    Raises
    ------
    WsssError, UsageError
        scikit-learn is missing, a set cannot be read, or a side fails.
    """
    if not setting.stored:
        need_sklearn("learn")
    every: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        work = Path(folder)
        folders = setting.sets or write_sets(work / "drawn", tests=2)
        deal = Dealer("learn", setting, len(folders) * len(_UNITS))
        for path in folders:
            name, lessons = _lessons(path, work, setting)
            rows = deal(
                Unit(f"{name} {side} {labels}", lesson.key, partial(learnt, lesson, work))
                for (side, labels), lesson in lessons.items()
            )
            if setting.shard is None and len(rows) == len(lessons):
                every[name] = {unit: rows[lesson.key] for unit, lesson in lessons.items()}
                yield from _rows(name, every[name])
        deal.tell()
    if every:
        yield from _means(every)


def _lessons(path: Path, work: Path, setting: Setting) -> tuple[str, dict[tuple[Side, str], Lesson]]:
    """A set's name, and what is to be learnt from it."""
    train, test = read_set(path, "train"), read_set(path, "test")
    hints = hints_of(train, work / "hints" / train.name, setting)
    training, threads = budgeted(setting, MINUTES, None), setting.threads or 1
    return train.name, {
        (side, labels): Lesson(train, test, hints, side, labels, training, threads, device=setting.device)
        for side, labels in _UNITS
    }


def _rows(name: str, found: Found) -> Iterator[Row]:
    """References: the forest with the same hints, for masks the one with strokes; for shares what is wanted."""
    ceiling = found["ours", "masks"]["miou"]
    segmenter = str(found["ours", "masks"]["segmenter"])
    for labels in WANTED:
        forest = found["forest", labels]["miou"]
        yield score(name, f"miou.{labels}", "forest", forest, "share", forest)
        yield score(name, f"miou.{labels}", segmenter, found["ours", labels]["miou"], "share", forest)
    yield score(name, "miou.masks", segmenter, ceiling, "share", found["forest", "scribbles"]["miou"])
    for labels, wanted in WANTED.items():
        yield score(name, f"of_ceiling.{labels}", segmenter, found["ours", labels]["miou"] / ceiling, "share", wanted)
    used, minutes, unit = budget_in(found["ours", "masks"])
    yield Row(name, "budget", f"{segmenter}, {used}", minutes, unit)
    spent = "cpu_seconds" if unit.startswith("CPU") else "train_seconds"
    for labels in (*WANTED, "masks"):
        yield Row(name, f"{spent}.{labels}", segmenter, float(found["ours", labels][spent]), "s")
        yield Row(name, f"steps.{labels}", segmenter, float(found["ours", labels]["steps"]), "steps")


def _means(every: Mapping[str, Found]) -> Iterator[Row]:
    """Over all sets: shares of the ceiling, and the leads over the forest (masks: over the forest with strokes)."""
    segmenter = str(next(iter(every.values()))["ours", "masks"]["segmenter"])
    for labels, wanted in WANTED.items():
        share = mean(f["ours", labels]["miou"] / f["ours", "masks"]["miou"] for f in every.values())
        yield score("mean", f"of_ceiling.{labels}", segmenter, share, "share", wanted)
    for labels in (*WANTED, "masks"):
        than = "scribbles" if labels == "masks" else labels
        lead = mean(f["ours", labels]["miou"] - f["forest", than]["miou"] for f in every.values())
        least = _LEAD.get(labels)
        yield Row("mean", f"lead.{labels}", segmenter, lead, "share", least, None if least is None else lead / least)
