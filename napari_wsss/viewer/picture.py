"""The layer that shows an image of a project that no other layer shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_wsss.session.opened import Opened


class PictureLayer:
    """One image layer of ours; it changes its pixels from image to image.

    Of an image that is a plane of a stack the layer has as many planes as the stack, so that napari shows a slider;
    all of them are the open one (and take no memory), as the slider opens the plane that it points at.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Image | None = None
        self._planes: tuple[str, ...] = ()

    def show(self, opened: Opened, planes: tuple[str, ...] = ()) -> None:
        """Show this image, one of these planes of its stack; the view is kept between images of one size."""
        if opened.picture is None:
            return
        self._planes = ()  # what the slider does meanwhile is no person's wish
        pixels, limits = opened.picture.pixels, opened.picture.limits
        rgb = limits is None and pixels.ndim == 3
        if len(planes) > 1:
            pixels = np.broadcast_to(pixels, (len(planes), *pixels.shape))
        if self.layer is not None and (bool(self.layer.rgb) != rgb or self.layer.data.ndim != pixels.ndim):
            self._viewer.layers.remove(self.layer)
        fresh = self.layer is None or self.layer.data.shape != pixels.shape
        self._put(pixels, limits, opened, rgb)
        if fresh and self.layer is not None:  # alone: other layers still have the size of the image that was left
            self._viewer.fit_to_view(layers=[self.layer])
        if len(planes) > 1:
            self._viewer.dims.set_current_step(0, planes.index(opened.name))
            self._planes = planes

    def _put(self, pixels: Any, limits: tuple[float, float] | None, opened: Opened, rgb: bool) -> None:
        made = self.layer is None
        if self.layer is None:
            self.layer = Image(pixels, rgb=rgb, **self._options(opened, pixels.ndim - rgb))
        else:
            self.layer.data = pixels
            self.layer.name = opened.name
        if limits is not None:
            self.layer.contrast_limits_range = limits
            self.layer.contrast_limits = limits
        if made:
            self._viewer.layers.insert(0, self.layer)
        self.layer.visible = True

    def at(self, step: tuple[int, ...]) -> str:
        """Name of the plane at the viewer's slider; '' where it shows no stack."""
        if len(self._planes) < 2 or self.layer is None or len(step) < 3:
            return ""
        return self._planes[min(max(int(step[-3]), 0), len(self._planes) - 1)]

    def _options(self, opened: Opened, ndim: int) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": opened.name,
            "metadata": {"wsss": {"role": "image", "live": True}},
        }
        if opened.pixel_size is not None:
            size = opened.pixel_size
            options |= {"scale": (1.0, size.y, size.x)[-ndim:], "units": ("pixel", size.unit, size.unit)[-ndim:]}
        return options

    def hide(self) -> None:
        """Another layer shows the image."""
        if self.layer is not None:
            self.layer.visible = False

    def forget(self, layer: Layer) -> None:
        """A layer was removed; perhaps ours."""
        if layer is self.layer:
            self.layer = None
