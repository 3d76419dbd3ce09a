"""napari's side: only this package and the widgets know napari. Project and methods never import it."""

from __future__ import annotations
