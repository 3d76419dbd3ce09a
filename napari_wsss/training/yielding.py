"""Letting a person work: a run pauses or ends when files say so, and steps aside while clicks come.

``runs/pause`` holds the run until the file is gone; ``runs/stop`` ends it after a checkpoint; ``runs/busy`` is
touched by a window at each click, and the run waits until it is a second old. A run that a window started ends,
after a checkpoint, when that window is gone without a word (killed, or crashed).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from napari_wsss.training.run_folder import RUNS

PAUSE, STOP, BUSY = "pause", "stop", "busy"
WINDOW = "NAPARI_WSSS_WINDOW"
"""Environment variable: process id of the window that started the run."""
_QUIET = 1.0  # seconds after the last click
_LOOK = 0.1


class Signals:
    """What others say to a run through files of the project's folder ``runs/``."""

    def __init__(self, project: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = project / RUNS, clock
        self._window = os.environ.pop(WINDOW, "")  # processes that this one starts have another parent

    @property
    def stop(self) -> bool:
        return (self._folder / STOP).exists() or self.is_orphan

    @property
    def is_orphan(self) -> bool:
        """Whether the window that started this process is gone; known on POSIX only."""
        return os.name == "posix" and bool(self._window) and str(os.getppid()) != self._window

    @property
    def pause(self) -> bool:
        return (self._folder / PAUSE).exists()

    @property
    def busy(self) -> bool:
        """Whether somebody clicked within the last second."""
        try:
            age = self._clock() - (self._folder / BUSY).stat().st_mtime
        except FileNotFoundError:
            return False
        return 0 <= age < _QUIET

    def begin(self) -> None:
        """Forget a request to stop that an earlier run was told."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / STOP).unlink(missing_ok=True)

    def wait(self, paused: Callable[[], None] = lambda: None, sleep: Callable[[float], None] = time.sleep) -> float:
        """Return when nobody asks to wait (or somebody asks to stop); the seconds waited.

        ``paused`` is called once when a wait begins, to save and to give memory back.
        """
        waited, told = 0.0, False
        while (self.pause or self.busy) and not self.stop:
            if self.pause and not told:
                paused()
                told = True
            sleep(_LOOK)
            waited += _LOOK
        return waited
