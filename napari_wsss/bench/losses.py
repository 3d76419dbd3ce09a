"""What each part of the trainer's loss is worth: the default with and without it, on cached features.

Taught by strokes on the training split, scored on the test split, several seeds. Sets beyond the first two are left out
unless asked for by name. Finished rows are kept in ``losses.jsonl``, projects with their features beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from napari_wsss import home
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._finished import Finished
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
    folder = setting.results or home.home() / "bench"
    results = Finished(folder / "losses.jsonl", "losses")
    seeds = range(setting.seeds or SEEDS)
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as scratch:
        work = Path(scratch)
        sets = setting.sets or write_sets(work / "drawn", tests=2)
        total = len(sets) * len(seeds) * len(VARIANTS)
        done = 0
        for path in sets:
            train, test = read_set(path, "train"), read_set(path, "test")
            hints = hints_of(train, work / "hints" / train.name, setting)
            basis = budgeted(setting, MINUTES, SEGMENTER)
            kept = work / "projects" / train.name
            found: dict[str, list[float]] = {}
            for variant, change in VARIANTS.items():
                for seed in seeds:
                    setting.progress(done, total, f"losses {train.name} {variant}, seed {seed}")
                    training = replace(basis, seed=seed, **change)
                    lesson = Lesson(train, test, hints, "ours", LABELS, training, setting.threads or 1, kept)
                    found.setdefault(variant, []).append(float(learnt(lesson, results, work)["miou"]))
                    done += 1
            yield from _rows(train.name, basis.segmenter, found)
        setting.progress(total, total, "losses")


def _rows(name: str, segmenter: str, found: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    """Gains are paired by seed: with a part less without it, whichever of both is the default."""
    default = found[DEFAULT]
    for variant, values in found.items():
        yield score(name, f"miou.{variant}", segmenter, mean(values), "share", mean(default))
        if variant != DEFAULT:
            sign = -1 if variant.startswith("without") else 1
            gains = [sign * (a - b) for a, b in zip(values, default, strict=True)]
            part = variant.partition(" ")[2]
            yield Row(name, f"gain.{part}", segmenter, mean(gains), "share")
            yield Row(name, f"std_of_gain.{part}", segmenter, pstdev(gains), "share")
