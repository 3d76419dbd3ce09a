"""What a benchmark is told, and the rows that it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_wsss.types import Progress, no_progress


def no_note(line: str) -> None:
    """Nobody reads it."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A process's part of a benchmark: every ``of``-th unit from the ``number``-th on, counted from 1."""

    number: int
    of: int

    @property
    def name(self) -> str:
        return f"shard-{self.number}-of-{self.of}"

    def has(self, position: int) -> bool:
        """Whether the unit at this position, counted from 0, is this part's."""
        return position % self.of == self.number - 1


@dataclass(frozen=True, slots=True)
class Setting:
    """How to measure.

    Attributes
    ----------
    sets : tuple of Path
        Folders with ``images/``, ``masks/``, ``classes.txt`` and ``train.txt``; empty = images drawn here.
    hints : Path or None
        Folder with ``points.csv`` and ``scribbles/``, or with such a folder for each set by its name; None
        = made from the sets' masks.
    hurry : bool
        Hint only the five largest regions of each class of an image.
    use : mapping
        Stage to method of the loop, e.g. ``{"pseudo": "agmm"}``; what is absent is the product's default.
    threads : int or None
        Threads of both sides; None = each benchmark's own choice.
    progress : callable
    model : str or None
        What is ``ours`` of ``clicks``; None = the embedded model.
    of_class : str or None
        Click on objects of this class, where a set names it.
    jitter : int
        Simulate so many annotators who click beside the centre, too.
    worst : int
        Draw so many of the objects that ours finds hardest, of each set of ``clicks``.
    results : Path or None
        Folder of finished simulations; None = in the user's cache folder.
    segmenter : str or None
        Of ``learn``, ``losses`` and ``asking``; None = each benchmark's own choice.
    minutes : float or None
        Of each training there: CPU minutes on the CPU, else minutes of the clock.
    seeds : int or None
        Repetitions there.
    device : str
        Of each training there.
    shard : Shard or None
        The part that is made there; None = everything.
    stored : bool
        Make nothing there: rows of what is finished.
    note : callable
        Gets one line on what is left out, and why.
    """

    sets: tuple[Path, ...] = ()
    hints: Path | None = None
    hurry: bool = False
    use: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    progress: Progress = no_progress
    model: str | None = None
    of_class: str | None = None
    jitter: int = 0
    worst: int = 0
    results: Path | None = None
    segmenter: str | None = None
    minutes: float | None = None
    seeds: int | None = None
    device: str = "cpu"
    shard: Shard | None = None
    stored: bool = False
    note: Callable[[str], None] = no_note


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``ratio`` above 1 is better than the reference, whatever is measured; None = no reference.

    ``reference`` is the reference's value in the same unit: what it took in the same run, or a limit.
    """

    set: str
    what: str
    method: str
    value: float
    unit: str
    reference: float | None = None
    ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cost(of: str, what: str, method: str, value: float, unit: str, reference: float | None = None) -> Row:
    """A figure of which less is better: ratio = reference / value (None where the value is 0)."""
    return Row(of, what, method, value, unit, reference, _quotient(reference, value))


def score(of: str, what: str, method: str, value: float, unit: str, reference: float | None = None) -> Row:
    """A figure of which more is better: ratio = value / reference (None where the reference is 0)."""
    return Row(of, what, method, value, unit, reference, None if reference is None else _quotient(value, reference))


def _quotient(a: float | None, b: float) -> float | None:
    return None if a is None or not b else a / b
