"""napari's side: only this package knows napari. Project and methods never import it."""

from __future__ import annotations

from napari_wsss.viewer.opening import open_project

__all__ = ["open_project"]
