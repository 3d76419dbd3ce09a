"""From any thread into the window's."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]


class MainThread(QObject):
    """Called with a function from any thread, runs it in the thread that made this, once its events are done."""

    _asked = QtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        self._asked.connect(self._do, Qt.ConnectionType.QueuedConnection)

    def __call__(self, what: Callable[[], None]) -> None:
        self._asked.emit(what)

    def _do(self, what: Callable[[], None]) -> None:
        what()
