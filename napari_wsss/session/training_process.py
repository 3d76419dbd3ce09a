"""``napari-wsss train`` as a process of its own, watched by a thread; its ``runs/`` files are how we speak to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_wsss.session.curve import Curve, CurveReader
from napari_wsss.training.run_folder import RUNS, runs
from napari_wsss.training.yielding import BUSY, PAUSE, STOP, WINDOW

LOG = "window.log"
_LOOK = 0.4  # seconds between looks at the metrics
_STOPPING = 60.0  # seconds for a last step and a checkpoint
_LEAVING = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its status (negative: a signal), whether that was asked for, and its last words."""

    status: int
    asked: bool
    said: str


class TrainingProcess:
    """One process and the thread that watches it.

    Parameters
    ----------
    project : Path
        Folder of the project.
    words : sequence of str
        Options of ``napari-wsss train``.
    resume : bool
        Go on with the newest run.
    seen : callable
        Told of the curve while it grows, in the watching thread.
    ended : callable
        Told how it ended, once, in the watching thread.
    """

    def __init__(
        self,
        project: Path,
        words: Sequence[str],
        resume: bool,
        seen: Callable[[Curve], None],
        ended: Callable[[Ended], None],
    ) -> None:
        self._project, self._folder = project, project / RUNS
        self._seen, self._ended = seen, ended
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in (PAUSE, STOP):
            (self._folder / name).unlink(missing_ok=True)
        before = runs(project)
        self._first = before[-1].number + (not resume) if before else 1
        self._reader: CurveReader | None = None
        self._deadline, self._asked = 0.0, False
        self.curve = Curve()
        self._since = time.time()
        self._process = self._start(["train", str(project), *words, *(["--resume"] if resume else [])])
        self._thread = threading.Thread(target=self._watch, name="napari-wsss training", daemon=True)
        self._thread.start()

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / LOG).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "napari_wsss", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, WINDOW: str(os.getpid())},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_begun(self) -> bool:
        """It has loaded what it needs, and listens to us."""
        return self.curve.began >= self._since

    @property
    def is_paused(self) -> bool:
        return (self._folder / PAUSE).exists()

    @property
    def is_stopping(self) -> bool:
        return self._asked

    def pause(self, paused: bool) -> None:
        """Hold it after its step, with a checkpoint; or let it go on."""
        if paused:
            (self._folder / PAUSE).touch()
        else:
            (self._folder / PAUSE).unlink(missing_ok=True)

    def step_aside(self) -> None:
        """A person is at work: it waits until a second has passed."""
        (self._folder / BUSY).touch()

    def stop(self, leaving: bool = False) -> None:
        """End it: after its step and a checkpoint, or at once if it has not begun. It is killed if it does not end."""
        self._asked = True
        self._deadline = time.monotonic() + (_LEAVING if leaving else _STOPPING)
        if self.has_begun:
            (self._folder / STOP).touch()
        else:
            self._process.terminate()
        self.pause(False)

    def join(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # ------------------------------------------------------------------ in the watching thread

    def _watch(self) -> None:
        while True:
            try:
                self._process.wait(_LOOK)
                break
            except subprocess.TimeoutExpired:
                self._look()
            if self._asked and time.monotonic() > self._deadline:
                self._process.kill()
        self._look()
        for name in (STOP, PAUSE):
            (self._folder / name).unlink(missing_ok=True)
        self._ended(Ended(self._process.returncode, self._asked, _last_line(self._folder / LOG)))

    def _look(self) -> None:
        if self._reader is None:
            found = [run for run in runs(self._project) if run.number >= self._first]
            if not found:
                return
            self._reader = CurveReader(found[0])
        self.curve = self._reader.read()
        self._seen(self.curve)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
