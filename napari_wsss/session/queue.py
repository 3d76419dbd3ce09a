"""The queue of regions worth labelling: asking, going to one, answering, and on to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal
from scipy import ndimage

from napari_wsss import active_learning
from napari_wsss.active_learning import Asking, Filling
from napari_wsss.compute import Job, Priority
from napari_wsss.session.opened import Opened
from napari_wsss.session.steps import Accepted, Step
from napari_wsss.training.run_folder import has_segmenter
from napari_wsss.types import Answer, Instances, Labels, Region

if TYPE_CHECKING:
    from napari_wsss.session.session import Session

LENGTH = 12
_TRAIN = "Train a segmenter first: what to label next follows from where it is unsure."
_NONE = "No region waits; ask what next."
_DONE = "No region waits any more. Train on what you answered, then ask again."
_STEP = {"accepted": "accept region", "class": "all of one class", "skipped": "skip region"}


class RegionQueue:
    """Regions of the project's journal that wait for an answer, in the order in which they were asked.

    Attributes
    ----------
    waiting : tuple of Region
    current : Region or None
        The one that is looked at.
    strategy : str
        Method of ``acquisition``.
    """

    changed = Signal()
    shown = Signal()  # the current region is another one of the open image: look there

    def __init__(self, session: Session) -> None:
        self._session = session
        self.waiting: tuple[Region, ...] = ()
        self.current: Region | None = None
        self.strategy = active_learning.DEFAULT
        self._answering = False

    # ------------------------------------------------------------------ what waits

    def refresh(self) -> None:
        """Read the queue from the journal."""
        project = self._session.project
        self.waiting = () if project is None else tuple(project.regions(("asked",)))
        if project is None:
            self._session.trail.forget()
        self.current = next((r for r in self.waiting if self.current is not None and r.id == self.current.id), None)
        self.changed.emit()

    def show_answer(self, number: int, status: Answer) -> None:
        """A region was answered, or its answer was taken back: then it waits again, and is looked at."""
        self.refresh()
        if status == "asked":
            self.go(next(r for r in self.waiting if r.id == number))

    @property
    def ahead(self) -> str:
        """The image of the first region after the current one that lies in another; '' if there is none."""
        at = self._place()
        if at is None:
            return ""
        others = (r.image for r in self.waiting[at + 1 :] if r.image != self._session.name)
        return next(others, "")

    def _place(self) -> int | None:
        numbers = [r.id for r in self.waiting]
        return numbers.index(self.current.id) if self.current is not None else None

    # ------------------------------------------------------------------ verbs

    def ask(self, renew: bool = False) -> None:
        """Predict what is out of date, and fill the queue up; with ``renew`` what waits is forgotten first."""
        session = self._session
        project, device = session.the_project(), session.device
        if not has_segmenter(project.folder):
            session.told.emit(_TRAIN)
            return
        asking = Asking(self.strategy, explore=active_learning.EXPLORE)

        def work(job: Job[Any]) -> Any:
            from napari_wsss.prediction import predict

            report = predict(project, device=device, progress=job.progress)
            features = active_learning.features_of(project, job.progress)
            batch = active_learning.next_regions(
                project, LENGTH, asking, renew=renew, features=features, progress=job.progress
            )
            return report, batch

        def asked(found: Any) -> None:
            report, batch = found
            for line in (*report.failed, *batch.notes):
                session.failed.emit(line)
            session.images_changed.emit()
            session.working.show_results()
            self.refresh()
            session.told.emit(f"{len(self.waiting)} regions wait, the most worth first.")
            if self.current is None and self.waiting:
                self.go(self.waiting[0])

        session.working.begin(work, "what next", asked)

    def go(self, region: Region) -> None:
        """Look at a region: its image is opened if it is not."""
        self.current = region
        if self._session.name != region.image:
            self._session.open(region.image)
        elif not self._session.is_opening:
            self.shown.emit()
        self.changed.emit()
        if self.ahead:
            self._session.looking.at(self.ahead, "ahead")

    def step(self, offset: int) -> None:
        """To the next waiting region (1) or the one before (-1), around."""
        if not self.waiting:
            self._session.told.emit(_NONE)
            return
        at = self._place()
        self.go(self.waiting[0 if at is None else (at + offset) % len(self.waiting)])

    def answer(self, said: Literal["accept", "class", "skip"]) -> None:
        """Answer the current region: the prediction is right, all of it is the chosen class, or neither; go on."""
        session, region, opened = self._session, self.current, self._session.opened
        if region is None:
            session.told.emit("Choose a region of the queue first." if self.waiting else _NONE)
            return
        if self._answering or session.is_opening:
            return  # of this region or image one answer is being taken already
        if opened is None or opened.name != region.image:
            self.go(region)
            return
        word: Literal["accept", "skip"] | int = session.class_id if said == "class" else said
        project, number = session.the_project(), region.id

        def work(job: Job[Filling]) -> Filling:
            return active_learning.filling(project, number, word)

        self._answering = True
        job = session.start(work, "answer", "answering", Priority.CLICK)
        session.when_done(job, lambda found: self._answered(opened, found))
        job.add_done_callback(lambda done: session.deliver(self._free))  # after it has moved on

    # ------------------------------------------------------------------ an answer

    def _free(self) -> None:
        self._answering = False

    def _answered(self, opened: Opened, found: Filling) -> None:
        region, session = found.region, self._session
        if session.opened is not opened:
            return
        at = self._place() or 0
        y0, x0, y1, x1 = region.box
        old, ids = opened.accepted[y0:y1, x0:x1].copy(), opened.instances[y0:y1, x0:x1].copy()
        fill = np.where(old == 0, found.labels, 0).astype(np.uint16)
        diff = None
        if fill.any():
            new = np.where(fill > 0, fill, old).astype(np.uint16)
            diff = Accepted(region.box, old, ids, new, self._ids(opened, region, fill))
        drafts = (opened.draft, opened.draft)
        session.do(Step(_STEP[found.status], drafts, accepted=diff, answered=(region.id, "asked", found.status)))
        self._tell(found, int((fill > 0).sum()))
        self._move_on(at)

    def _ids(self, opened: Opened, region: Region, fill: Labels) -> Instances:
        """Each new piece belongs to the one accepted object of its class that it touches, else it is a new one."""
        y0, x0, y1, x1 = region.box
        out = opened.instances[y0:y1, x0:x1].copy()
        if not self._session.objects:
            return out
        top, left = max(0, y0 - 1), max(0, x0 - 1)
        around = np.s_[top : y1 + 1, left : x1 + 1]
        labels, ids = opened.accepted[around], opened.instances[around]
        free = opened.free_instance()
        for class_id in (k for k in np.unique(fill[fill > 0]) if k != self._session.the_project().classes.background):
            pieces, count = ndimage.label(fill == class_id)
            for number in range(1, count + 1):
                there = np.zeros(labels.shape, bool)
                there[y0 - top : y1 - top, x0 - left : x1 - left] = pieces == number
                touched = np.unique(ids[ndimage.binary_dilation(there) & (labels == class_id) & (ids > 0)])
                out[pieces == number] = touched[0] if len(touched) == 1 else free
                free += len(touched) != 1
        return out

    def _tell(self, found: Filling, pixels: int) -> None:
        said = "Skipped" if found.status == "skipped" else f"{pixels} pixels labelled"
        self._session.told.emit(f"{said}; {len(self.waiting)} regions wait." if self.waiting else f"{said}. {_DONE}")

    def _move_on(self, at: int) -> None:
        """To the region that now stands where the answered one stood."""
        if not self.waiting:
            return
        following = self.waiting[min(at, len(self.waiting) - 1)]
        if following.image != self._session.name:
            self._session.trail.leave()
        self.go(following)
