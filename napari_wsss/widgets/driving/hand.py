"""Mouse and keys in a napari window, as Qt events; waiting for what is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from qtpy import QtTest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QWidget
from vispy.gloo import gl

from napari_wsss.compute import Priority
from napari_wsss.viewer.bound import binding_of

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
PLAIN, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
_PATIENCE = 300.0  # seconds
_POLL = 0.001

QTest: Any = QtTest.QTest  # its overloads want enums of one binding, qtpy serves all


class Hand:
    """Works in a viewer's window.

    Attributes
    ----------
    drawn : float
        When the canvas last finished a drawing (``time.perf_counter``).
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer, self.session = viewer, binding_of(viewer).session
        self.drawn = self._answered = 0.0
        self._canvas = viewer.window._qt_viewer.canvas
        self._canvas._scene_canvas.events.draw.connect(self._on_draw, position="last")
        self.failed: list[str] = []
        self.session.failed.connect(self.failed.append)
        self.session.draft_changed.connect(self._on_draft)

    def _on_draw(self, event: Any) -> None:
        gl.glFinish()
        self.drawn = time.perf_counter()

    def _on_draft(self) -> None:
        self._answered = time.perf_counter()

    @property
    def canvas(self) -> QWidget:
        """The widget that is drawn on."""
        return cast("QWidget", self._canvas.native)

    def until(self, so: Callable[[], object], what: str) -> None:
        """Let the window live until something is so."""
        deadline = time.perf_counter() + _PATIENCE
        while not so():
            if self.failed or time.perf_counter() > deadline:
                raise SystemExit(f"the window did not come to this: {what}; it said: {'; '.join(self.failed)}")
            QApplication.processEvents()
            time.sleep(_POLL)

    def rest(self) -> None:
        """Until nothing is asked, opened, looked at or running."""
        s, turns = self.session, binding_of(self.viewer).turns
        self.until(
            lambda: not (s.is_opening or s.working.work or self.is_asking or turns.waiting),
            "at rest",
        )
        idle = s.thread.start(lambda job: None, priority=Priority.IDLE)
        self.until(idle.done, "the torch thread has nothing to do")
        self.pause(0.05)

    @property
    def is_asking(self) -> bool:
        """The model has not answered yet."""
        draft = self.session.opened.draft if self.session.opened else None
        return draft is not None and not draft.answered

    def pause(self, seconds: float) -> None:
        """Let the window live."""
        until = time.perf_counter() + seconds
        self.until(lambda: time.perf_counter() > until, "later")

    def place(self, y: float, x: float) -> QPoint:
        """Where a pixel of the open image is on the canvas."""
        layer = binding_of(self.viewer).layer("points")
        if layer is None:
            raise SystemExit("no image is open")
        camera = self.viewer.scene.camera
        world = np.array(layer.data_to_world((y, x)))[-2:]
        size = np.array([self.canvas.height(), self.canvas.width()])
        at = (world - np.array(camera.center[-2:])) * camera.zoom + size / 2
        return QPoint(round(float(at[1])), round(float(at[0])))

    def move(self, y: float, x: float) -> None:
        """Move the mouse over a pixel."""
        QTest.mouseMove(self.canvas, self.place(y, x))

    def click(self, y: float, x: float, button: Any = LEFT) -> float:
        """Click a pixel; the time of the click."""
        self.move(y, x)
        self.pause(0.05)
        start = time.perf_counter()
        QTest.mouseClick(self.canvas, button, PLAIN, self.place(y, x))
        return start

    def key(self, key: Any, modifier: Any = PLAIN) -> float:
        """Press a key over the canvas; the time of it."""
        self.canvas.setFocus()
        start = time.perf_counter()
        QTest.keyClick(self.canvas, key, modifier)
        return start

    def shown(self, start: float) -> float:
        """Seconds from a time until the model has answered and a drawing that began later is finished."""
        self.until(lambda: not self.is_asking, "the mask")
        return self.redrawn(self._answered) - start

    def redrawn(self, since: float) -> float:
        """When a drawing was finished that began after a time."""
        if self.drawn < since:
            self.canvas.update()
            self.until(lambda: self.drawn >= since, "drawn")
        return self.drawn
