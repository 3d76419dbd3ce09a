"""Small pictures of images and regions, made one at a time when nothing else runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QWidget

from napari_wsss.compute import Job, Priority
from napari_wsss.errors import WsssError
from napari_wsss.session import Session
from napari_wsss.widgets.listening import while_alive

Key = TypeVar("Key", bound=Hashable)
Made = NDArray[np.uint8] | str


class Thumbnails(Generic[Key]):
    """Pictures by key.

    Parameters
    ----------
    owner : QWidget
        That shows them; what comes once it is gone is dropped.
    slot : str
        Of the session's jobs.
    arrived : callable
        Told of each key whose picture is there, or cannot be made.

    Attributes
    ----------
    pictures : dict of key to QPixmap
    refused : dict of key to str
        Why a picture cannot be made.
    wanted : dict of key to callable
        What is not made yet: functions of uint8 (h, w, 3), called in the torch thread.
    """

    def __init__(self, session: Session, owner: QWidget, slot: str, arrived: Callable[[Key], None]) -> None:
        self._session, self._owner, self._slot, self._arrived = session, owner, slot, arrived
        self.pictures: dict[Key, QPixmap] = {}
        self.refused: dict[Key, str] = {}
        self.wanted: dict[Key, Callable[[], NDArray[np.uint8]]] = {}
        self._making: Key | None = None

    def want(self, pictures: Mapping[Key, Callable[[], NDArray[np.uint8]]]) -> None:
        """Make these where they are not there, in this order, and no others."""
        self.wanted = {k: make for k, make in pictures.items() if k not in self.pictures and k not in self.refused}
        if self._making not in self.wanted:
            self._next()

    def forget(self) -> None:
        """The keys now mean something else."""
        self.pictures, self.refused, self.wanted, self._making = {}, {}, {}, None
        self._session.drop(self._slot)

    def _next(self) -> None:
        self._making = next(iter(self.wanted), None)
        if self._making is None:
            return
        key, make = self._making, self.wanted[self._making]

        def work(job: Job[Made]) -> Made:
            try:
                return make()
            except WsssError as error:
                return str(error)

        job = self._session.start(work, self._slot, "thumbnails", Priority.IDLE)
        self._session.when_done(job, while_alive(self._owner, partial(self._got, key)))

    def _got(self, key: Key, made: Made) -> None:
        if key not in self.wanted:
            return
        del self.wanted[key]
        if isinstance(made, str):
            self.refused[key] = made
        else:
            h, w = made.shape[:2]
            self.pictures[key] = QPixmap.fromImage(QImage(made.tobytes(), w, h, 3 * w, QImage.Format.Format_RGB888))
        self._arrived(key)
        self._next()


def untinted(picture: QPixmap) -> QIcon:
    """An icon that looks the same where its row is chosen."""
    made = QIcon(picture)
    made.addPixmap(picture, QIcon.Mode.Selected)
    return made
