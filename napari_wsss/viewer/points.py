"""The points layer: clicks go to the session, its points come back. Edited with napari's own tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Points

from napari_wsss.types import Point

if TYPE_CHECKING:
    from napari_wsss.session import Session

_RIGHT = 2
_NOT = "#ff4040"  # a negative click
Row = tuple[int, int, int, int, bool]  # key, y, x, class, positive


class ClickLayer:
    """The points of the open image: those of the journal, and the negative clicks of the unfinished object.

    A right click, or a click with Shift, is negative; ``positive`` False turns it around. Each point bears the
    session's token in ``features["key"]``, by which it is known however the layer is edited.

    Parameters
    ----------
    later : callable
        Asks for :meth:`sync` soon: what a person does with napari's tools may be nothing to the session.
    """

    def __init__(self, layer: Points, session: Session, later: Callable[[], None]) -> None:
        self.layer, self._session, self._later = layer, session, later
        self.positive = True
        self._writing = self._other_sign = False
        self._synced: object = None
        self._looks: list[tuple[str, bool]] = []  # colour and sign of each point of the layer
        self._coming: tuple[str, bool] | None = None  # of the point that is added next
        layer.mouse_drag_callbacks.append(self._on_press)
        layer.events.data.connect(self._on_data)

    def sync(self) -> None:
        """Show the session's points, and nothing else; what is shown already costs nothing."""
        rows = self._rows()
        now = rows, tuple(c.colour for c in self._session.classes), self._session.class_id, self.positive
        if now == self._synced and len(self.layer.data) == len(rows):
            return
        self._writing = True
        try:
            self._set(rows)
        finally:
            self._writing = False
        self._synced = now

    def _set(self, rows: list[Row]) -> None:
        layer = self.layer
        places = np.array([row[1:3] for row in rows], float).reshape(-1, 2)
        layer.selected_data = set()
        if places.shape != layer.data.shape or not np.array_equal(places, layer.data):
            layer.data = places
        layer.features = {"key": np.array([row[0] for row in rows], int)}
        colours = {c.id: c.colour for c in self._session.classes}
        looks = [(colours.get(row[3], "magenta") if row[4] else _NOT, row[4]) for row in rows]
        if looks and looks != self._looks:
            layer.face_color = [colour for colour, _ in looks]
            layer.symbol = ["disc" if positive else "x" for _, positive in looks]
        coming = colours.get(self._session.class_id, "magenta") if self.positive else _NOT, self.positive
        if coming != self._coming:
            layer.current_face_color = coming[0]
            layer.current_symbol = "disc" if self.positive else "x"
        self._looks, self._coming = looks, coming

    def _rows(self) -> list[Row]:
        opened = self._session.opened
        if opened is None:
            return []
        marked = [(token, m.y, m.x, m.class_id, True) for token, m in opened.marks.items() if isinstance(m, Point)]
        draft = opened.draft
        if draft is None:
            return marked
        return marked + [(c.token, c.y, c.x, draft.class_id, False) for c in draft.clicks if not c.positive]

    def _on_press(self, layer: Points, event: Any) -> None:
        self._other_sign = event.button == _RIGHT or "Shift" in event.modifiers

    def _on_data(self, event: Any) -> None:
        if self._writing:
            return
        action = str(getattr(event.action, "value", event.action))
        if action == "added":
            self._added([self.layer.data[i] for i in event.data_indices])
        elif action in ("removed", "changed"):
            self._edited()
        self._later()

    def _added(self, places: list[Any]) -> None:
        sign = self.positive != self._other_sign
        self._synced = None
        self._looks = [*self._looks, *[self._coming or ("", True)] * len(places)]
        for y, x in places:
            self._session.drafting.click(int(np.floor(y + 0.5)), int(np.floor(x + 0.5)), sign)
        self._other_sign = False

    def _edited(self) -> None:
        """Points were removed or moved with napari's tools."""
        self._synced, self._looks = None, []
        known = {row[0]: row for row in self._rows()}
        keys = [int(k) for k in cast("Any", self.layer.features)["key"]]
        self._session.labelling.remove_marks([key for key in known if key not in keys])
        for key, (y, x) in zip(keys, np.floor(self.layer.data + 0.5).astype(int)):
            if key in known and (int(y), int(x)) != known[key][1:3]:
                self._session.labelling.move_point(key, int(y), int(x))
