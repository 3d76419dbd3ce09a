"""Makes the README's animated tour again: a person at the real window, from a sample to an export.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python .ci/tour.py
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torchvision  # noqa: F401  # before any viewer: Triton after Mesa's LLVM crashes (ARCHITECTURE.md)
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QPushButton, QWidget
from scipy import ndimage
from skimage import graph

from napari_wsss.drawing import nuclei

TOUR = Path(__file__).parents[1] / "docs" / "pictures" / "tour.webp"
WINDOW, WIDTH, BAR = (1280, 860), 960, 34
PLANE = 2  # of the sample's six: napari shows the middle of a stack
POINTER = [(0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12)]
_MINUTES = 0.2


class Tour:
    """Frames of the window, each with a line below it that says what the person does."""

    def __init__(self, viewer: Any, dock: Any, hand: Any) -> None:
        self.viewer, self.dock, self.hand = viewer, dock, hand
        self.session = hand.session
        self.frames: list[Image.Image] = []
        self.times: list[int] = []

    def show(self, words: str, seconds: float, at: QPoint | QWidget | None = None) -> None:
        """The window as it is now, for so long; ``at`` is where the mouse is in it, or a button that it is on."""
        self.hand.rest()
        if isinstance(at, QWidget):
            self.dock._area.ensureWidgetVisible(at)
            self.hand.pause(0.1)
            at = self.in_window(at, at.rect().center())
        shot = Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
        if at is not None:
            draw = ImageDraw.Draw(shot)
            draw.ellipse((at.x() - 11, at.y() - 11, at.x() + 11, at.y() + 11), outline="#ffd54a", width=3)
            draw.polygon([(at.x() + x, at.y() + y) for x, y in POINTER], fill="white", outline="black")
        small = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.LANCZOS)
        frame = Image.new("RGB", (WIDTH, small.height + BAR), "#14171c")
        frame.paste(small, (0, 0))
        text = f"{len(self.frames) + 1}   {words}"
        ImageDraw.Draw(frame).text((14, small.height + 6), text, "white", ImageFont.load_default(19))
        self.frames.append(frame)
        self.times.append(round(1000 * seconds))

    def in_window(self, widget: QWidget, place: QPoint) -> QPoint:
        return widget.mapTo(self.viewer.window._qt_window, place)

    def click(self, y: float, x: float, button: Any = Qt.MouseButton.LeftButton) -> QPoint:
        """Click a pixel of the image; where that was in the window."""
        self.hand.click(y, x, button)
        self.hand.rest()
        return self.in_window(self.hand.canvas, self.hand.place(y, x))

    def stroke(self, *path: tuple[int, int]) -> QPoint:
        """Draw from pixel to pixel; where that ended in the window."""
        from qtpy.QtTest import QTest

        canvas, places = self.hand.canvas, [self.hand.place(*p) for p in path]
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=places[0])
        for place in places:
            QTest.mouseMove(canvas, place)
            self.hand.pause(0.03)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=places[-1])
        self.hand.rest()
        return self.in_window(canvas, places[-1])

    def press(self, button: QWidget) -> QWidget:
        """Press a button of the dock, scrolled into sight."""
        from qtpy.QtTest import QTest

        self.dock._area.ensureWidgetVisible(button)
        self.hand.pause(0.1)
        middle = button.rect().center() if isinstance(button, QPushButton) else QPoint(12, button.height() // 2)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=middle)
        self.hand.pause(0.1)
        return button

    def unfold(self, name: str) -> None:
        self.press(self.dock.sections[name].title)
        self.dock._area.ensureWidgetVisible(self.dock.sections[name])
        self.hand.pause(0.2)

    def until(self, so: Callable[[], object], what: str) -> None:
        self.hand.until(so, what)

    def save(self, file: Path) -> None:
        first, *others = self.frames
        first.save(file, save_all=True, append_images=others, duration=self.times, loop=0, quality=72, method=6)


def between(truth: Any) -> list[tuple[int, int]]:
    """A way through the background, far from objects."""
    room = np.minimum(ndimage.distance_transform_edt(truth == 1), 30)
    way = graph.route_through_array(1 / (room + 0.1) ** 2, (160, 30), (160, 240))[0]
    return [(int(y), int(x)) for y, x in way[::6]]


def label(tour: Tour) -> None:
    """Clicks, a correction, accepting; the stages; accepting what they made."""
    truth = nuclei(PLANE).truth
    numbered, count = ndimage.label(truth == 2)
    depth = ndimage.distance_transform_edt(truth == 2)
    middles = ndimage.maximum_position(depth, numbered, range(1, count + 1))
    inside = [(int(y), int(x)) for y, x in middles if 60 < y < 260 and 60 < x < 260]
    first, *others = inside[:6]
    tour.show("Open any image, or a sample: it becomes a project by itself", 2.5)
    tour.show("Click an object: its mask appears", 2, tour.click(*first))
    tour.show(
        "Right click where it is not: it gives way",
        2,
        tour.click(first[0] + 9, first[1] + 9, Qt.MouseButton.RightButton),
    )
    tour.hand.key(Qt.Key.Key_W)
    tour.show("W accepts it; Ctrl+Z takes anything back", 1.5)
    for at in others:
        tour.click(*at)
        tour.hand.key(Qt.Key.Key_W)
        tour.hand.rest()
    tour.show("A few more", 1.5)
    tour.hand.key(Qt.Key.Key_1)
    tour.press(tour.dock.tools.buttons["scribble"])
    tour.show("Key 1, and a stroke on what is background", 2, tour.stroke(*between(truth)))
    tour.hand.key(Qt.Key.Key_2)
    tour.press(tour.dock.tools.buttons["point"])
    place = tour.press(tour.dock.stages.run_image)
    tour.hand.rest()
    tour.until(lambda: tour.session.opened.refined is not None, "refined")
    tour.show("Run this image: every pixel follows from the few hints", 3, place)
    tour.show(
        "The refined mask becomes ground truth; on to the next image", 1.5, tour.press(tour.dock.stages.accept_image)
    )


def learn(tour: Tour) -> None:
    """A segmenter beside the labelling, its predictions, and what to label next."""
    tour.unfold("training")
    panel, trainer = tour.dock.training, tour.session.trainer
    panel.segmenter.setCurrentText("frozen")
    panel.segmenter.activated.emit(panel.segmenter.currentIndex())
    panel.minutes.setValue(_MINUTES)
    place = tour.press(panel.start)
    tour.until(lambda: len(trainer.curve.losses) > 30, "learning")
    tour.show("Start: a segmenter learns in a process of its own; label on meanwhile", 2.5, place)
    tour.until(lambda: trainer.state == "idle", "trained")
    tour.hand.rest()
    tour.show("Predict all images: nobody has labelled this one", 3, tour.press(panel.predict))
    tour.unfold("training")
    tour.unfold("queue")
    place = tour.press(tour.dock.queue.ask)
    tour.hand.rest()
    tour.until(lambda: not tour.dock.queue.crops.wanted and tour.session.queue.current is not None, "what next")
    tour.show("What next? The regions most worth a look, each with its reason", 3, place)
    tour.hand.key(Qt.Key.Key_Y)
    tour.hand.pause(0.5)
    tour.show("Y: the prediction is right in the yellow box; on to the next region", 2.5)
    tour.unfold("queue")


def export(tour: Tour, folder: Path) -> None:
    tour.unfold("export")
    tour.show("Export: COCO, PNG, VOC, YOLO, GeoJSON, GeoTIFF, OME-Zarr", 3, tour.dock.export.button)
    tour.dock.export.export(folder)
    tour.hand.rest()


def main(folder: Path) -> None:
    import napari

    from napari_wsss.viewer.bound import binding_of
    from napari_wsss.widgets.driving.hand import Hand
    from napari_wsss.widgets.opening import add_dock

    viewer = napari.Viewer(title="napari-wsss")
    viewer.window.resize(*WINDOW)
    dock = add_dock(viewer)
    tour = Tour(viewer, dock, Hand(viewer))
    viewer.open_sample("napari-wsss", "nuclei")
    tour.until(lambda: binding_of(viewer).session.opened is not None, "the sample open")
    tour.until(lambda: len(dock.images.thumbnails.pictures) == 6, "thumbnails")
    label(tour)
    learn(tour)
    export(tour, folder / "out")
    tour.save(TOUR)
    viewer.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_WSSS_HOME"] = place
        main(Path(place))
