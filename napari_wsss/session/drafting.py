"""Verbs on the unfinished object: click, box, paint, accept, reject. Each is one step of the history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_wsss.compute import Job, Priority
from napari_wsss.session.draft import NOTHING, Click, Draft, Patch
from napari_wsss.session.steps import Accepted, Step
from napari_wsss.types import Bool, Box, Box4, Mark, Point
from napari_wsss.weak_labels import cropped_stroke

if TYPE_CHECKING:
    from napari_wsss.session.opened import Opened
    from napari_wsss.session.session import Session


class Drafting:
    """The unfinished object of a session.

    Positive clicks, boxes and painted pixels are journalled as marks when they are made; negative clicks
    and erased pixels say nothing of a class and live with the object.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._accept_when_answered = False

    def click(self, y: int, x: int, positive: bool = True) -> None:
        """A click on the object, or (not positive) beside it."""
        opened = self._session.opened
        if self._session.is_opening:
            self._session.told.emit("The image is still being opened; click again.")
            return
        if opened is None or not (0 <= y < opened.shape[0] and 0 <= x < opened.shape[1]):
            self._session.told.emit("That is outside the image.")
            return
        if opened.draft is None and not positive:
            self._session.told.emit("First click the object, then where it is not.")
            return
        old, draft = opened.draft, self._draft(opened)
        token = self._session.new_token()
        clicks = (*draft.clicks, Click(token, y, x, positive))
        added = ((token, Point(y, x, draft.class_id, draft.instance)),) if positive else ()
        new = replace(draft, clicks=clicks, answered=False)
        self._session.do(Step("click" if positive else "negative click", (old, new), added))

    def box(self, box: Box4) -> None:
        """A box around the object (or around one of its parts)."""
        opened = self._session.opened
        if opened is None:
            return
        old, draft = opened.draft, self._draft(opened)
        token = self._session.new_token()
        new = replace(draft, boxes=(*draft.boxes, (token, box)), answered=False)
        self._session.do(Step("box", (old, new), ((token, Box(*box, draft.class_id)),)))

    def paint(self, box: Box4, changed: Bool, on: Bool) -> None:
        """Pixels of a box that the person painted (``on``) or erased in the proposal."""
        opened = self._session.opened
        if opened is None or not changed.any():
            return
        old, draft = opened.draft, self._draft(opened)
        on = on & (opened.accepted[box[0] : box[2], box[1] : box[3]] == 0)
        painted, erased = Patch.of(changed & on, *box[:2]), Patch.of(changed & ~on, *box[:2])
        new = replace(
            draft,
            painted=draft.painted.without(erased).united(painted),
            erased=draft.erased.without(painted).united(erased),
        )
        added: tuple[tuple[int, Mark], ...] = ()
        stroke = cropped_stroke(np.where(changed & on, draft.class_id, 0).astype(np.uint16), *box[:2])
        if stroke is not None:
            token = self._session.new_token()
            added, new = ((token, stroke),), replace(new, strokes=(*new.strokes, token))
        self._session.do(Step("paint" if painted else "erase", (old, new), added))

    def remove(self, tokens: frozenset[int]) -> Draft | None:
        """The draft without these clicks and boxes; None if nothing is left of it."""
        draft = self._session.opened.draft if self._session.opened else None
        if draft is None or not tokens & draft.tokens:
            return draft
        clicks = tuple(c for c in draft.clicks if c.token not in tokens)
        boxes = tuple(b for b in draft.boxes if b[0] not in tokens)
        strokes = tuple(s for s in draft.strokes if s not in tokens)
        left = replace(draft, clicks=clicks, boxes=boxes, strokes=strokes, answered=False)
        if not left.can_be_predicted:
            left = replace(left, predicted=NOTHING, answered=True)
        return left if left else None

    def accept(self) -> None:
        """Make the object ground truth, where nothing is accepted yet. Waits for the model if it is still asked."""
        opened = self._session.opened
        if opened is None or opened.draft is None:
            self._session.told.emit("Nothing to accept yet: click an object first.")
            return
        draft = opened.draft
        if not draft.answered and draft.can_be_predicted:
            self._accept_when_answered = True
            return
        mask = draft.mask
        y0, x0, y1, x1 = mask.box
        labels, ids = opened.accepted[y0:y1, x0:x1].copy(), opened.instances[y0:y1, x0:x1].copy()
        free = mask.pixels & (labels == 0)
        if not free.any():
            self._session.told.emit("Nothing new to accept here: it is empty or accepted already.")
            return
        new_ids = np.where(free, draft.instance if self._session.objects else 0, ids).astype(np.uint32)
        new_labels = np.where(free, draft.class_id, labels).astype(np.uint16)
        diff = Accepted(mask.box, labels, ids, new_labels, new_ids)
        self._session.do(Step("accept", (draft, None), accepted=diff))
        self._session.told.emit(f"Accepted: {self._session.classes[draft.class_id - 1].name}")

    def reject(self) -> None:
        """Drop the object and every mark made for it."""
        opened = self._session.opened
        if opened is None or opened.draft is None:
            return
        removed = tuple((t, mark) for t, mark in opened.marks.items() if t in opened.draft.tokens)
        self._session.do(Step("reject", (opened.draft, None), removed=removed))

    def relabel(self, class_id: int) -> None:
        """The unfinished object, and its marks, become of this class."""
        opened = self._session.opened
        if opened is None or opened.draft is None or opened.draft.class_id == class_id:
            return
        removed = tuple((t, mark) for t, mark in opened.marks.items() if t in opened.draft.tokens)
        fresh = {token: self._session.new_token() for token, _ in removed}
        added = tuple((fresh[t], _of_class(mark, class_id)) for t, mark in removed)
        draft = opened.draft
        new = replace(
            draft,
            class_id=class_id,
            clicks=tuple(replace(c, token=fresh.get(c.token, c.token)) for c in draft.clicks),
            boxes=tuple((fresh.get(t, t), box) for t, box in draft.boxes),
            strokes=tuple(fresh.get(t, t) for t in draft.strokes),
        )
        self._session.do(Step("change class", (draft, new), added, removed))

    def ask(self) -> None:
        """Ask the model, if the object has clicks that it did not answer; the newest question wins."""
        opened, session = self._session.opened, self._session
        if opened is None or opened.draft is None or opened.draft.answered:
            return
        session.hovering.clear()
        draft, record, project = opened.draft, opened.record, session.the_project()
        if not draft.can_be_predicted:
            self._answered(opened, draft, NOTHING)
            return

        def work(job: Job[Patch]) -> Patch:
            return session.predicting.mask(record.key, record.shape, lambda: project.reader(record.name), draft)

        session.when_done(
            session.start(work, "click", "finding the object", Priority.CLICK),
            lambda patch: self._answered(opened, draft, patch),
            self.ask,
        )

    def _answered(self, opened: Opened, draft: Draft, patch: Patch) -> None:
        new = replace(draft, predicted=patch, answered=True)
        opened.history.answer(draft, new)
        if opened.draft is not draft:
            return
        if opened is not self._session.opened:
            opened.draft = new
            return
        self._session.set_draft(new)
        if self._accept_when_answered:
            self._accept_when_answered = False
            self.accept()

    def _draft(self, opened: Opened) -> Draft:
        if opened.draft is not None:
            return opened.draft
        self._accept_when_answered = False
        return Draft(self._session.class_id, opened.free_instance())


def _of_class(mark: Mark, class_id: int) -> Mark:
    if isinstance(mark, Point | Box):
        return replace(mark, class_id=class_id)
    return replace(mark, raster=np.where(mark.raster > 0, class_id, 0).astype(np.uint16))
