"""Makes the README's pictures again: the demo's sheets, and napari's window on the demo's first project.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python .ci/pictures.py
"""

from __future__ import annotations

import tempfile
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
    """napari as it opens on a project folder."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.open(str(project), plugin="napari-wsss")
    viewer.reset_view()
    shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    shot.save(PICTURES / "window.png", optimize=True)
    viewer.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        window(sheets(Path(folder) / "demo"))
