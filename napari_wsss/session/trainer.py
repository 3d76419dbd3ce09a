"""The trainer behind the labeller's back, as a window sees it: start, pause, stop, go on, and its curve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from psygnal import Signal

from napari_wsss.choices import DEFAULT_SEGMENTER
from napari_wsss.compute import Job, Priority
from napari_wsss.project import Project
from napari_wsss.session.curve import Curve, CurveReader
from napari_wsss.session.taught import lacking
from napari_wsss.session.training_process import Ended, TrainingProcess
from napari_wsss.session.words import in_words
from napari_wsss.training.run_folder import runs

if TYPE_CHECKING:
    from napari_wsss.session.session import Session

State = Literal["idle", "starting", "training", "paused", "stopping"]


_FOR_QUALITY = 4  # accepted images from which some are held out


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants trained: the segmenter, the encoder of its features ('' = the project's), and how long.

    The segmenter's parameters are the project's (table ``params`` of ``project.toml``).
    """

    segmenter: str = DEFAULT_SEGMENTER
    encoder: str = ""
    minutes: float = 5.0


class Trainer:
    """The training of a session's project. Verbs return at once; ``changed`` tells of everything.

    Attributes
    ----------
    wish : Wish
    curve : Curve
        Of the newest run.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._process: TrainingProcess | None = None
        self._left: list[TrainingProcess] = []
        self.wish, self.curve = Wish(), Curve()

    # ------------------------------------------------------------------ what it does

    @property
    def state(self) -> State:
        process = self._process
        if process is None:
            return "idle"
        if process.is_stopping:
            return "stopping"
        if not process.has_begun:
            return "starting"
        return "paused" if process.is_paused else "training"

    @property
    def can_go_on(self) -> bool:
        """There is a run that stands still and has a checkpoint."""
        project = self._session.project
        newest = runs(project.folder)[-1:] if project is not None and self._process is None else []
        return bool(newest) and newest[0].checkpoint.is_file()

    @property
    def pid(self) -> int:
        """Of the process; 0 if there is none."""
        return self._process.pid if self._process else 0

    @property
    def words(self) -> str:
        """How far it is, in a person's words."""
        if self.state == "starting":
            return "starting: torch and the images are being loaded…"
        if not self.curve.run:
            return "no segmenter yet"
        if not self.curve.losses:
            return f"run {self.curve.run} looks at the images…" if self.pid else "ended before its first step"
        best = self.curve.best
        accepted = sum(record.state == "accepted" for record in self._session.records())
        waits = "no mIoU yet" if accepted >= _FOR_QUALITY else "no mIoU yet: it needs four accepted images"
        quality = waits if best is None else f"mIoU {best:.2f}"
        place = f"{self.curve.device.partition(' ')[0]} · " if self.curve.device and self.pid else ""
        stands = {"paused": " · paused", "stopping": " · saving…"}.get(self.state, "")
        return f"{place}run {self.curve.run} · step {self.curve.step} · {quality}{stands}"

    # ------------------------------------------------------------------ verbs

    def start(self) -> None:
        """Begin a new run, if the labels can teach anything."""
        project = self._session.the_project()

        def work(job: Job[str]) -> str:
            return lacking(project)

        def begin(lack: str) -> None:
            if lack:
                self._session.told.emit(lack)
            elif self._process is None and self._session.project is project:
                self._begin(project, self.wish.minutes, resume=False)

        self._session.when_done(self._session.start(work, "train", "looking at the labels", Priority.CLICK), begin)

    def go_on(self) -> None:
        """Out of a pause; or the newest run from its last checkpoint, for so many minutes more."""
        if self._process is not None:
            self._process.pause(False)
            self.changed.emit()
        elif self.can_go_on:
            minutes = self.curve.seconds / 60 + self.wish.minutes
            self._begin(self._session.the_project(), minutes, resume=True)

    def pause(self) -> None:
        """Hold it; memory of the device is given back."""
        if self._process is not None:
            self._process.pause(True)
            self.changed.emit()

    def stop(self) -> None:
        """End it; the best weights stay, and the run can be gone on with."""
        if self._process is not None:
            self._process.stop()
            self.changed.emit()

    def step_aside(self) -> None:
        """The person did something: training waits a second."""
        if self._process is not None:
            self._process.step_aside()

    def show(self) -> None:
        """Read the curve of the project's newest run, and wish for the like again."""
        project, wish = self._session.the_project(), self.wish

        def work(job: Job[tuple[Curve, Wish]]) -> tuple[Curve, Wish]:
            found = runs(project.folder)
            if not found:
                return Curve(), wish
            begun = found[-1].settings()
            return CurveReader(found[-1]).read(), replace(wish, segmenter=begun.segmenter, encoder=begun.encoder or "")

        def read(found: tuple[Curve, Wish]) -> None:
            if self._process is None and self._session.project is project:
                self.curve, self.wish = found
                self.changed.emit()

        self._session.when_done(self._session.start(work, "curve", "reading the curve", Priority.CLICK), read)

    def leave(self) -> None:
        """The project is closed: training ends after its step, with a checkpoint."""
        if self._process is not None:
            self._process.stop(leaving=True)
            self._left.append(self._process)
        self._process, self.curve = None, Curve()
        self.changed.emit()

    def join(self, seconds: float) -> bool:
        """Wait for the processes that were told to end; whether all have. Not for the window's thread."""
        return all(process.join(seconds) for process in (*self._left, self._process) if process is not None)

    # ------------------------------------------------------------------ the process

    def _begin(self, project: Project, minutes: float, resume: bool) -> None:
        wish = self.wish
        words = ["--minutes", f"{minutes:.4g}", "--device", self._session.device, "--segmenter", wish.segmenter]
        words += ["--encoder", wish.encoder] if wish.encoder else []
        if not all(left.join(0) for left in self._left):
            self._session.told.emit("The last training is still saving its checkpoint; try again in a moment.")
            return
        if not resume:
            self.curve = Curve()
        process = TrainingProcess(
            project.folder, words, resume,
            lambda curve: self._session.deliver(lambda: self._seen(process, curve)),
            lambda ended: self._session.deliver(lambda: self._ended(process, ended)),
        )  # fmt: skip
        self._process = process
        self.changed.emit()

    def _seen(self, process: TrainingProcess, curve: Curve) -> None:
        if process is self._process:
            self.curve = curve
            self.changed.emit()

    def _ended(self, process: TrainingProcess, how: Ended) -> None:
        if process is not self._process:
            return
        self._process = None
        if how.status == 0 or how.asked:
            self._session.told.emit(f"Training ended. {self.words}")
        else:
            way_out = "press Go on: its checkpoint is there" if self.can_go_on else "press Start"
            self._session.failed.emit(f"Training broke off ({_reason(how)}); {way_out}.")
        self.changed.emit()


def _reason(how: Ended) -> str:
    """Why a process ended by itself."""
    if how.status < 0:
        return f"the process was killed, signal {-how.status}"
    line = how.said.removeprefix("napari-wsss: ").rstrip(".")
    return in_words(MemoryError()).rstrip(".") if "out of memory" in line.lower() else line or f"status {how.status}"
