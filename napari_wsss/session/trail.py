"""From which image an accept or an answer led where, so that undo finds back across images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


class Trail:
    """Each image has a history of its own; the trail joins them where the window moved on by itself."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._leaving = self._undo_in = ""
        self._moves: list[tuple[str, str, int]] = []  # from, to, and the position of the history there on arrival

    def forget(self) -> None:
        """Another project."""
        self._moves, self._leaving, self._undo_in = [], "", ""

    def leave(self) -> None:
        """What was done last in the open image leads to the image that is opened next."""
        self._leaving = self._session.name

    def go_back(self) -> bool:
        """Where the last thing done led here from another image: go there and take it back. Whether it was so."""
        opened = self._session.opened
        if not self._moves or opened is None or self._session.is_opening:
            return False
        origin, here, position = self._moves[-1]
        if opened.name != here or opened.history.position != position:
            return False
        self._moves.pop()
        self._undo_in = origin
        self._session.open(origin)
        return True

    def arrived(self) -> None:
        """An image was opened, and everybody who shows it has been told."""
        opened = self._session.opened
        if opened is None:
            return
        if self._leaving and opened.name != self._leaving:
            self._moves.append((self._leaving, opened.name, opened.history.position))
        self._leaving = ""
        if self._undo_in == opened.name:
            self._session.undo()  # what led away from here
        self._undo_in = ""
