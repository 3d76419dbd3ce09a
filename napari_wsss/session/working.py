"""Verbs that take long: stages, accepting results, exports. One at a time, with progress and cancelling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_wsss import acceptance, datasets
from napari_wsss.choices import STAGES, Plan, StageName
from napari_wsss.compute import Job, Priority
from napari_wsss.errors import UsageError
from napari_wsss.session import scratch
from napari_wsss.session.opened import Opened, results
from napari_wsss.session.steps import Accepted, Step
from napari_wsss.training.run_folder import has_segmenter
from napari_wsss.types import Box4, Mask

if TYPE_CHECKING:
    from napari_wsss.pipeline import RunReport
    from napari_wsss.prediction import PredictReport
    from napari_wsss.session.session import Session

_TELL_EVERY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What runs now: in words, and how far it is (``total`` 0 = not known)."""

    what: str
    done: int = 0
    total: int = 0


class Working:
    """Long work of a session.

    Attributes
    ----------
    follows : bool
        After a correction, the later stages of the image are computed again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._job: Job[Any] | None = None
        self._told = 0.0
        self.work: Work | None = None
        self.last_report: RunReport | None = None
        self.follows = False
        self._wants = ""

    def begin(
        self,
        work: Callable[[Job[Any]], Any],
        what: str,
        then: Callable[[Any], None],
        ended: Callable[[], None] | None = None,
    ) -> None:
        """Start long work in place of what runs. ``ended`` is called last, also where it was stopped or failed."""
        job = self._session.start(work, "work", what, Priority.BATCH, watch=self._watch)
        self._job = job
        self._set(Work(what))
        self._session.shortage = None
        self._session.when_done(job, then, lambda: self.begin(work, what, then, ended))
        job.add_done_callback(lambda done: self._session.deliver(lambda: self._ended(job, ended)))

    def cancel(self) -> None:
        """Stop the work that runs; what it finished stays."""
        if self._job is not None and self.work is not None:
            self._job.stop()
            self._set(replace(self.work, what="stopping…"))

    def run(self, stages: Sequence[StageName] = STAGES, images: Sequence[str] | None = None) -> None:
        """Compute stages of these images (None = all) where they are out of date."""
        session, project = self._session, self._session.the_project()

        def work(job: Job[RunReport]) -> RunReport:
            from napari_wsss.pipeline import run

            return run(project, Plan(stages=stages, images=images, device=session.device), job.progress)

        self.begin(work, " + ".join(stages), self._ran)

    def follow(self) -> None:
        """What later stages made of this image is out of date; they are computed again, if that is wanted."""
        opened = self._session.opened
        self._wants = opened.name if opened is not None and opened.pseudo is not None else ""
        self.catch_up()

    def catch_up(self) -> None:
        """Compute what is wanted again, once nothing else runs."""
        wanted = self._wants
        if self.follows and wanted == self._session.name and wanted and self.work is None:
            self._wants = ""
            self.run(("pseudo", "refine"), [wanted])

    def predict(self) -> None:
        """The newest segmenter's masks of every image that lacks them."""
        project, device = self._session.the_project(), self._session.device
        if not has_segmenter(project.folder):
            self._session.told.emit("There is no segmenter yet: train one first.")
            return

        def work(job: Job[PredictReport]) -> PredictReport:
            from napari_wsss.prediction import predict

            return predict(project, device=device, progress=job.progress)

        self.begin(work, "predicting", self._predicted)

    def _predicted(self, report: PredictReport) -> None:
        for line in report.failed:
            self._session.failed.emit(line)
        self._session.told.emit(f"{len(report.predicted)} images predicted, {report.up_to_date} up to date.")
        self._session.images_changed.emit()
        self.show_results()

    def accept_image(self, what: Literal["refined", "predicted"] = "refined") -> None:
        """Accept what was made of the open image, and go on to the next one."""
        self.accept_result(what, onward=True)

    def accept_result(
        self, what: Literal["refined", "pseudo", "predicted"], box: Box4 | None = None, onward: bool = False
    ) -> None:
        """Accept what a stage made of the open image, everywhere or in a box; what a person gave stays as given."""
        opened, project = self._session.opened, self._session.the_project()
        if opened is None:
            return
        there = {"refined": opened.refined, "pseudo": opened.pseudo, "predicted": opened.predicted}
        if there[what] is None:
            way = "predict first" if what == "predicted" else "run the stages first"
            self._session.told.emit(f"There is no {what} mask of this image yet: {way}.")
            return
        name, separate = opened.name, self._session.objects

        def work(job: Job[Accepted | None]) -> Accepted | None:
            acceptance.accept(project, [name], what, box, separate)
            return _difference(opened, project.accepted(name))

        def accepted(diff: Accepted | None) -> None:
            if self._session.opened is opened:
                self._record(opened, diff)
                if onward:
                    self._go_on(opened, diff is not None)

        self.begin(work, f"accepting {name}", accepted)

    def _record(self, opened: Opened, diff: Accepted | None) -> None:
        """What the disk holds already becomes a step that can be taken back."""
        if diff is not None:
            self._session.do(Step("accept image", (opened.draft, opened.draft), accepted=diff))
        self._session.images_changed.emit()
        self._session.told.emit(f"Accepted: {opened.name}")

    def _go_on(self, opened: Opened, changed: bool) -> None:
        session = self._session
        following = session.listing.neighbour(1)
        if not following:
            session.told.emit(f"Accepted: {opened.name}. It is the last image.")
            return
        if changed:
            session.trail.leave()
        session.open(following)

    def export(self, form: str, folder: Path, what: datasets.What, params: Mapping[str, Any]) -> None:
        """Write masks as a dataset."""
        project = self._session.the_project()

        def work(job: Job[int]) -> int:
            return datasets.export(project, folder, form, what=what, params=params, progress=job.progress)

        def done(count: int) -> None:
            self._session.told.emit(f"{count} {what} masks written to {folder} as {form}")

        self.begin(work, f"exporting {form}", done)

    def save_as(self, target: Path) -> None:
        """Give the project a place and a name of the person's own, and go on there; where it fails, go on here."""
        session, folder = self._session, self._session.the_project().folder
        session.leave_project()

        def work(job: Job[None]) -> None:
            try:
                scratch.move(folder, target, job.progress)
            except OSError as error:
                raise UsageError(f"Not saved there: {error}") from error

        def ended() -> None:
            if session.project is None:
                session.open_project(folder if (folder / "project.toml").is_file() else target)

        self.begin(work, f"saving as {target.name}", lambda _: None, ended)

    def _ran(self, report: RunReport) -> None:
        self.last_report = report
        computed = {stage: len(names) for stage, names in report.computed.items() if names}
        for line in report.failed:
            self._session.failed.emit(line)
        parts = [f"{stage}: {count} computed" for stage, count in computed.items()] or ["Nothing was out of date."]
        # Maps need tags; that there are none is no news where the later stages did without.
        skipped = [line for line in report.skipped if not (computed and line.startswith("cam skipped"))]
        self._session.told.emit("; ".join([*parts, *skipped[:2]]))
        self._session.images_changed.emit()
        self.show_results()

    def show_results(self) -> None:
        """Read again what there is of the open image."""
        opened, project = self._session.opened, self._session.the_project()
        if opened is None:
            return

        def read(job: Job[Any]) -> Any:
            return results(project, opened.name)

        def show(found: Any) -> None:
            opened.cam, opened.pseudo, opened.refined, opened.predicted = found
            if self._session.opened is opened:
                self._session.results_changed.emit()

        self._session.when_done(self._session.start(read, "results", "reading results", Priority.CLICK), show)

    def _watch(self, done: int, total: int, what: str) -> None:
        """In the torch thread: at most ten times a second, and the last of each count."""
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY or done == total:
            self._told = now
            job = self._job
            self._session.deliver(lambda: self._progressed(job, Work(what, done, total)))

    def _progressed(self, job: Job[Any] | None, work: Work) -> None:
        if job is self._job and job is not None and not job.done() and not job.is_stopped:
            self._set(work)

    def _ended(self, job: Job[Any], ended: Callable[[], None] | None) -> None:
        if job is self._job:
            self._job = None
            if job.is_stopped:
                self._session.told.emit("Stopped; what was finished is kept.")
                self._session.images_changed.emit()
            self._set(None)
        if ended is not None:
            ended()
            self.catch_up()

    def _set(self, work: Work | None) -> None:
        self.work = work
        self._session.work_changed.emit()


def _difference(opened: Opened, mask: Mask | None) -> Accepted | None:
    """What an accepted mask on disk changes in what is shown: the box around it, before and after."""
    if mask is None:
        return None
    ids = np.zeros(opened.shape, np.uint32) if mask.instances is None else mask.instances
    differs = (mask.labels != opened.accepted) | (ids != opened.instances)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return None
    box = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    there = np.s_[box[0] : box[2], box[1] : box[3]]
    old = opened.accepted[there].copy(), opened.instances[there].copy()
    return Accepted(box, *old, mask.labels[there].copy(), ids[there].copy())
