"""The boxes of the regions that wait for an answer, and bringing the one that is asked about into sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Shapes

from napari_wsss.types import Box4

if TYPE_CHECKING:
    from napari_wsss.viewer.binding import Binding

_ON_SCREEN = 48.0  # pixels of the screen that a region's longer side shall take
_ENOUGH = (28.0, 300.0)  # within these the zoom stays as it is
_LEAST = 5  # image pixels: single pixels are shown with as much around them
_CURRENT, _OTHER = "#ffd54a", "#ffffff"


class RegionBoxes:
    """A view of the session's queue in the open image."""

    def __init__(self, binding: Binding) -> None:
        self._binding, self._session = binding, binding.session
        queue = self._session.queue
        queue.changed.connect(self.show)
        queue.shown.connect(self.look)
        self._session.image_opened.connect(self._on_image)

    def _on_image(self) -> None:
        self.show()
        current = self._session.queue.current
        if current is not None and current.image == self._session.name:
            self.look()

    def show(self) -> None:
        """Draw the boxes of this image's regions."""
        opened, queue = self._session.opened, self._session.queue
        here = [r for r in queue.waiting if opened is not None and r.image == opened.name]
        layer = self._binding.layer("regions") if here else self._binding.shown_layer("regions")
        if not isinstance(layer, Shapes):
            return
        layer.editable = True
        layer.data = []
        if here:
            current = queue.current.id if queue.current else 0
            layer.add(
                [corners(r.box) for r in here],
                shape_type="rectangle",
                edge_color=[_CURRENT if r.id == current else _OTHER for r in here],
                face_color="transparent",
            )
        layer.editable = False

    def look(self) -> None:
        """Centre the camera on the current region, zoom so that it can be judged, and show what is asked about."""
        region, layer = self._session.queue.current, self._binding.layer("accepted")
        if region is None or layer is None or self._session.opened is None:
            return
        predicted = self._binding.shown_layer("predicted")
        if predicted is not None:
            predicted.visible = True
        low, high = in_world(layer, region.box)
        camera = self._binding.viewer.scene.camera
        y0, x0, y1, x1 = region.box
        cells = max(y1 - y0, x1 - x0)
        side = float(np.abs(high - low).max()) * max(1.0, _LEAST / cells)
        if side > 0 and not _ENOUGH[0] <= side * camera.zoom <= _ENOUGH[1]:
            camera.zoom = _ON_SCREEN / side
        camera.center = (0.0, *((low + high) / 2))


def in_world(layer: Layer, box: Box4) -> tuple[Any, Any]:
    """Two opposite corners of a box of pixels, (y, x) each."""
    return tuple(np.array(layer.data_to_world((y - 0.5, x - 0.5)))[-2:] for y, x in (box[:2], box[2:]))  # type: ignore[return-value]


def corners(box: Box4) -> Any:
    """Around the box's pixels."""
    y0, x0, y1, x1 = (v - 0.5 for v in box)
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])
