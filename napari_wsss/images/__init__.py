"""Image files: opening, planes, nodata, contrast, and the names of images."""

from __future__ import annotations

from napari_wsss.images.contrast import contrast, default_rgb, load
from napari_wsss.images.names import content_hash, image_files, image_name
from napari_wsss.images.source import ImageSource, open_source

__all__ = ["ImageSource", "content_hash", "contrast", "default_rgb", "image_files", "image_name", "load", "open_source"]
