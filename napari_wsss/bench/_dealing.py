"""Units of a benchmark that takes hours: what is stored, what is made here, and what is another process's to make.

Several processes, also on several machines that share a folder, each take every n-th unit and store its row in a file
of their own; a call without a shard then reads all rows and prints the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_wsss import home
from napari_wsss.bench._finished import Finished
from napari_wsss.bench._rows import Setting
from napari_wsss.errors import WsssError


@dataclass(frozen=True, slots=True)
class Unit:
    """One training or play.

    Attributes
    ----------
    what : str
        In words, for progress.
    key : str
        Equal keys, equal figures.
    make : callable
        Gives its row, without the key.
    """

    what: str
    key: str
    make: Callable[[], Mapping[str, Any]]


class Dealer:
    """Hands out units in one order for all processes of a benchmark, and their rows.

    Parameters
    ----------
    bench : str
        Its name, and that of its file of rows.
    setting : Setting
        Which units are made here: all that are not stored, those of a shard, or none.
    total : int
        Units of the whole benchmark.
    """

    def __init__(self, bench: str, setting: Setting, total: int) -> None:
        folder = setting.results or home.home() / "bench"
        self._bench, self._setting, self._total = bench, setting, total
        self._results = Finished(folder / f"{bench}.jsonl", bench, setting.shard.name if setting.shard else None)
        self._dealt = self._there = 0
        self._failed: list[str] = []

    @property
    def file(self) -> Path:
        """Where rows are written."""
        return self._results.file

    def __call__(self, units: Iterable[Unit]) -> dict[str, dict[str, Any]]:
        """Rows by key of the units that are stored or were made now.

        Raises
        ------
        WsssError, RuntimeError
            A unit failed. A shard goes on with its other units: nobody sits beside it.
        """
        found: dict[str, dict[str, Any]] = {}
        for unit in units:
            self._setting.progress(self._dealt, self._total, f"{self._bench} {unit.what}")
            row = self._results.get(unit.key)
            if row is None and self._is_mine(self._dealt):
                row = self._made(unit)
            if row is not None:
                found[unit.key] = row
            self._there += row is not None
            self._dealt += 1
        return found

    def _made(self, unit: Unit) -> dict[str, Any] | None:
        try:
            return self._results.put(unit.key, unit.make())
        except (WsssError, RuntimeError) as reason:  # torch's errors are RuntimeErrors
            if self._setting.shard is None:
                raise
            self._failed.append(f"{unit.what}: {reason}")
            self._setting.note(f"bench {self._bench}: {self._failed[-1]}")
            return None

    def tell(self) -> None:
        """Say how much there is, where this process does not make all of it.

        Raises
        ------
        WsssError
            Units of this shard failed.
        """
        if self._failed:
            raise WsssError(f"bench {self._bench}: {len(self._failed)} failed, the last {self._failed[-1]}")
        self._setting.progress(self._total, self._total, self._bench)
        shard = self._setting.shard
        if shard is not None:
            told = f"shard {shard.number} of {shard.of} is finished, its rows are in {self.file}"
            self._setting.note(f"bench {self._bench}: {told}; without --shard the same command prints the tables")
        elif self._there < self._total:
            told = f"{self._there} of {self._total} trainings or plays are finished"
            self._setting.note(f"bench {self._bench}: {told}; without --stored the same command makes the others")

    def _is_mine(self, position: int) -> bool:
        shard = self._setting.shard
        return not self._setting.stored and (shard is None or shard.has(position))


def budget_in(row: Mapping[str, Any]) -> tuple[str, float, str]:
    """What a stored row was made on, its minutes, and what those are of; rows of before there was a choice: the CPU."""
    clock: Literal["cpu", "wall"] = row.get("clock", "cpu")
    return str(row.get("used", "cpu")), float(row["minutes"]), "CPU min" if clock == "cpu" else "wall min"
