"""Verbs on the classes: names, colours, words and thresholds. A change is one step; a new class stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_wsss.errors import WsssError
from napari_wsss.project.settings import parse_classes
from napari_wsss.session.steps import Step, redescribed
from napari_wsss.types import Class, Classes

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


class Describing:
    """What the classes of a session's project are called, how they look, and in which words."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def change(self, what: str, *wanted: Class) -> None:
        """Describe classes otherwise; what the project does not allow is told.

        Parameters
        ----------
        what : str
            Name of the step, in a person's words.
        """
        session, opened = self._session, self._session.opened
        classes = session.the_project().classes
        changes = tuple((classes[c.id], c) for c in wanted if c != classes[c.id])
        if not changes:
            return
        if opened is None:  # nothing has a history yet
            if session.save_settings(classes=redescribed(classes, changes)):
                session.classes_changed.emit(changes)
            return
        try:
            session.do(Step(what, (opened.draft, opened.draft), described=changes))
        except WsssError as error:
            session.failed.emit(str(error))

    def add(self) -> Class:
        """A new class at the end, chosen."""
        session, classes = self._session, self._session.the_project().classes
        name = next(n for k in range(len(classes) + 1, 1000) if (n := f"class {k}") not in classes.names)
        made = parse_classes([*(f"{c.name}{c.colour}" for c in classes), name]).items[-1]
        session.save_settings(classes=Classes((*classes, made)))
        session.classes_changed.emit(())
        session.choose_class(made.id)
        return made
