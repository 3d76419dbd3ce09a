"""What a segmenter says of the open image, as layers that are looked at: mask, uncertainty, where asking pays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_wsss.viewer import layers
from napari_wsss.viewer.layers import Role

if TYPE_CHECKING:
    from napari_wsss.viewer.binding import Binding

ROLES: tuple[Role, ...] = ("predicted", "uncertainty", "worth")


class PredictedLayers:
    """Made once there is a prediction; emptied on an image that has none."""

    def __init__(self, binding: Binding) -> None:
        self._binding, self._session = binding, binding.session
        self._session.image_opened.connect(self.show)
        self._session.results_changed.connect(self.show)

    def show(self) -> None:
        """Bring the layers up to date; one that is not there is made in a turn of its own."""
        opened = self._session.opened
        for role in ROLES if opened is not None else ():
            if self._binding.shown_layer(role) is not None:
                self._fill(role)
            elif opened is not None and opened.predicted is not None:
                self._binding.turns.add(role, partial(self._make, role))

    def _make(self, role: Role) -> None:
        opened, known = self._session.opened, self._binding.shown_layer(role) is not None
        if opened is None or opened.predicted is None:
            return
        layer = self._binding.layer(role)
        if layer is not None and not known and role == "predicted":
            layer.visible = layer.visible and opened.refined is None
        self._fill(role)

    def _fill(self, role: Role) -> None:
        opened, image, layer = self._session.opened, self._binding.image, self._binding.shown_layer(role)
        if opened is None:
            return
        found = opened.predicted
        if isinstance(layer, Labels):
            kind = layer.data.dtype
            layer.data = np.zeros(opened.shape, kind) if found is None else found.labels.astype(kind)
            layer.editable = False
        elif isinstance(layer, Image):
            values = np.zeros(opened.shape, np.float32)
            if found is not None:
                values = found.uncertainty if role == "uncertainty" else found.worth
            layer.data = values
            if role == "worth":
                layer.contrast_limits = (0.0, max(float(values.max()), 1e-3))
            if image is not None:
                layers.place_cells_like(layer, image, found.stride if found else 1)
