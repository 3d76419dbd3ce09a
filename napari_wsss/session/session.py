"""What one window works on: project, image, unfinished object, history; and who must be told of changes.

Knows neither Qt nor napari nor torch. Views read it, call its verbs and listen to its signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_wsss import segment
from napari_wsss.compute import Job, Priority, TorchThread
from napari_wsss.errors import Cancelled, UsageError, WsssError
from napari_wsss.project import ImageRecord, Project
from napari_wsss.session import opened as images
from napari_wsss.session import resume
from napari_wsss.session.describing import Describing
from napari_wsss.session.draft import Draft, around, renumbered
from napari_wsss.session.drafting import Drafting
from napari_wsss.session.hovering import Hovering
from napari_wsss.session.jobs import Deliver, Jobs
from napari_wsss.session.labelling import Labelling
from napari_wsss.session.listing import Listing
from napari_wsss.session.looking import Looking
from napari_wsss.session.mapping import Mapping as MapVerbs
from napari_wsss.session.opened import Opened
from napari_wsss.session.predicting import Predicting
from napari_wsss.session.queue import RegionQueue
from napari_wsss.session.reshaping import Reshaping
from napari_wsss.session.shortage import Shortage, is_shortage, shortage
from napari_wsss.session.steps import History, Step, write_step
from napari_wsss.session.trail import Trail
from napari_wsss.session.trainer import Trainer
from napari_wsss.session.words import in_words
from napari_wsss.session.working import Working
from napari_wsss.session.worst_first import WorstFirst
from napari_wsss.types import Box4, Class, Labels, Mark, Stroke

PREDICTOR = segment.DEFAULT_MODEL
"""Model that answers clicks."""


class Session(Jobs):
    """One window's work. Every verb returns at once; what takes long comes back through a signal.

    Parameters
    ----------
    thread : TorchThread
        Where heavy work runs.
    deliver : callable
        Runs a function in the window's thread, soon.
    model : str
        Predictor of clicks, for :func:`napari_wsss.segment.predictor`.
    device : str
        For models and stages.

    Attributes
    ----------
    drafting, labelling, working : verbs on the unfinished object; on marks, tags and masks; on stages and exports
    reshaping, mapping, describing : verbs on accepted objects; on activation maps; on classes
    trainer, queue : the process that learns from the labels; regions to label next
    listing, worst_first : the images, and their order
    looking, hovering : what the model sees before a click; what a click under the mouse would bring
    shortage : Shortage, optional
        A job that had too little memory, and how to go on with it.
    proposal : uint16 (h, w)
        The unfinished object as class ids.
    when_drawn : callable
        Calls a function once the window shows what has changed; at once where there is no window.
    view : mapping
        What the window wants to find again (camera, layers); see :mod:`napari_wsss.session.resume`.
    """

    project_changed = Signal()
    images_changed = Signal()  # the list, or the state of an image
    image_opened = Signal()
    marks_changed = Signal()
    tags_changed = Signal()
    class_changed = Signal()  # another one is chosen
    classes_changed = Signal(tuple)  # (Class, Class) before and after of each that is described otherwise
    draft_changed = Signal()
    history_changed = Signal()
    proposal_changed = Signal(tuple)  # box
    chosen_changed = Signal(tuple)  # box around accepted objects that were or are chosen
    accepted_changed = Signal(tuple)  # box
    scribbles_changed = Signal(tuple)  # box
    hover_changed = Signal()
    results_changed = Signal()
    seeds_changed = Signal()  # of the map, and contradictions
    work_changed = Signal()
    told = Signal(str)
    failed = Signal(str)

    def __init__(
        self, thread: TorchThread, deliver: Deliver, model: str = PREDICTOR, device: str = "auto", objects: bool = True
    ) -> None:
        super().__init__(thread, deliver)
        self.device = device
        self.predicting = Predicting(model, device)
        self.project: Project | None = None
        self.opened: Opened | None = None
        self.proposal: Labels = np.zeros((0, 0), np.uint16)
        self.class_id = 0
        self.objects = objects
        self.shortage: Shortage | None = None
        self.view: Mapping[str, Any] = {}
        self.has_own_picture: Callable[[str], bool] = lambda name: False
        self.when_drawn: Callable[[Callable[[], None]], None] = lambda call: call()
        self._opening = ""
        self._known: dict[str, tuple[History, dict[int, int], Draft | None]] = {}
        self._tokens = 0
        self.listing = Listing(self)
        self.trail = Trail(self)
        self.drafting, self.labelling, self.working = Drafting(self), Labelling(self), Working(self)
        self.reshaping, self.mapping, self.describing = Reshaping(self), MapVerbs(self), Describing(self)
        self.trainer, self.queue, self.worst_first = Trainer(self), RegionQueue(self), WorstFirst(self)
        self.looking, self.hovering = Looking(self), Hovering(self)

    # ------------------------------------------------------------------ projects

    def open_project(self, folder: Path) -> None:
        """Work on the project in this folder, where the person left it. Raises UsageError if there is none."""
        self.take_project(Project.open(folder))

    def take_project(self, project: Project) -> None:
        """Work on this open project; the session closes it."""
        self.leave_project()
        self.project = project
        self.listing.forget()
        place = resume.read_place(project.folder)
        foreground = project.classes.foreground
        self.class_id = place.class_id if 1 <= place.class_id <= len(project.classes) else (foreground or (1,))[0]
        self.view = place.view
        resume.remember_project(project.folder)
        self.project_changed.emit()
        self.class_changed.emit()
        self.images_changed.emit()
        self.trainer.show()
        self.queue.refresh()
        first = self.listing.first(place.image)
        if first:
            self.open(first, place.draft)

    def leave_project(self) -> None:
        """Stop all work and close the project; everything a person made is on disk already."""
        self.mapping.write()
        self.drop_all()
        self.trainer.leave()
        self.write_place()
        if self.project is not None:
            self.project.close()
        self.reshaping.forget()
        self.project, self.opened, self._opening = None, None, ""
        self.listing.forget()
        self._known.clear()
        self.queue.refresh()
        self.worst_first.forget()

    def close(self) -> None:
        """The window closes."""
        if not self._closed:
            self.leave_project()
            self._closed = True

    def the_project(self) -> Project:
        """The open project. Raises UsageError where none is."""
        if self.project is None:
            raise UsageError("open an image or a project first")
        return self.project

    @property
    def classes(self) -> tuple[Class, ...]:
        return () if self.project is None else self.project.classes.items

    def choose_class(self, class_id: int) -> None:
        """The class of what is made from now on; an unfinished object takes it, too."""
        if 1 <= class_id <= len(self.classes) and class_id != self.class_id:
            self.class_id = class_id
            self.drafting.relabel(class_id)
            self.class_changed.emit()

    def save_settings(self, **changes: Any) -> bool:
        """Change settings of the project; what it does not allow is told. Whether it took them."""
        project = self.the_project()
        try:
            project.save_settings(replace(project.settings, **changes))
        except WsssError as error:
            self.failed.emit(str(error))
            return False
        return True

    # ------------------------------------------------------------------ images

    def records(self) -> list[ImageRecord]:
        """Of all images, in the order in which they are shown; their files are not looked for."""
        return self.listing.records()

    def open(self, name: str, draft: Draft | None = None) -> None:
        """Show an image: it is read in the torch thread, then ``image_opened`` tells."""
        project = self.the_project()
        self.trainer.step_aside()
        self._opening = name
        picture = not self.has_own_picture(name)
        job = self.start(lambda job: images.load(project, name, picture), "open", f"opening {name}", Priority.CLICK)
        self.when_done(job, partial(self._open, draft))

    def _open(self, draft: Draft | None, found: Opened) -> None:
        self._keep()
        history, numbers, unfinished = self._known.get(found.name, (found.history, {}, draft))
        tokens = {number: token for token, number in numbers.items()}
        found.marks = {tokens.get(t, t): mark for t, mark in found.marks.items()}
        found.numbers = {**numbers, **{tokens.get(n, n): n for n in found.numbers}}
        found.history, found.draft = history, unfinished
        self._tokens = min(self._tokens, *(unfinished.tokens if unfinished else ()), 0)
        self.reshaping.forget()
        self.opened, self._opening = found, ""
        self.proposal = np.zeros(found.shape, np.uint16)
        self._draw_proposal(unfinished.mask.box if unfinished else (0, 0, 0, 0))
        self.write_place()
        self.image_opened.emit()
        self.draft_changed.emit()
        self.drafting.ask()
        self.trail.arrived()
        self.when_drawn(self.looking.ahead)

    def _keep(self) -> None:
        if self.opened is not None:
            self._known[self.opened.name] = (self.opened.history, self.opened.numbers, self.opened.draft)

    @property
    def is_opening(self) -> bool:
        """Another image than the one shown is being read."""
        return bool(self._opening)

    @property
    def name(self) -> str:
        """Of the image that is open or being opened; '' if there is none."""
        return self._opening or (self.opened.name if self.opened else "")

    def go(self, offset: int) -> None:
        """To the next image (1) or the one before (-1)."""
        name = self.listing.neighbour(offset)
        if name:
            self.open(name)
        else:
            self.told.emit("This is the last image." if offset > 0 else "This is the first image.")

    def add_images(
        self, paths: Sequence[Path] | Callable[[], Sequence[Path]], then: Callable[[list[str]], None] | None = None
    ) -> None:
        """Add files, or the images below folders, and show the first of them, or hand the names over.

        A function that says which is called in the torch thread: it may write the files first.
        """
        project = self.the_project()

        def add(job: Job[Any]) -> Any:
            return project.add_images(paths() if callable(paths) else paths, progress=job.progress)

        def added(report: Any) -> None:
            for line in report.unreadable:
                self.failed.emit(line)
            names = [*report.added, *report.known]
            self.images_changed.emit()
            if then is not None:
                then(names)
            elif names:
                self.open(names[0])

        self.working.begin(add, "adding images", added)

    def skip(self) -> None:
        """Set the image aside, or take it up again."""
        if self.opened is not None and self.project is not None:
            skipped = self.project.state(self.opened.name) != "skipped"
            self.project.skip(self.opened.name, skipped)
            self.images_changed.emit()
            if skipped:
                self.go(1)

    # ------------------------------------------------------------------ steps

    def new_token(self) -> int:
        """A name for a mark that the journal does not know yet; negative."""
        self._tokens -= 1
        return self._tokens

    def do(self, step: Step) -> None:
        """Do a step and remember it."""
        self.mapping.keep()  # a slider that was just moved came first
        if self.opened is not None:
            self._apply(self.opened, step)
            self.opened.history.add(step)
            self.history_changed.emit()

    def undo(self) -> None:
        """Take the last step back, exactly; what led here from another image is taken back there."""
        self.mapping.keep()
        if not self.trail.go_back():
            self._travel(back=True)

    def redo(self) -> None:
        """Do the step that was taken back last."""
        self._travel(back=False)

    def _travel(self, back: bool) -> None:
        history = self.opened.history if self.opened else None
        steps = (history.done if back else history.undone) if history else []
        if self.opened is None or history is None or not steps:
            self.told.emit("Nothing to undo." if back else "Nothing to redo.")
            return
        step = steps[-1]
        try:
            self._apply(self.opened, step.reverse if back else step)
        except WsssError as error:  # nothing was changed: e.g. another class has that name now
            self.failed.emit(str(error))
            return
        history.travel(back)
        self.history_changed.emit()
        self.told.emit(f"{'Undid' if back else 'Did again'}: {step.name}")

    def _apply(self, opened: Opened, step: Step) -> None:
        """First the disk, then what is shown."""
        self.trainer.step_aside()
        project = self.the_project()
        state = project.state(opened.name)
        write_step(project, opened.name, opened.numbers, step)
        self._show(opened, step)
        if project.state(opened.name) != state:
            self.images_changed.emit()

    def _show(self, opened: Opened, step: Step) -> None:
        opened.marks.update(step.added)
        for token, _ in step.removed:
            del opened.marks[token]
        opened.marks = dict(sorted(opened.marks.items(), key=lambda item: opened.numbers[item[0]]))
        if step.accepted:
            a = step.accepted
            opened.put(a.box, a.new_labels, a.new_instances)
            self.reshaping.forget()
            self.accepted_changed.emit(a.box)
        if step.tags:
            opened.tags = step.tags[1]
            self.tags_changed.emit()
        if step.described:
            self.classes_changed.emit(step.described)
        self.set_draft(step.drafts[1])
        if step.added or step.removed:
            self._redraw_scribbles(opened, [mark for _, mark in (*step.added, *step.removed)])
            self.marks_changed.emit()
        if step.answered:
            self.queue.show_answer(step.answered[0], step.answered[2])
        self.write_place()
        self.drafting.ask()

    def _redraw_scribbles(self, opened: Opened, marks: Sequence[Mark]) -> None:
        boxes = [mark.box for mark in marks if isinstance(mark, Stroke)]
        if boxes:
            opened.draw_scribbles(around(*boxes))
            self.scribbles_changed.emit(around(*boxes))

    def set_draft(self, draft: Draft | None) -> None:
        """Show another state of the unfinished object."""
        if self.opened is not None and draft is not self.opened.draft:
            old, self.opened.draft = self.opened.draft, draft
            self._draw_proposal(around(*(d.mask.box for d in (old, draft) if d is not None)))
            self.draft_changed.emit()

    def _draw_proposal(self, box: Box4) -> None:
        """The unfinished object where nothing is accepted: accepted objects are protected."""
        if self.opened is None or box[0] >= box[2]:
            return
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        draft = self.opened.draft
        free = self.opened.accepted[there] == 0
        self.proposal[there] = 0 if draft is None else np.where(draft.mask.within(box) & free, draft.class_id, 0)
        self.proposal_changed.emit(box)

    # ------------------------------------------------------------------ errors, and the place to go on from

    def on_error(self, what: str, error: BaseException, again: Callable[[], None] | None) -> None:
        """A job failed: said in words; where memory did not suffice, with ways to go on."""
        if again is not None and is_shortage(error):
            self.shortage = shortage(self, what, again)
            self.work_changed.emit()
        elif not isinstance(error, Cancelled):
            self.failed.emit(in_words(error))

    def write_place(self) -> None:
        """Remember where the person is."""
        if self.project is None or self.opened is None:
            return
        draft = self.opened.draft
        if draft is not None:
            draft = renumbered(draft, self.opened.numbers)
        resume.write_place(self.project.folder, resume.Place(self.opened.name, self.class_id, draft, self.view))
