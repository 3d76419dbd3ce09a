"""The dock: views of the viewer's session, one widget a file. A widget holds no state that would be missed."""

from __future__ import annotations

from napari_wsss.widgets.dock import Dock

__all__ = ["Dock"]
