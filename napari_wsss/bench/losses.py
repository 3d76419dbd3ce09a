"""What each part of the trainer's loss is worth: the default with and without it, on cached features.

Taught by strokes on the training split, scored on the test split, several seeds. Finished rows are kept in
``losses.jsonl``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from napari_wsss.bench._dealing import Dealer, Unit, budget_in
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._hints import hints_of
from napari_wsss.bench._learning import Lesson, budgeted, learnt
from napari_wsss.bench._rows import Row, Setting, score
from napari_wsss.bench._sets import read_set

MINUTES, SEEDS, SEGMENTER = 2.0, 3, "frozen"
LABELS = "scribbles"
DEFAULT = "default"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    "without completing": {"noisy": 0.0},
    "without doubt": {"doubt": 0.0},
    "without dice": {"dice": 0.0},
    "without balance": {"balance": False},
    "with gaussian": {"gaussian": 0.1},
    "with cw-bass": {"unlabelled": "cw-bass"},
    "with unimatch": {"unlabelled": "unimatch"},
    "with unimatch, unchecked": {"unlabelled": "unimatch", "content_check": False},
    "with hardness": {"hardness": True},
}
"""One change of the default each. Strokes rule no class out, so that ``allowed`` has nothing to do here."""


def measure(setting: Setting) -> Iterator[Row]:
    """mIoU of each variant, mean over the seeds, beside the default's; what it gains, and the spread of that.

    Raises
    ------
    WsssError, UsageError
        A set cannot be read, or a training fails.
    """
    seeds = range(setting.seeds or SEEDS)
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as scratch:
        work = Path(scratch)
        sets = setting.sets or write_sets(work / "drawn", tests=2)
        deal = Dealer("losses", setting, len(sets) * len(seeds) * len(VARIANTS))
        for path in sets:
            name, lessons = _lessons(path, work, seeds, setting)
            rows = deal(
                Unit(f"{name} {variant}, seed {seed}", lesson.key, partial(learnt, lesson, work))
                for (variant, seed), lesson in lessons.items()
            )
            if setting.shard is None and len(rows) == len(lessons):
                found: dict[str, list[dict[str, Any]]] = {}
                for (variant, _), lesson in lessons.items():
                    found.setdefault(variant, []).append(rows[lesson.key])
                yield from _rows(name, found)
        deal.tell()


def _lessons(
    path: Path, work: Path, seeds: Sequence[int], setting: Setting
) -> tuple[str, dict[tuple[str, int], Lesson]]:
    """A set's name, and its trainings by variant and seed, in one project so that features are computed once."""
    train, test = read_set(path, "train"), read_set(path, "test")
    hints = hints_of(train, work / "hints" / train.name, setting)
    basis, threads = budgeted(setting, MINUTES, SEGMENTER), setting.threads or 1
    kept = work / "projects" / train.name
    return train.name, {
        (variant, seed): Lesson(
            train, test, hints, "ours", LABELS, replace(basis, seed=seed, **change), threads, kept, setting.device
        )
        for variant, change in VARIANTS.items()
        for seed in seeds
    }


def _rows(name: str, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Row]:
    """Gains are paired by seed: with a part less without it, whichever of both is the default."""
    segmenter = str(found[DEFAULT][0]["segmenter"])
    default = [float(row["miou"]) for row in found[DEFAULT]]
    for variant, rows in found.items():
        values = [float(row["miou"]) for row in rows]
        yield score(name, f"miou.{variant}", segmenter, mean(values), "share", mean(default))
        if variant != DEFAULT:
            sign = -1 if variant.startswith("without") else 1
            gains = [sign * (a - b) for a, b in zip(values, default, strict=True)]
            part = variant.partition(" ")[2]
            yield Row(name, f"gain.{part}", segmenter, mean(gains), "share")
            yield Row(name, f"std_of_gain.{part}", segmenter, pstdev(gains), "share")
    used, minutes, unit = budget_in(found[DEFAULT][0])
    yield Row(name, "budget", f"{segmenter}, {used}", minutes, unit)
    yield Row(name, "steps", segmenter, mean(float(row["steps"]) for rows in found.values() for row in rows), "steps")
