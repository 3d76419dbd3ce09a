"""A napari window on a project."""

from __future__ import annotations

import importlib
from pathlib import Path


def open_project(folder: Path) -> None:
    """Open napari on a project's images and results; returns when the window is closed."""
    from napari_wsss.viewer.reading import read_project

    napari = importlib.import_module("napari")
    viewer = napari.Viewer(title=f"napari-wsss: {folder.name}")
    layer = importlib.import_module("napari.layers").Layer
    for data in read_project(folder):
        viewer.add_layer(layer.create(*data))
    napari.run()
