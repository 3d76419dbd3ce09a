"""What a segmenter says of the open image, as layers that are looked at: mask, uncertainty, where asking pays."""

from __future__ import annotations

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
        """Bring the layers up to date."""
        opened, image = self._session.opened, self._binding.image
        if opened is None:
            return
        found = opened.predicted
        for role in ROLES:
            if found is None and self._binding.shown_layer(role) is None:
                continue
            first = self._binding.shown_layer(role) is None
            layer = self._binding.layer(role)
            if layer is None:
                continue
            if isinstance(layer, Labels):
                layer.data = np.zeros(opened.shape, np.uint16) if found is None else found.labels.astype(np.uint16)
                layer.editable = False
                layer.visible = layer.visible and not (first and opened.refined is not None)
                continue
            values = np.zeros(opened.shape, np.float32)
            if found is not None:
                values = found.uncertainty if role == "uncertainty" else found.worth
            layer.data = values
            if isinstance(layer, Image) and role == "worth":
                layer.contrast_limits = (0.0, max(float(values.max()), 1e-3))
            if image is not None:
                layers.place_cells_like(layer, image, found.stride if found else 1)
