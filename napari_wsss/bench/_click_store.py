"""Finished simulations of ``bench clicks``, one JSON line each, so that an interrupted table goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_wsss.errors import WsssError


@dataclass(frozen=True, slots=True)
class Simulation:
    """One object clicked with one method.

    Attributes
    ----------
    key : str
        Hash of the object, the method with its version, and the annotator: equal keys, equal figures.
    set, image, method, version : str
        In words, for a person who reads the file.
    box : tuple of 4 int
    area : int
    annotator : int or None
        Seed of the jittered annotator; None = the one that clicks centres.
    ious : tuple of float
        After each click.
    seconds : float
        Of all clicks together.
    embedding_seconds : float or None
        Of the image's embedding, where it was made for this object.
    """

    key: str
    set: str
    image: str
    method: str
    version: str
    box: tuple[int, int, int, int]
    area: int
    annotator: int | None
    ious: tuple[float, ...]
    seconds: float
    embedding_seconds: float | None


class ClickStore:
    """Simulations in ``FOLDER/clicks.jsonl``; each is on the disk when :meth:`put` returns.

    A line that was cut off by the end of a process does not count: that object is simulated again.

    Raises
    ------
    WsssError
        If the file cannot be read or written, or a whole line of it is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clicks.jsonl"
        self._found: dict[str, Simulation] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
            whole, newline, cut_off = text.rpartition("\n")
            if cut_off:
                self.file.write_text(whole + newline, encoding="utf-8")
        except OSError as error:
            raise WsssError(f"{self.file}: {error.strerror or error}") from error
        for number, line in enumerate(whole.splitlines(), 1):
            simulation = self._read(line, number)
            self._found[simulation.key] = simulation

    def get(self, key: str) -> Simulation | None:
        """The simulation of this key, or None where it has not been made."""
        return self._found.get(key)

    def put(self, simulation: Simulation) -> None:
        """Write one simulation."""
        line = json.dumps(asdict(simulation), ensure_ascii=False)
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise WsssError(f"{self.file}: {error.strerror or error}") from error
        self._found[simulation.key] = simulation

    def _read(self, line: str, number: int) -> Simulation:
        try:
            found = json.loads(line)
            y0, x0, y1, x1 = found.pop("box")
            return Simulation(box=(y0, x0, y1, x1), ious=tuple(found.pop("ious")), **found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WsssError(f"{self.file}, line {number}: is no result of bench clicks; remove the file") from error
