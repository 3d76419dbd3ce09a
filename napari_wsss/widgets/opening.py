"""A window for the command line: napari with the dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_wsss.viewer.opening import open_window

TITLE = "Weak supervision"


def open_with_dock(paths: Sequence[Path], shown: Callable[[Any], None] | None = None) -> None:
    """Open napari with the dock; returns when the window is closed. ``shown`` gets the viewer once it is there."""
    open_window(paths, add_dock, shown)


def add_dock(viewer: Any) -> Any:
    """The dock on the right of a viewer's window."""
    from napari_wsss.widgets.dock import Dock

    dock = Dock(viewer)
    viewer.window.add_dock_widget(dock, name=TITLE, area="right")
    return dock
