"""A person at the window: real mouse and key events, waiting for what is shown, pictures of each state."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from qtpy.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_wsss.compute import Priority
from napari_wsss.widgets.dock import Dock
from napari_wsss.widgets.opening import TITLE

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
SHOTS = os.environ.get("NAPARI_WSSS_SHOTS", "")
"""Folder for pictures of the window's states; none are kept where it is empty."""


def turn() -> None:
    """One turn of the event loop as when napari runs: it also deletes what was closed; ``processEvents`` does not."""
    QApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def settle(until: Callable[[], object]) -> None:
    """Let the window live until something is so."""
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline, "still not so"
        turn()
        time.sleep(0.002)


class Person:
    """Somebody who works in a napari window with the dock."""

    def __init__(self, viewer, size: tuple[int, int] = (1400, 900)) -> None:
        self.viewer = viewer
        viewer.window.resize(*size)
        self.dock = Dock(viewer)
        viewer.window.add_dock_widget(self.dock, name=TITLE, area="right")
        self.binding, self.session = self.dock.binding, self.dock.binding.session
        self.told: list[str] = []
        self.failed: list[str] = []
        self.session.told.connect(self.told.append)
        self.session.failed.connect(self.failed.append)
        self.rest()

    def wait(self, until: Callable[[], object], what: str, patience: float = 120) -> None:
        """Let the window live until something is so."""
        deadline = time.monotonic() + patience
        while not until():
            assert time.monotonic() < deadline, f"still not: {what}; told {self.told[-2:]}, failed {self.failed}"
            turn()
            time.sleep(0.002)

    def rest(self) -> None:
        """Until nothing is asked, opened or running any more, and all is drawn."""
        s = self.session
        self.wait(
            lambda: (
                not s.is_opening
                and s.working.work is None
                and not self.binding.turns.waiting
                and not (s.opened and s.opened.draft and not s.opened.draft.answered)
            ),
            "at rest",
        )
        idle = s.thread.start(lambda job: None, priority=Priority.IDLE)
        self.wait(idle.done, "what was made has been read")
        for _ in range(5):
            turn()
            time.sleep(0.01)
        self.wait(lambda: not self.binding.turns.waiting, "all layers made")

    def opened(self, name: str = "") -> None:
        """Until this image is open."""
        self.wait(lambda: self.session.opened and (not name or self.session.opened.name == name), f"{name} open")
        self.rest()

    @property
    def canvas(self) -> QWidget:
        return self.viewer.window._qt_viewer.canvas.native

    def place(self, y: float, x: float) -> QPoint:
        """Where a pixel of the open image is on the canvas."""
        layer = self.binding.layer("points")
        world = np.array(layer.data_to_world((y, x)))[-2:]
        centre = np.array(self.viewer.scene.camera.center[-2:])
        size = np.array([self.canvas.height(), self.canvas.width()])
        at = (world - centre) * self.viewer.scene.camera.zoom + size / 2
        assert (at >= 0).all(), "that pixel is not in sight"
        assert (at < size).all(), "that pixel is not in sight"
        return QPoint(round(at[1]), round(at[0]))

    def move(self, place: QPoint, held=Qt.MouseButton.NoButton) -> None:
        """The pointer to a place of the canvas.

        ``QTest.mouseMove`` would move the display's one pointer: where it was there already, or where another window
        lies on top, no event came of that.
        """
        at, everywhere = QPointF(place), QPointF(self.canvas.mapToGlobal(place))
        keys = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(QEvent.Type.MouseMove, at, everywhere, Qt.MouseButton.NoButton, held, keys)
        QApplication.sendEvent(self.canvas, event)
        turn()

    def click(self, y: float, x: float, button=LEFT, keys=Qt.KeyboardModifier.NoModifier) -> None:
        self.move(self.place(y, x))
        QTest.mouseClick(self.canvas, button, keys, self.place(y, x))
        turn()

    def drag(self, *path: tuple[float, float]) -> None:
        places = [self.place(*p) for p in path]
        self.move(places[0])
        QTest.mousePress(self.canvas, LEFT, Qt.KeyboardModifier.NoModifier, places[0])
        for a, b in itertools.pairwise(places):
            for share in (0.25, 0.5, 0.75, 1.0):
                self.move(a + (b - a) * share, LEFT)
        QTest.mouseRelease(self.canvas, LEFT, Qt.KeyboardModifier.NoModifier, places[-1])
        turn()

    def key(self, key: Qt.Key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        turn()

    def press(self, button: QWidget) -> None:
        """Click a button of the dock."""
        assert button.isEnabled(), f"{button} cannot be pressed"
        QTest.mouseClick(button, LEFT)
        turn()

    def shot(self, name: str) -> np.ndarray:
        """A picture of the whole window."""
        picture = self.viewer.screenshot(canvas_only=False, flash=False)
        if SHOTS:
            from PIL import Image

            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture[..., :3]).save(Path(SHOTS) / f"{name}.png")
        return picture
