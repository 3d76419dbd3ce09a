"""Learning curves: mIoU against labelled pixels, questions and seconds; mean and spread over seeds; areas; pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Budget = Literal["pixels", "questions", "seconds"]
BUDGETS: tuple[Budget, ...] = ("pixels", "questions", "seconds")
CEILING = "ceiling"
"""Strategy of the rows of the learner that was given every mask."""


@dataclass(frozen=True, slots=True)
class Row:
    """One round of one play. ``share`` is labelled pixels of the pool's labelled truth; round 0 is the start."""

    strategy: str
    labels: str
    seed: int
    round: int
    pixels: int
    share: float
    questions: int
    seconds: float
    miou: float
    fit_seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A strategy's curve over its seeds: mean and standard deviation of mIoU at mean budgets; area and its spread.

    ``area`` is None where there is no curve: the ceiling has one row.
    """

    strategy: str
    labels: str
    seeds: int
    rounds: tuple[int, ...]
    budgets: Mapping[str, tuple[float, ...]]
    miou: tuple[float, ...]
    spread: tuple[float, ...]
    area: float | None
    area_spread: float | None


def area(budgets: Sequence[float], values: Sequence[float]) -> float:
    """Mean value along the budget (trapezia): the area under the curve, normalised to its width.

    Raises
    ------
    ValueError
        Fewer than two points, or budgets that do not rise.
    """
    x, y = np.asarray(budgets, float), np.asarray(values, float)
    if len(x) < 2 or not np.isfinite(x).all() or (np.diff(x) <= 0).any():
        raise ValueError("an area needs at least two rising budgets")
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)) / (x[-1] - x[0]))


def between(value: float, low: float, high: float) -> float | None:
    """Where an area lies between random's (0) and the ceiling's (1); None where those are equal."""
    return None if high == low else (value - low) / (high - low)


def summary(rows: Iterable[Row]) -> list[Summary]:
    """One entry a strategy and kind of label, in order of appearance. Only rounds that every seed reached count."""
    groups: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rows:
        groups.setdefault((row.strategy, row.labels), {}).setdefault(row.seed, []).append(row)
    return [_summed(strategy, labels, list(by_seed.values())) for (strategy, labels), by_seed in groups.items()]


def _summed(strategy: str, labels: str, plays: list[list[Row]]) -> Summary:
    rounds = sorted(set.intersection(*({r.round for r in play} for play in plays)))
    table = [[next(r for r in play if r.round == n) for n in rounds] for play in plays]
    miou = _table(table, "miou")
    areas = [a for a in (_area_of(play) for play in table) if a is not None]
    return Summary(
        strategy,
        labels,
        len(plays),
        tuple(rounds),
        {name: tuple(_table(table, name).mean(0).tolist()) for name in BUDGETS},
        tuple(miou.mean(0).tolist()),
        tuple(miou.std(0).tolist()),
        float(np.mean(areas)) if areas else None,
        float(np.std(areas)) if areas else None,
    )


def _area_of(play: list[Row]) -> float | None:
    budgets = [float(r.pixels) for r in play]
    if len(budgets) < 2 or any(b <= a for a, b in itertools.pairwise(budgets)):
        return None
    return area(budgets, [r.miou for r in play])


def _table(table: list[list[Row]], name: str) -> NDArray[np.float64]:
    values: list[list[Any]] = [[getattr(r, name) for r in play] for play in table]
    return np.array(values, float)
