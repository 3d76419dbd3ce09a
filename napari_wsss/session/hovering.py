"""The object under the mouse, before it is clicked: an outline and nothing else. Never written anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.compute import Job, Priority
from napari_wsss.session.draft import Patch

if TYPE_CHECKING:
    from napari_wsss.session.session import Session

Outline = list[NDArray[np.float64]]
"""Closed lines (n, 2) of y, x around an object and its holes."""

_COARSENESS = 0.4  # pixels that a line may leave out


class Hovering:
    """What a click at the mouse's place would bring. The newest place wins; a click comes before it.

    Attributes
    ----------
    on : bool
        The person wants to see it.
    outline : list of float (n, 2)
        Of the object under the mouse; empty where there is none.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.on = False
        self.outline: Outline = []

    def ask(self, y: int, x: int) -> None:
        """What is at this pixel? Answered only of what the model has seen already; else it looks there first."""
        opened, session = self._session.opened, self._session
        if not self.on or opened is None or opened.draft is not None or session.is_opening:
            return
        if not (0 <= y < opened.shape[0] and 0 <= x < opened.shape[1]):
            self.clear()
            return
        record, project = opened.record, session.the_project()

        def work(job: Job[Outline | None]) -> Outline | None:
            found = session.predicting.glance(record.key, record.shape, lambda: project.reader(record.name), y, x)
            return None if found is None else outline(found)

        def show(lines: Outline | None) -> None:
            if lines is None:
                session.looking.around(y, x)
            elif self.on and session.opened is opened and opened.draft is None:
                self._set(lines)

        session.when_done(session.start(work, "hover", "looking under the mouse", Priority.CLICK), show)

    def clear(self) -> None:
        """Nothing is under the mouse, or something else begins."""
        self._session.drop("hover")
        if self.outline:
            self._set([])

    def _set(self, lines: Outline) -> None:
        self.outline = lines
        self._session.hover_changed.emit()


def outline(patch: Patch) -> Outline:
    """Closed lines around the pixels of a patch."""
    from skimage.measure import approximate_polygon, find_contours

    if not patch:
        return []
    padded: NDArray[Any] = np.pad(patch.pixels.astype(np.float32), 1)
    lines = (approximate_polygon(line, _COARSENESS) for line in find_contours(padded, 0.5))
    return [line - 1 + (patch.y0, patch.x0) for line in lines if len(line) > 3]
