"""One measurement in a window of its own: ``python -m napari_wsss.widgets.driving TASK.json``; figures as JSON.

The task says ``part`` (clicks, pauses or usable), ``path`` (image or project) and what else the part needs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from napari_wsss.bench._machine import peak_mib
from napari_wsss.compute.triton import load_triton


def usable(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds from ``task["started"]`` (``time.time``) until the image is drawn, the dock shown and the loop idle."""
    from qtpy.QtCore import QTimer

    from napari_wsss.widgets.driving.hand import Hand
    from napari_wsss.widgets.opening import open_with_dock

    found: dict[str, Any] = {}

    def shown(viewer: Any) -> None:
        hand = Hand(viewer)

        def drawn() -> None:
            hand.until(lambda: hand.session.opened is not None, "the image open")
            hand.redrawn(time.perf_counter())
            QTimer.singleShot(0, leave)

        def leave() -> None:
            found["seconds"] = time.time() - task["started"]
            hand.rest()
            viewer.close()

        QTimer.singleShot(0, drawn)

    open_with_dock([Path(task["path"])], shown)
    return found


def in_window(task: dict[str, Any]) -> dict[str, Any]:
    """Clicks or pauses, in a window that is open already and has looked at its image."""
    import napari

    from napari_wsss.project import Project
    from napari_wsss.session import scratch
    from napari_wsss.viewer.opening import is_project, show
    from napari_wsss.widgets.driving.clicks import click_all
    from napari_wsss.widgets.driving.hand import Hand
    from napari_wsss.widgets.driving.pauses import pauses
    from napari_wsss.widgets.opening import add_dock

    path = Path(task["path"])
    viewer = napari.Viewer(title="napari-wsss")
    viewer.window.resize(1400, 900)
    project = Project.open(path) if is_project(path) else scratch.new_scratch()
    session = show(viewer, add_dock, project, []).session
    hand = Hand(viewer)
    if not is_project(path):
        session.add_images([path])
    hand.until(lambda: session.opened is not None, "the image open")
    hand.rest()
    if task["part"] == "clicks":
        places = [(int(y), int(x)) for y, x in task["places"]]
        viewer.scene.camera.zoom = max(viewer.scene.camera.zoom, 1.0)
        session.choose_class(2)
        found: dict[str, Any] = {"seconds": click_all(hand, places)}
    else:
        found = {"pauses": pauses(hand, float(task["training"]))}
    found |= {"model": session.predicting.model, "peak_mib": peak_mib()}
    viewer.close()
    return found


def main(file: Path) -> None:
    task = json.loads(file.read_text(encoding="utf-8"))
    load_triton()  # before the canvas
    found = usable(task) if task["part"] == "usable" else in_window(task)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
