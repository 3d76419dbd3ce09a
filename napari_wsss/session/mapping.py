"""Verbs on activation maps: the thresholds of a class's seeds, and boxes of objects. And what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_wsss.compute import Job, Priority
from napari_wsss.maps import boxes, seeds
from napari_wsss.session.contradictions import contradictions
from napari_wsss.session.steps import Step
from napari_wsss.types import Box, Box4, Class, Classes, WeakLabels

if TYPE_CHECKING:
    from napari_wsss.session.session import Session


class Mapping:
    """Activation maps of the session's image, the seeds taken from them, and contradictions.

    Thresholds belong to a class and hold in the whole project; a slider being dragged shows its seeds at once
    and is written when it rests.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tried: Classes | None = None
        session.classes_changed.connect(self._changed)

    @property
    def thresholds(self) -> tuple[float, float]:
        """Lower and upper threshold of the chosen class, as they are tried now."""
        session = self._session
        if not session.classes:
            return seeds.USUAL
        return self._classes()[session.class_id].thresholds or seeds.USUAL

    @property
    def has_own(self) -> bool:
        """The chosen class has thresholds of its own."""
        return bool(self._session.classes) and self._classes()[self._session.class_id].thresholds is not None

    def try_thresholds(self, low: float, high: float) -> None:
        """Show the chosen class's seeds with these thresholds; the lower is never above the upper."""
        self._set((min(low, high), high))

    def reset(self) -> None:
        """The chosen class's seeds as the method makes them."""
        self._set(None)
        self.keep()

    def keep(self) -> None:
        """Write the thresholds that are tried, as one step; every later stage of every image follows them."""
        tried, self._tried = self._tried, None
        if tried is not None and self._session.project is not None:
            self._session.describing.change("thresholds", *tried)

    def write(self) -> None:
        """Write the thresholds that are tried: the project is left."""
        tried, self._tried = self._tried, None
        if tried is not None and self._session.project is not None:
            self._session.save_settings(classes=tried)

    def _changed(self, changes: Sequence[tuple[Class, Class]]) -> None:
        if any(old.thresholds != new.thresholds for old, new in changes):
            self.refresh()
            self._session.working.follow()

    def _set(self, thresholds: tuple[float, float] | None) -> None:
        session = self._session
        if session.project is None:
            return
        chosen = session.class_id
        items = tuple(replace(c, thresholds=thresholds) if c.id == chosen else c for c in self._classes())
        self._tried = Classes(items)
        self.refresh()

    def _classes(self) -> Classes:
        return self._tried or self._session.the_project().classes

    # ------------------------------------------------------------------ what is shown

    def refresh(self) -> None:
        """Take the seeds from the map again, and look for contradictions; the newest question wins."""
        session, opened = self._session, self._session.opened
        if opened is None or session.project is None:
            return
        cam, pseudo, classes = opened.cam, opened.pseudo, self._classes()
        tags, marks = opened.tags, tuple(opened.marks.values())
        radius = session.project.settings.point_radius

        def work(job: Job[Any]) -> Any:
            found = seeds.seeds(cam, classes) if cam else None
            said = WeakLabels(tags, marks, opened.accepted.copy() if pseudo else None)
            return found, contradictions(said, classes, pseudo, radius) if pseudo else None

        def show(found: Any) -> None:
            if opened is session.opened:
                opened.map_seeds, opened.contradictions = found
                session.seeds_changed.emit()

        session.when_done(session.start(work, "seeds", "seeds of the map", Priority.CLICK), show)

    # ------------------------------------------------------------------ boxes

    def add_boxes(self) -> None:
        """A box around each object of the chosen class's map; one step, and each can be edited."""
        session, opened = self._session, self._session.opened
        cam = opened.cam if opened else None
        if opened is None or cam is None or session.class_id not in cam.classes:
            session.told.emit("There is no map of this class yet: run the stages, with tags or class names.")
            return
        scores, chosen = cam.scores[cam.classes.index(session.class_id)], session.class_id
        low, high = self.thresholds

        def add(found: list[Box4]) -> None:
            if opened is not session.opened:
                return
            there = {(m.y0, m.x0, m.y1, m.x1) for m in opened.marks.values() if isinstance(m, Box)}
            marks = [Box(y0, x0, y1, x1, chosen) for y0, x0, y1, x1 in found if (y0, x0, y1, x1) not in there]
            added = tuple((session.new_token(), mark) for mark in marks)
            if added:
                session.do(Step("boxes of the map", (opened.draft, opened.draft), added))
            session.told.emit(f"{len(added)} boxes; change, move or delete them with napari's tools.")

        job = session.start(lambda job: boxes.boxes(scores, low, high), "boxes", "boxes of the map", Priority.CLICK)
        session.when_done(job, add)
