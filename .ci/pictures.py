"""Makes the README's pictures again: the demo's sheets, and napari's window on the demo's first project.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python .ci/pictures.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torchvision  # noqa: F401  # before any viewer: Triton after Mesa's LLVM crashes (ARCHITECTURE.md)
from PIL import Image

from napari_wsss.demo import run_demo

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH = 1100


def sheets(out: Path) -> Path:
    """The demo's sheets at the README's width; the first project."""
    outcome = run_demo(out, lambda line: None)
    PICTURES.mkdir(exist_ok=True)
    for file in sorted((out / "pictures").glob("*.png")):
        picture = Image.open(file).convert("RGB")
        small = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        small.quantize(192, dither=Image.Dither.NONE).save(PICTURES / file.name, optimize=True)
    return next(iter(outcome.projects.values()))


def window(project: Path) -> None:
    """The dock on the demo's first project, as it opens."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_wsss.viewer.bound import binding_of
    from napari_wsss.widgets.opening import add_dock

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    thumbnails = add_dock(viewer).images.thumbnails
    session = binding_of(viewer).session
    session.open_project(project)
    _wait(lambda: session.opened is not None)
    _wait(lambda: all(r.name in thumbnails.pictures for r in session.records()))
    _wait(lambda: session.working.work is None)
    QApplication.processEvents()
    shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    shot.save(PICTURES / "window.png", optimize=True)
    viewer.close()


def _wait(until: Callable[[], bool]) -> None:
    from qtpy.QtWidgets import QApplication

    while not until():
        QApplication.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        window(sheets(Path(folder) / "demo"))
