"""The images of the session's project: in which order they are shown, and which comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_wsss.project import ImageRecord

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


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
