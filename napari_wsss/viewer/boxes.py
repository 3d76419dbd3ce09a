"""The boxes layer: rectangles go to the session as boxes or blocks, its boxes come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Shapes

from napari_wsss.types import Box, Box4

if TYPE_CHECKING:
    from napari_wsss.session import Session


class BoxLayer:
    """The boxes of the open image. Any shape counts as the rectangle around it.

    ``fill`` decides whether what is drawn next is a box around an object or a block of one class.

    Parameters
    ----------
    later : callable
        Asks for :meth:`sync` soon: a shape outside the image is nothing to the session.
    """

    def __init__(self, layer: Shapes, session: Session, later: Callable[[], None]) -> None:
        self.layer, self._session, self._later = layer, session, later
        self.fill = False
        self._writing = False
        layer.events.data.connect(self._on_data)

    def sync(self) -> None:
        """Show the session's boxes, and nothing else."""
        boxes = self._boxes()
        colours = {c.id: c.colour for c in self._session.classes}
        self._writing = True
        try:
            layer = self.layer
            layer.selected_data = set()
            if [b for _, b in self._shown()] != [(b.y0, b.x0, b.y1, b.x1) for b in boxes.values()]:
                layer.data = []
                layer.add([_corners(b) for b in boxes.values()], shape_type="rectangle")
            layer.features = {"key": np.array(list(boxes), int)}
            if boxes:
                layer.edge_color = [colours.get(b.class_id, "magenta") for b in boxes.values()]
                layer.face_color = [
                    colours.get(b.class_id, "#ff00ff") + "59" if b.fill else "#00000000" for b in boxes.values()
                ]
            coming = colours.get(self._session.class_id, "#ff00ff")
            layer.current_edge_color = coming
            layer.current_face_color = coming + "59" if self.fill else "#00000000"
        finally:
            self._writing = False

    def _boxes(self) -> dict[int, Box]:
        opened = self._session.opened
        return {} if opened is None else {t: m for t, m in opened.marks.items() if isinstance(m, Box)}

    def _shown(self) -> list[tuple[int, Box4]]:
        """Keys and boxes in the layer; a shape that was just drawn has no key of ours (0)."""
        features = cast("Any", self.layer.features)
        keys = features["key"] if "key" in features else [0] * len(self.layer.data)
        return [(int(k) if k == k else 0, self._box_of(corners)) for k, corners in zip(keys, self.layer.data)]

    def _box_of(self, corners: Any) -> Box4:
        """Pixels whose centres lie in the shape's rectangle."""
        shape = self._session.opened.shape if self._session.opened else (0, 0)
        low, high = np.min(corners, 0), np.max(corners, 0)
        y0, x0 = (int(np.clip(np.ceil(v - 1e-6), 0, n)) for v, n in zip(low, shape))
        y1, x1 = (int(np.clip(np.floor(v + 1e-6) + 1, 0, n)) for v, n in zip(high, shape))
        return y0, x0, y1, x1

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action))
        if self._writing or action not in ("added", "removed", "changed"):
            return
        self._later()
        known = self._boxes()
        shown = self._shown()
        if action == "added":
            fresh = [shown[i][1] for i in event.data_indices]
            for box in fresh:
                if box[0] < box[2] and box[1] < box[3]:
                    (self._session.labelling.block if self.fill else self._session.drafting.box)(box)
            return
        keys = {key for key, _ in shown}
        self._session.labelling.remove_marks([key for key in known if key not in keys])
        for key, box in shown:
            mark = known.get(key)
            if mark is not None and box != (mark.y0, mark.x0, mark.y1, mark.x1) and box[0] < box[2] and box[1] < box[3]:
                self._session.labelling.replace_box(key, box)


def _corners(box: Box) -> np.ndarray[Any, Any]:
    """From the centre of the first pixel to the centre of the last."""
    y1, x1 = box.y1 - 1, box.x1 - 1
    return np.array([[box.y0, box.x0], [box.y0, x1], [y1, x1], [y1, box.x0]], float)
