"""Too little memory for a job: said in words, with ways to go on with that very job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_wsss.segment import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_wsss.session.session import Session

_SAID = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, eq=False, slots=True)
class Shortage:
    """What a person reads, and the ways out: each a few words and what happens."""

    words: str
    ways: tuple[tuple[str, Callable[[], None]], ...]


def is_shortage(error: BaseException) -> bool:
    """Whether a job failed because memory ran out, of the device or of the machine."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in _SAID)


def shortage(session: Session, what: str, again: Callable[[], None]) -> Shortage:
    """The ways out of a shortage: the CPU, the model that ships, the same once more.

    Parameters
    ----------
    what : str
        The job that failed, in words.
    again : callable
        Starts the job once more.
    """
    predicting, ways = session.predicting, []

    def go(model: str, device: str) -> Callable[[], None]:
        def on() -> None:
            session.shortage = None
            session.device = device
            predicting.use(model, device)
            session.work_changed.emit()
            again()

        return on

    if session.device != "cpu":
        ways.append(("Continue on the CPU", go(predicting.model, "cpu")))
    if predicting.model not in (DEFAULT_MODEL, "random_walker"):
        ways.append(("Continue with the model that ships", go(DEFAULT_MODEL, session.device)))
    ways.append(("Try again", go(predicting.model, session.device)))
    where = "the machine" if session.device == "cpu" else "the device"
    return Shortage(f"{what}: the memory of {where} is full. Nothing is lost; close other programs, or:", tuple(ways))
