"""The layer with the outline of the object under the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer, Points, Shapes

from napari_wsss.viewer.sight import single_shot

if TYPE_CHECKING:
    from napari_wsss.viewer.binding import Binding

_REST = 60  # ms that the mouse stays before the model is asked
_WIDTH = 2.0  # pixels of the canvas


class Hover:
    """Asks the session what is under the mouse while the point tool is in hand, and shows what it says."""

    def __init__(self, binding: Binding) -> None:
        self._binding, self._session = binding, binding.session
        self.timer = single_shot(_REST, self._ask)
        binding.viewer.cursor.events.position.connect(self._moved)
        self._session.hover_changed.connect(self._show)
        self._session.draft_changed.connect(self._step_back)
        self._session.image_opened.connect(self._session.hovering.clear)

    def switch(self, on: bool) -> None:
        """Whether the person wants it."""
        self._session.hovering.on = on
        if not on:
            self._session.hovering.clear()

    def _moved(self) -> None:
        if self._session.hovering.on:
            self.timer.start()

    def _step_back(self) -> None:
        if self._session.opened is not None and self._session.opened.draft is not None:
            self._session.hovering.clear()

    def _ask(self) -> None:
        layer = self._binding.shown_layer("points")
        active = self._binding.viewer.layers.selection.active
        if not isinstance(layer, Points) or layer is not active or layer.mode != "add":
            self._session.hovering.clear()
            return
        y, x = np.floor(np.asarray(layer.world_to_data(self._binding.viewer.cursor.position))[-2:] + 0.5)
        self._session.hovering.ask(int(y), int(x))

    def _show(self) -> None:
        lines = self._session.hovering.outline
        layer = self._binding.shown_layer("preview")
        if layer is None and lines:
            layer = self._binding.layer("preview")
        if not isinstance(layer, Shapes):
            return
        layer.data = []
        if lines:
            colours = {c.id: c.colour for c in self._session.classes}
            layer.add(
                lines,
                shape_type="path",
                edge_width=_WIDTH / self._pixels(layer),
                edge_color=colours.get(self._session.class_id, "white"),
            )

    def _pixels(self, layer: Layer) -> float:
        """Pixels of the canvas for each pixel of the image."""
        return float(self._binding.viewer.scene.camera.zoom * abs(layer.scale[-1]))
