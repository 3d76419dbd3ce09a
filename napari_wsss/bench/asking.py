"""Which regions to ask about: strategies beside random ones, with the annotator played from the truth.

The learner is a light head on frozen features that are computed once, or the label model alone. Finished plays are kept
in ``asking.jsonl``, the projects with the features beside it. The first two sets are also played with the other
strategies.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from napari_wsss import home, registry
from napari_wsss.bench._dealing import Dealer, Unit, budget_in
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._learning import clock_of, weights_of
from napari_wsss.bench._rows import Row, Setting, score
from napari_wsss.bench._sets import ImageSet, read_set
from napari_wsss.dense_features import remembered
from napari_wsss.device import choose, described, torch_threads
from napari_wsss.project import Project
from napari_wsss.simulation import Play, simulate, summary
from napari_wsss.simulation.curve import CEILING, Summary, between
from napari_wsss.simulation.curve import Row as Round
from napari_wsss.simulation.play import NOTHING, REFIT
from napari_wsss.training import Training
from napari_wsss.types import digest

BUDGET, ROUNDS, SEEDS = 0.05, 5, 5
MINUTES = 0.25
"""Minutes of a refit, at most."""
MAIN = ("ripu", "entropy", "random")
_NEEDS_VIEWS = "disagreement"  # plays predict one view
_LEARNER: Mapping[str, Mapping[str, Any]] = {"hardness": {"hardness": True}}
"""Settings of the learner that a strategy's score comes from."""
ENCODER = "filters"
WANTED = 0.95
_PROTOCOL = 7  # counts up when the way of measuring changes: stored rows are then made anew

Found = Mapping[str, Summary]
Plays = Mapping[tuple[str, int], Unit]
"""By strategy and seed."""


def measure(setting: Setting) -> Iterator[Row]:
    """Areas under the learning curves, beside random's; the last mIoU as a share of the ceiling; who won how often.

    Raises
    ------
    WsssError, UsageError
        A set cannot be read or played.
    """
    every: dict[str, Found] = {}
    with (
        tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as scratch,
        torch_threads(setting.threads or 1),
        remembered(),  # from one play to the next: a set's are played one after the other
    ):
        sets = setting.sets or write_sets(Path(scratch), tests=2)
        more = others(trained=setting.segmenter != NOTHING)
        plays = [_plays(path, (*MAIN, *more) if n < 2 else MAIN, setting) for n, path in enumerate(sets)]
        deal = Dealer("asking", setting, sum(len(of) for _, of in plays))
        if setting.shard is not None:
            deal(unit for _, _, unit in sorted(_ranked(plays), key=lambda one: one[:2]))
        else:
            for name, of in plays:
                rows = deal(of.values())
                found = curves(of, rows)
                if found is not None:
                    every[name] = found
                    yield from _rows(name, found)
                    yield from _told(name, next(iter(rows.values())), found)
        deal.tell()
    if every:
        yield from _over_all(every)


def others(trained: bool = True) -> tuple[str, ...]:
    """The strategies that are played on two sets only; without a training none that needs a head of its own."""
    left_out = (*MAIN, _NEEDS_VIEWS, *(() if trained else _LEARNER))
    return tuple(name for name in registry.names("acquisition") if name not in left_out)


def _ranked(plays: Sequence[tuple[str, Plays]]) -> Iterator[tuple[int, int, Unit]]:
    """What is dealt first is of every set: the ceilings, which are short, then seed by seed what every set has."""
    for _, of in plays:
        for (strategy, seed), unit in of.items():
            yield 0 if strategy == CEILING else 1 if strategy in MAIN else 2, seed, unit


def _plays(path: Path, strategies: Sequence[str], setting: Setting) -> tuple[str, Plays]:
    """A set's name, and its plays; nothing is played yet."""
    train, test = read_set(path, "train"), read_set(path, "test")
    training = _training(setting)
    seeds = setting.seeds or SEEDS
    games = {
        strategy: Play(
            (strategy,),
            "regions",
            BUDGET,
            ROUNDS,
            seeds,
            training and replace(training, **_LEARNER.get(strategy, {})),
        )
        for strategy in (CEILING, *strategies)
    }
    truth = sorted(p for p in (train.folder / "masks").iterdir() if p.stem in {i.stem for i in _images(train, test)})
    words: list[str | bytes] = [str(_PROTOCOL), train.name, weights_of(training), *train.classes]
    words += [p.name for p in train.images] + ["test"] + [p.name for p in test.images]
    words += [p.read_bytes() for p in truth] + ([] if setting.device == "cpu" else [setting.device])
    return train.name, {
        (strategy, seed): Unit(
            f"{train.name} {strategy}, seed {seed}",
            digest(*words, play.signature, strategy, str(seed)),
            partial(_played, train, test, play, seed, setting),
        )
        for seed in range(seeds)
        for strategy, play in games.items()
    }


def _training(setting: Setting) -> Training | None:
    """None where the label model answers itself."""
    if setting.segmenter == NOTHING:
        return None
    return replace(
        REFIT,
        segmenter=setting.segmenter or REFIT.segmenter,
        encoder=setting.use.get("encoder", ENCODER),
        minutes=setting.minutes or MINUTES,
        clock=clock_of(setting.device),
        threads=setting.threads or 1,
    )


def _images(train: ImageSet, test: ImageSet) -> tuple[Path, ...]:
    return (*train.images, *test.images)


def _played(train: ImageSet, test: ImageSet, play: Play, seed: int, setting: Setting) -> dict[str, Any]:
    """One play's stored row: its rounds, and what it was made on."""
    (strategy,) = play.strategies
    with _project(train, setting) as project:
        project.add_images(_images(train, test))
        tests = {path.resolve() for path in test.images}
        names = tuple(r.name for r in project.records() if Path(r.file).resolve() in tests)
        play = replace(play, test=names)
        rounds = simulate(project, train.folder, play, units=[(strategy, seed)], device=setting.device)
    told = play.training
    row: dict[str, Any] = {"set": train.name, "strategy": strategy, "seed": seed}
    row |= {"device": setting.device, "used": described(choose(setting.device))}
    if told is None:
        row |= {"segmenter": NOTHING}
    else:
        row |= {"minutes": told.minutes, "clock": told.clock, "segmenter": told.segmenter, "encoder": told.encoder}
    return row | {"weights": weights_of(told), "rounds": [asdict(r) for r in rounds]}


def _project(train: ImageSet, setting: Setting) -> Project:
    """Where a set is played. A shard has its own, since it writes; the features are those of all shards."""
    base = (setting.results or home.home() / "bench") / "asking"
    folder = base / (train.name if setting.shard is None else f"{train.name}.{setting.shard.name}")
    if folder.exists():
        return Project.open(folder)
    made = Project.create(folder, train.classes)
    if setting.shard is not None:
        shared = base / "features" / train.name
        shared.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # where links may not be made, each shard computes its features itself
            (folder / "cache").symlink_to(shared.resolve(), target_is_directory=True)
    return made


# --------------------------------------------------------------------------- figures


def curves(plays: Plays, rows: Mapping[str, Mapping[str, Any]]) -> Found | None:
    """Each strategy's curve over the seeds that every set's strategies have played; None before there is one."""
    there = {play: rows[unit.key]["rounds"] for play, unit in plays.items() if unit.key in rows}
    seeds = [n for n in sorted({n for _, n in plays}) if all((s, n) in there for s in (CEILING, *MAIN))]
    whole = {s for s, _ in plays if all((s, n) in there for n in seeds)}
    chosen = [r for (s, n), rounds in there.items() if s in whole and n in seeds for r in rounds]
    return {c.strategy: c for c in summary(Round(**values) for values in chosen)} if seeds else None


def normalised(found: Found, strategy: str) -> float | None:
    """Where a strategy's area lies between random's (0) and the ceiling's (1)."""
    own, low = found[strategy].area, found["random"].area
    return None if own is None or low is None else between(own, low, found[CEILING].miou[-1])


def _rows(name: str, found: Found) -> Iterator[Row]:
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


def _told(name: str, row: Mapping[str, Any], found: Found) -> Iterator[Row]:
    segmenter = str(row["segmenter"])
    if segmenter != NOTHING:
        used, minutes, unit = budget_in(row)
        yield Row(name, "budget_of_refit", f"{segmenter}, {used}", minutes, unit)
    yield Row(name, "seeds", segmenter, float(found["random"].seeds), "seeds")


def _over_all(every: Mapping[str, Found]) -> Iterator[Row]:
    """Means over the sets, and on how many sets a strategy's area is above random's."""
    for strategy in MAIN:
        shares = [found[strategy].miou[-1] / found[CEILING].miou[-1] for found in every.values()]
        yield score("mean", "of_ceiling.last", strategy, mean(shares), "share", WANTED)
        places = [p for found in every.values() if (p := normalised(found, strategy)) is not None]
        if places and strategy != "random":
            yield Row("mean", "normalised_area", strategy, mean(places), "share")
            yield Row("all", "sets_above_random", strategy, float(sum(p > 0 for p in places)), "sets")
