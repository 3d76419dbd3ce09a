"""Which regions to ask about: strategies beside random ones, with the annotator played from the truth.

The learner is a light head on frozen features that are computed once. Plays are kept in projects below the folder of
results, so that the same command goes on. The first two sets are also played with the other strategies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from napari_wsss import home, registry
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._rows import Row, Setting, score
from napari_wsss.bench._sets import ImageSet, read_set
from napari_wsss.device import torch_threads
from napari_wsss.project import Project
from napari_wsss.simulation import Play, simulate, summary
from napari_wsss.simulation.curve import CEILING, Summary, between
from napari_wsss.simulation.play import REFIT

BUDGET, ROUNDS, SEEDS = 0.05, 5, 5
MINUTES = 0.25
"""CPU minutes of a refit, at most."""
MAIN = ("ripu", "entropy", "random")
_NEEDS_VIEWS = "disagreement"  # plays predict one view
ENCODER = "fused"
WANTED = 0.95


def measure(setting: Setting) -> Iterator[Row]:
    """Areas under the learning curves, beside random's; the last mIoU as a share of the ceiling; who won how often.

    Raises
    ------
    WsssError, UsageError
        A set cannot be read or played.
    """
    folder = (setting.results or home.home() / "bench") / "asking"
    every: dict[str, Mapping[str, Summary]] = {}
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as scratch, torch_threads(setting.threads or 1):
        sets = setting.sets or write_sets(Path(scratch), tests=2)
        for n, path in enumerate(sets):
            train, test = read_set(path, "train"), read_set(path, "test")
            strategies = (*MAIN, *others()) if n < 2 else MAIN
            found = played(train, test, strategies, folder / train.name, setting)
            every[train.name] = found
            yield from _rows(train.name, found)
    yield from _over_all(every)


def others() -> tuple[str, ...]:
    """The strategies that are played on two sets only."""
    return tuple(name for name in registry.names("acquisition") if name not in (*MAIN, _NEEDS_VIEWS))


def played(
    train: ImageSet, test: ImageSet, strategies: Sequence[str], folder: Path, setting: Setting
) -> Mapping[str, Summary]:
    """The curve of each strategy and of the ceiling."""
    training = replace(
        REFIT,
        segmenter=setting.segmenter or REFIT.segmenter,
        encoder=setting.use.get("encoder", ENCODER),
        minutes=setting.minutes or MINUTES,
        clock="cpu",
        threads=setting.threads or 1,
    )
    made = Project.open(folder) if folder.exists() else Project.create(folder, train.classes)
    with made as project:
        project.add_images([*train.images, *test.images])
        tests = {path.resolve() for path in test.images}
        names = tuple(r.name for r in project.records() if Path(r.file).resolve() in tests)
        play = Play(strategies, "regions", BUDGET, ROUNDS, setting.seeds or SEEDS, training, names, spacing="growing")
        rows = simulate(project, train.folder, play, device="cpu", progress=setting.progress)
    return {curve.strategy: curve for curve in summary(rows)}


# --------------------------------------------------------------------------- figures


def normalised(found: Mapping[str, Summary], strategy: str) -> float | None:
    """Where a strategy's area lies between random's (0) and the ceiling's (1)."""
    own, low = found[strategy].area, found["random"].area
    return None if own is None or low is None else between(own, low, found[CEILING].miou[-1])


def _rows(name: str, found: Mapping[str, Summary]) -> Iterator[Row]:
    ceiling = found[CEILING].miou[-1]
    low = found["random"].area
    yield Row(name, "miou.ceiling", CEILING, ceiling, "share")
    for strategy, curve in found.items():
        if strategy == CEILING:
            continue
        if curve.area is not None and curve.area_spread is not None:
            yield score(name, "area", strategy, curve.area, "share", low)
            yield Row(name, "std_of_area", strategy, curve.area_spread, "share")
        place = normalised(found, strategy)
        if place is not None:
            yield Row(name, "normalised_area", strategy, place, "share")
        yield score(name, "of_ceiling.last", strategy, curve.miou[-1] / ceiling, "share", WANTED)


def _over_all(every: Mapping[str, Mapping[str, Summary]]) -> Iterator[Row]:
    """Means over the sets, and on how many sets a strategy's area is above random's."""
    for strategy in MAIN:
        shares = [found[strategy].miou[-1] / found[CEILING].miou[-1] for found in every.values()]
        yield score("mean", "of_ceiling.last", strategy, mean(shares), "share", WANTED)
        places = [p for found in every.values() if (p := normalised(found, strategy)) is not None]
        if places and strategy != "random":
            yield Row("mean", "normalised_area", strategy, mean(places), "share")
            yield Row("all", "sets_above_random", strategy, float(sum(p > 0 for p in places)), "sets")
