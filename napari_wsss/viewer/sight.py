"""What part of the image is in sight: remembered for the next start."""

from __future__ import annotations

from collections.abc import Callable

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

from napari_wsss.session import Session

_AFTER = 400  # ms without a change


class Sight:
    """The camera of a viewer, written to the session when it rests and taken from it after a project was opened."""

    def __init__(self, viewer: ViewerModel, session: Session, layer: Callable[[], Layer | None]) -> None:
        self._camera, self._session, self._layer = viewer.scene.camera, session, layer
        self.timer = single_shot(_AFTER, self._remember)
        self._camera.events.center.connect(self._moved)
        self._camera.events.zoom.connect(self._moved)

    def _moved(self) -> None:
        self.timer.start()

    def _remember(self) -> None:
        if self._session.opened is not None:
            self._session.view = {
                "center": [float(c) for c in self._camera.center[-2:]],
                "zoom": float(self._camera.zoom),
                "image": self._session.opened.name,
            }
            self._session.write_place()
            self._session.looking.around(*self._middle())

    def _middle(self) -> tuple[int, int]:
        """The pixel of the image in the middle of the canvas."""
        layer = self._layer()
        at = self._camera.center[-2:] if layer is None else layer.world_to_data(self._camera.center[-2:])
        return round(float(at[0])), round(float(at[1]))

    def restore(self) -> None:
        """Where the person left the image that is now open; once."""
        view, opened = dict(self._session.view), self._session.opened
        self._session.view = {}
        if opened is not None and view.get("image") == opened.name and "zoom" in view:
            self._camera.center = (0.0, *view["center"])
            self._camera.zoom = view["zoom"]
            self._session.view = {**view, "image": ""}


def single_shot(milliseconds: int, what: Callable[[], None], parent: QObject | None = None) -> QTimer:
    """A timer that calls once, so long after it was last started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(what)
    return timer
