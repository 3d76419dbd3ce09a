"""The images of the session's project: in which order they are shown, and which comes next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from napari_wsss.project import ImageRecord

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


_SEPARATORS = "_- ."
_SHORT = 12  # letters that are shown whole


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names of files without folders, and where they are long without what all begin and end alike.

    A list that shows the two ends of each name would show the same of all.
    """
    files = {name: name.rsplit("/", 1)[-1] for name in names}
    shown = set(files.values())
    if len(shown) < 2 or max(map(len, shown)) <= _SHORT:
        return files
    start = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(shown), max(shown), strict=False)))
    start = start[: 1 + max(start.rfind(letter) for letter in _SEPARATORS)]
    ends = {"." + file.rpartition(".")[2] if "." in file else "" for file in shown}
    end = ends.pop() if len(ends) == 1 else ""
    return {name: file.removeprefix(start).removesuffix(end) or file for name, file in files.items()}


class Listing:
    """Records of all images, read from the journal once and again when something about them changed.

    Their files are not looked for: that takes long where there are thousands, or where one is lost.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._records: list[ImageRecord] | None = None
        session.images_changed.connect(self.forget)

    def forget(self) -> None:
        """Something changed: they are read again when they are asked for."""
        self._records = None

    def records(self) -> list[ImageRecord]:
        """In the order in which they are shown."""
        if self._records is None:
            project = self._session.project
            self._records = self._session.worst_first.ordered(project.records(look=False) if project else [])
        return self._records

    def neighbour(self, offset: int) -> str:
        """Name of the image so many places further that is not set aside; '' if there is none."""
        here = self._session.name
        names = [r.name for r in self.records() if r.state != "skipped" or r.name == here]
        if here not in names:
            return names[0] if names else ""
        at = names.index(here) + offset
        return names[at] if 0 <= at < len(names) else ""

    def first(self, wanted: str = "") -> str:
        """The wanted image if it is there, else the first one to work on, else the first; '' if there is none."""
        states = {r.name: r.state for r in self.records()}
        if wanted in states:
            return wanted
        waiting = (name for name, state in states.items() if state not in ("accepted", "skipped"))
        return next(waiting, next(iter(states), ""))
