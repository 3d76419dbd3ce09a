"""Verbs on marks, tags and masks that are no unfinished object: scribbles, blocks, corrections, edits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_wsss.session.draft import Click, Patch
from napari_wsss.session.opened import Preview
from napari_wsss.session.steps import Accepted, Step
from napari_wsss.types import Bool, Box, Box4, Instances, Labels, Mark, Point, Stroke, Tags
from napari_wsss.weak_labels import cropped_stroke

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


class Labelling:
    """What a person says of the open image."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def block(self, box: Box4) -> None:
        """Every pixel of the box is of the chosen class."""
        self._add("block", Box(*box, self._session.class_id, True))

    def remove_marks(self, tokens: Collection[int]) -> None:
        """Take marks (and negative clicks) away."""
        opened = self._session.opened
        if opened is None or not tokens:
            return
        removed = tuple((t, opened.marks[t]) for t in tokens if t in opened.marks)
        draft = self._session.drafting.remove(frozenset(tokens))
        self._session.do(Step("remove", (opened.draft, draft), removed=removed))

    def move_point(self, token: int, y: int, x: int) -> None:
        """A point, or a negative click, lies elsewhere."""
        opened = self._session.opened
        if opened is None:
            return
        y, x = min(max(y, 0), opened.shape[0] - 1), min(max(x, 0), opened.shape[1] - 1)
        draft, fresh, mark = opened.draft, self._session.new_token(), opened.marks.get(token)
        if draft is not None and token in draft.tokens:
            moved = tuple(Click(fresh, y, x, c.positive) if c.token == token else c for c in draft.clicks)
            draft = replace(draft, clicks=moved, answered=False)
        if isinstance(mark, Point):
            new = replace(mark, y=y, x=x)
            self._session.do(Step("move", (opened.draft, draft), ((fresh, new),), ((token, mark),)))
        elif draft is not opened.draft:
            self._session.do(Step("move", (opened.draft, draft)))

    def replace_box(self, token: int, box: Box4) -> None:
        """A box has another place or size."""
        opened = self._session.opened
        mark = opened.marks.get(token) if opened else None
        if opened is None or not isinstance(mark, Box):
            return
        fresh, draft = self._session.new_token(), opened.draft
        if draft is not None and token in draft.tokens:
            boxes = tuple((fresh, box) if t == token else (t, b) for t, b in draft.boxes)
            draft = replace(draft, boxes=boxes, answered=False)
        new = Box(*box, mark.class_id, mark.fill)
        self._session.do(Step("change box", (opened.draft, draft), ((fresh, new),), ((token, mark),)))

    def scribble(self, box: Box4, changed: Bool, values: Labels) -> None:
        """Pixels of a box that were drawn with a class (``values``) or, where that is 0, erased."""
        opened = self._session.opened
        if opened is None or not changed.any():
            return
        added: list[tuple[int, Mark]] = []
        removed: list[tuple[int, Mark]] = []
        erased = Patch.of(changed & (values == 0), *box[:2])
        for token, mark in opened.marks.items() if erased else ():
            if isinstance(mark, Stroke) and (lost := _overlap(mark, erased)).any():
                removed.append((token, mark))
                rest = cropped_stroke(np.where(lost, 0, mark.raster).astype(np.uint16), mark.y0, mark.x0)
                if rest is not None:
                    added.append((self._session.new_token(), rest))
        drawn = cropped_stroke(np.where(changed, values, 0).astype(np.uint16), *box[:2])
        if drawn is not None:
            added.append((self._session.new_token(), drawn))
        draft = opened.draft
        self._session.do(Step("scribble" if drawn else "erase", (draft, draft), tuple(added), tuple(removed)))

    def correct(self, stage: Preview, box: Box4, changed: Bool, values: Labels) -> None:
        """Pixels painted in a preview: strokes of those classes, which every later run keeps."""
        stroke = cropped_stroke(np.where(changed, values, 0).astype(np.uint16), *box[:2])
        if stroke is None:
            self._session.told.emit("To correct a preview, paint the right class over it.")
        else:
            self._add(f"correct {stage}", stroke)
            self._session.working.follow()

    def edit_accepted(self, box: Box4, values: Labels) -> None:
        """The accepted mask was painted: the box now holds these classes."""
        opened = self._session.opened
        if opened is None:
            return
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        old, ids = opened.accepted[there].copy(), opened.instances[there].copy()
        changed = old != values
        if changed.any():
            new_ids = self._ids_of(changed, values, ids, opened.free_instance())
            diff = Accepted(box, old, ids, values.astype(np.uint16), new_ids)
            self._session.do(Step("edit accepted", (opened.draft, opened.draft), accepted=diff))

    def _ids_of(self, changed: Bool, values: Labels, ids: Instances, free: int) -> Instances:
        """Painted pixels belong to the one object of their class that they touch, else to a new one."""
        out = np.where(changed, 0, ids).astype(np.uint32)
        if not self._session.objects:
            return out
        for class_id in np.unique(values[changed & (values > 0)]):
            painted = changed & (values == class_id)
            near = ndimage.binary_dilation(painted, iterations=1) & ~changed & (values == class_id)
            touched = np.unique(ids[near & (ids > 0)])
            out[painted] = touched[0] if len(touched) == 1 else free
            free += len(touched) != 1
        return out

    def set_tag(self, class_id: int, present: bool | None) -> None:
        """The class is in the image, is not, or (None) nothing is said."""
        tags = self._session.opened.tags if self._session.opened else Tags()
        yes, no = tags.present - {class_id}, tags.absent - {class_id}
        yes, no = (yes | {class_id}, no) if present else (yes, no if present is None else no | {class_id})
        self._set_tags(replace(tags, present=yes, absent=no))

    def set_complete(self, complete: bool) -> None:
        """No other class than those tagged present is in the image."""
        if self._session.opened is not None:
            self._set_tags(replace(self._session.opened.tags, complete=complete))

    def _set_tags(self, tags: Tags) -> None:
        opened = self._session.opened
        if opened is not None and tags != opened.tags:
            self._session.do(Step("tag", (opened.draft, opened.draft), tags=(opened.tags, tags)))

    def _add(self, name: str, mark: Mark) -> None:
        opened = self._session.opened
        if opened is not None:
            self._session.do(Step(name, (opened.draft, opened.draft), ((self._session.new_token(), mark),)))


def _overlap(stroke: Stroke, erased: Patch) -> Bool:
    """Drawn pixels of a stroke that were erased, bool in the stroke's raster."""
    return erased.within(stroke.box) & (stroke.raster > 0)
