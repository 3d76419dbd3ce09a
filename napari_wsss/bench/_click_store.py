"""Finished simulations of ``bench clicks``, one JSON line each, so that an interrupted table goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from napari_wsss.bench._finished import Finished
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

    Raises
    ------
    WsssError
        If the file cannot be read or written, or a whole line of it is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clicks.jsonl"
        self._rows = Finished(self.file, "clicks")

    def get(self, key: str) -> Simulation | None:
        """The simulation of this key, or None where it has not been made."""
        found = self._rows.get(key)
        if found is None:
            return None
        try:
            values = dict(found)
            y0, x0, y1, x1 = values.pop("box")
            return Simulation(box=(y0, x0, y1, x1), ious=tuple(values.pop("ious")), **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WsssError(f"{self.file}: {key} is no result of bench clicks; remove the file") from error

    def put(self, simulation: Simulation) -> None:
        """Write one simulation."""
        told = asdict(simulation)
        self._rows.put(told.pop("key"), told)
