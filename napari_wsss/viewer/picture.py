"""The layer that shows an image of a project that no other layer shows."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_wsss.session.opened import Opened


class PictureLayer:
    """One image layer of ours; it changes its pixels from image to image."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Image | None = None

    def show(self, opened: Opened) -> None:
        """Show this image; the view is kept between images of one size."""
        if opened.picture is None:
            return
        pixels, limits = opened.picture.pixels, opened.picture.limits
        rgb = limits is None and pixels.ndim == 3
        if self.layer is not None and bool(self.layer.rgb) != rgb:
            self._viewer.layers.remove(self.layer)
        fresh = self.layer is None or self.layer.data.shape[:2] != pixels.shape[:2]
        if self.layer is None:
            self.layer = Image(pixels, rgb=rgb, **self._options(opened))
            if limits is not None:
                self.layer.contrast_limits_range = limits
                self.layer.contrast_limits = limits
            self._viewer.layers.insert(0, self.layer)
        else:
            self.layer.data = pixels
            self.layer.name = opened.name
            if limits is not None:
                self.layer.contrast_limits_range = limits
                self.layer.contrast_limits = limits
        self.layer.visible = True
        if fresh:
            self._viewer.reset_view()

    def _options(self, opened: Opened) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": opened.name,
            "metadata": {"wsss": {"role": "image", "live": True}},
        }
        if opened.pixel_size is not None:
            size = opened.pixel_size
            options |= {"scale": (size.y, size.x), "units": (size.unit, size.unit)}
        return options

    def hide(self) -> None:
        """Another layer shows the image."""
        if self.layer is not None:
            self.layer.visible = False

    def forget(self, layer: Layer) -> None:
        """A layer was removed; perhaps ours."""
        if layer is self.layer:
            self.layer = None
