"""Work of the window's thread in pieces, one in each turn of its event loop, so that none is felt."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from napari_wsss.viewer.sight import single_shot

_APART = 20  # ms, in which what was made is drawn for the first time: its shaders are compiled then


class Turns:
    """Pieces that wait for their turn, by name: a newer piece of a name takes the place of the older one."""

    done = Signal()  # none waits any more

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}
        self.timer = single_shot(_APART, self._next)

    @property
    def waiting(self) -> bool:
        """Some piece has not had its turn."""
        return bool(self._waiting)

    def add(self, name: str, what: Callable[[], None]) -> None:
        """Do it soon, after what waits already."""
        self._waiting[name] = what
        self.timer.start()

    def _next(self) -> None:
        name = next(iter(self._waiting))
        what = self._waiting.pop(name)
        what()
        if self._waiting:
            self.timer.start()
        else:
            self.done.emit()
