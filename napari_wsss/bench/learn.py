"""What a segmenter learns from strokes and points, beside the same one taught by masks and a random forest.

Taught by the training split of each set, scored on its test split. The ceiling is the same segmenter with the same
budget and every mask of the training images. Finished rows are kept in ``learn.jsonl``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from napari_wsss import home
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._finished import Finished
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
    """mIoU of each side and kind of label, shares of the ceiling, CPU seconds; the means over all sets at the end.

    Raises
    ------
    WsssError, UsageError
        scikit-learn is missing, a set cannot be read, or a side fails.
    """
    need_sklearn("learn")
    results = Finished((setting.results or home.home() / "bench") / "learn.jsonl", "learn")
    every: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        work = Path(folder)
        folders = setting.sets or write_sets(work / "drawn", tests=2)
        for n, path in enumerate(folders):
            train, test = read_set(path, "train"), read_set(path, "test")
            hints = hints_of(train, work / "hints" / train.name, setting)
            found = every.setdefault(train.name, {})
            for m, (side, labels) in enumerate(_UNITS):
                total = len(folders) * len(_UNITS)
                setting.progress(n * len(_UNITS) + m, total, f"learn {train.name} {side} {labels}")
                lesson = Lesson(
                    train, test, hints, side, labels, budgeted(setting, MINUTES, None), setting.threads or 1
                )
                found[side, labels] = learnt(lesson, results, work)
            yield from _rows(train.name, found)
        setting.progress(1, 1, "learn")
    yield from _means(every)


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
    for labels in (*WANTED, "masks"):
        yield Row(name, f"cpu_seconds.{labels}", segmenter, float(found["ours", labels]["cpu_seconds"]), "s")


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
