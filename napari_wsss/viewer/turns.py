"""Work of the window's thread in pieces, one in each turn of its event loop, so that none is felt."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_wsss.viewer.sight import single_shot

_APART = 20  # ms, in which what was made is drawn for the first time: its shaders are compiled then
_STILL = 200  # ms without a movement of the mouse


class Turns:
    """Pieces that wait for their turn, by name: a newer piece of a name takes the place of the older one."""

    done = Signal()  # none waits any more

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}
        self._unseen: dict[str, Callable[[], None]] = {}
        self.timer = single_shot(_APART, self._next)
        self._undrawn: list[ref[QMainWindow]] = []  # held by nobody here: they may be closed before they are drawn
        self._drawing = single_shot(_APART // 2, self._draw)

    @property
    def waiting(self) -> bool:
        """Some piece has not had its turn."""
        return bool(self._waiting or self._unseen)

    def add(self, name: str, what: Callable[[], None], first: bool = False) -> None:
        """Do it soon, after what waits already, or before."""
        if first:
            self._waiting = {name: what, **self._waiting}
        self._waiting[name] = what
        self.timer.start(_APART)

    def add_unseen(self, name: str, what: Callable[[], None]) -> None:
        """Do what nobody waits for when the mouse rests, after all else."""
        self._unseen[name] = what
        if not self._waiting:
            self.timer.start(_STILL)

    def stir(self) -> None:
        """The mouse was moved."""
        if self._unseen and not self._waiting:
            self.timer.start(_STILL)

    def _next(self) -> None:
        pieces = self._waiting or self._unseen
        name = next(iter(pieces))
        what = pieces.pop(name)
        self._draw_later()
        what()
        if self.waiting:
            self.timer.start(_APART if self._waiting else _STILL)
        else:
            self.done.emit()

    def stop(self) -> None:
        """Nothing more has its turn; windows that wait to be drawn are drawn."""
        for timer in (self.timer, self._drawing):
            if isalive(timer):  # type: ignore[no-untyped-call]  # Qt may have gone first
                timer.stop()
        self._draw()

    def _draw_later(self) -> None:
        """In a turn of its own: napari would draw all of the window right after a layer was made."""
        for window in QApplication.topLevelWidgets():
            if isinstance(window, QMainWindow) and window.isVisible() and window.updatesEnabled():
                window.setUpdatesEnabled(False)
                self._undrawn.append(ref(window))
        self._drawing.start()

    def _draw(self) -> None:
        while self._undrawn:
            window = self._undrawn.pop()()
            if window is not None and isalive(window):  # type: ignore[no-untyped-call]  # it may have been closed meanwhile
                window.setUpdatesEnabled(True)
