"""A napari window with the dock: on a project, on images, or empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_wsss.compute.collecting import loading
from napari_wsss.compute.triton import load_triton

Docking = Callable[[Any], Any]
"""Adds the dock to a viewer; it lives above this room."""


def open_window(paths: Sequence[Path], dock: Docking, shown: Callable[[Any], None] | None = None) -> None:
    """Open napari with the dock on a project folder, or on images as a new project; returns when it is closed.

    ``shown`` gets the viewer before its events are served.

    Raises
    ------
    UsageError
        A project that cannot be opened.
    """
    with loading():
        load_triton()  # before the canvas: see ARCHITECTURE.md, facts that cost days
        import napari

        from napari_wsss.project import Project

        project = Project.open(paths[0]) if len(paths) == 1 and is_project(paths[0]) else None
        viewer = napari.Viewer(title="napari-wsss")
        show(viewer, dock, project, [] if project else list(paths))
    if shown is not None:
        shown(viewer)
    napari.run()


def show(viewer: Any, dock: Docking, project: Any, images: Sequence[Path]) -> Any:
    """Add the dock to a viewer, and open a project or images in it; the binding."""
    from napari_wsss.session import scratch
    from napari_wsss.viewer.bound import binding_of

    binding = binding_of(viewer)
    dock(viewer)
    if project is not None:
        binding.session.take_project(project)
    elif images:
        binding.session.take_project(scratch.new_scratch())
        binding.session.add_images(images)
    return binding


def is_project(path: Path) -> bool:
    """Whether a path is a project folder."""
    return (path / "project.toml").is_file()
