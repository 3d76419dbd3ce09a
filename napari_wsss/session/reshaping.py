"""Verbs on accepted objects: choose, merge, split, another class, delete. Each is one step of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_wsss.session.draft import Patch
from napari_wsss.session.picking import Thing, box_of, drawn_on, numbered, said_of, thing_at
from napari_wsss.session.steps import Accepted, Step
from napari_wsss.types import Box4, Instances, Labels, Mark, Point, Stroke
from napari_wsss.weak_labels import cropped_stroke

if TYPE_CHECKING:
    from napari_wsss.session.opened import Opened
    from napari_wsss.session.session import Session

Place = tuple[int, int]
Marks = tuple[tuple[int, Mark], ...]


class Reshaping:
    """Accepted objects of the open image.

    A verb works on the chosen objects, or, where none is chosen, on the one at ``at`` (under the cursor).
    What a person said of an object goes with it: its points, strokes and box take its class, and are gone
    when it is deleted.

    Attributes
    ----------
    chosen : tuple of Thing
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.chosen: tuple[Thing, ...] = ()

    # ------------------------------------------------------------------ choosing

    def choose(self, y: int, x: int, more: bool = False) -> None:
        """The object under a pixel is chosen, beside those that are (``more``), or no longer if it was."""
        opened = self._session.opened
        thing = thing_at(opened, y, x) if opened else None
        if not more:
            self._set(() if thing is None else (thing,))
        elif thing is not None:
            others = tuple(t for t in self.chosen if not t.holds(y, x))
            self._set(others if len(others) < len(self.chosen) else (*self.chosen, thing))

    def choose_numbered(self, wanted: Sequence[tuple[int, int, Place]]) -> None:
        """Choose objects by class and number; a region without one by a pixel of it."""
        opened = self._session.opened
        found = []
        for class_id, instance, place in wanted if opened else ():
            assert opened is not None
            if instance:
                patch = numbered(opened, class_id, instance)
                found += [Thing(class_id, instance, patch)] if patch else []
            else:
                thing = thing_at(opened, *place)
                found += [thing] if thing else []
        self._set(tuple(found))

    def forget(self) -> None:
        """Nothing is chosen any more."""
        if self.chosen:
            self._set(())

    def _set(self, things: tuple[Thing, ...]) -> None:
        old, self.chosen = self.chosen, things
        self._session.chosen_changed.emit(box_of((*old, *things)))

    def _meant(self, at: Place | None) -> tuple[Thing, ...]:
        opened = self._session.opened
        if self.chosen or opened is None:
            return self.chosen
        thing = thing_at(opened, *at) if at else None
        if thing is None:
            self._session.told.emit("No accepted object there: point at one, or choose one with the tool Object.")
        return () if thing is None else (thing,)

    # ------------------------------------------------------------------ verbs

    def merge(self, at: Place | None = None) -> None:
        """The chosen objects, and the one at ``at``, become one object of the first one's class."""
        opened = self._session.opened
        things = self.chosen
        under = thing_at(opened, *at) if opened and at else None
        if under is not None and not any(t.holds(*at) for t in things if at):
            things = (*things, under)
        if opened is None or len(things) < 2:
            self._session.told.emit("To merge, choose objects (Shift+click adds one) or point at another one.")
            return
        first = things[0]
        number = next((t.instance for t in things if t.instance), 0) or opened.free_instance()
        box, labels, ids = _now(opened, things)
        for thing in things:
            there = thing.patch.within(box)
            labels[there], ids[there] = first.class_id, number
        marks = self._reclassed(opened, things, first.class_id, {t.instance: number for t in things})
        self._do("merge", opened, box, labels, ids, *marks)
        self.choose(*_pixel(first))

    def relabel(self, class_id: int, at: Place | None = None) -> None:
        """The objects, and what was said of them, become of this class."""
        opened, things = self._session.opened, self._meant(at)
        if opened is None or not things:
            return
        if all(t.class_id == class_id for t in things):
            name = self._session.classes[class_id - 1].name
            self._session.told.emit(f"It is of class {name} already; choose another class first.")
            return
        box, labels, ids = _now(opened, things)
        for thing in things:
            labels[thing.patch.within(box)] = class_id
        self._do("change class", opened, box, labels, ids, *self._reclassed(opened, things, class_id, {}))
        self.choose(*_pixel(things[0]))

    def delete(self, at: Place | None = None) -> None:
        """The objects are accepted no more, and nothing is said of them."""
        opened, things = self._session.opened, self._meant(at)
        if opened is None or not things:
            return
        box, labels, ids = _now(opened, things)
        for thing in things:
            there = thing.patch.within(box)
            labels[there] = ids[there] = 0
        added: list[tuple[int, Mark]] = []
        removed: list[tuple[int, Mark]] = []
        for token, mark, _ in said_of(opened, things):
            removed.append((token, mark))
            rest = _without(mark, things) if isinstance(mark, Stroke) else None
            added += [(self._session.new_token(), rest)] if rest is not None else []
        self._do("delete", opened, box, labels, ids, tuple(added), tuple(removed))

    def split_by_points(self, at: Place | None = None) -> bool:
        """Divide each object among the points clicked on it; False where one has fewer than two."""
        opened, things = self._session.opened, self._meant(at)
        if opened is None or len(things) != 1:
            return False
        (thing,) = things
        groups: dict[int, list[Place]] = {}
        for token, mark, _ in said_of(opened, things):
            if isinstance(mark, Point):
                groups.setdefault(mark.instance or token, []).append((mark.y, mark.x))
        return len(groups) > 1 and self._divide(thing, list(groups.values()))

    def split_between(self, first: Place, second: Place) -> bool:
        """Divide the object that holds both pixels between them; False where no object does."""
        opened = self._session.opened
        thing = thing_at(opened, *first) if opened else None
        if thing is None or not thing.holds(*second) or first == second:
            self._session.told.emit("Click twice in one accepted object, once in each part.")
            return False
        return self._divide(thing, [[first], [second]])

    def cut(self, line: Patch) -> bool:
        """Cut the object that the line crosses most; False where it goes through none."""
        from napari_wsss import splitting

        opened = self._session.opened
        if opened is None or not line:
            return False
        crossed = opened.accepted[line.box[0] : line.box[2], line.box[1] : line.box[3]]
        for y, x in _middle_out(np.argwhere(line.pixels & (crossed > 0)) + line.box[:2]):
            thing = thing_at(opened, int(y), int(x))
            if thing is not None:
                box = thing.patch.box
                if self._part(thing, splitting.along(thing.patch.pixels, line.within(box))):
                    return True
        self._session.told.emit("The line goes through no accepted object: draw it from edge to edge.")
        return False

    def separate(self) -> None:
        """Every clicked object of the image gets its own number; touching ones are divided (P2Seg's rule)."""
        from napari_wsss import splitting

        opened = self._session.opened
        if opened is None:
            return
        points = [m for m in opened.marks.values() if isinstance(m, Point)]
        found = splitting.one_a_point(opened.accepted, opened.instances, points)
        differs = Patch.of(found.instances != opened.instances)
        if not differs:
            self._session.told.emit("Every clicked object has its own number already.")
            return
        box = differs.box
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        self._do("separate", opened, box, opened.accepted[there].copy(), found.instances[there])
        doubt = f"; {len(found.ambiguous)} parts may be one object, they are chosen" if found.ambiguous else ""
        self._session.told.emit(f"{found.divided} regions divided by their points{doubt}.")
        classes = {n: int(opened.accepted[opened.instances == n][0]) for n in found.ambiguous}
        self.choose_numbered([(classes[n], n, (0, 0)) for n in found.ambiguous])

    # ------------------------------------------------------------------ steps

    def _divide(self, thing: Thing, groups: list[list[Place]]) -> bool:
        from napari_wsss import splitting

        y0, x0 = thing.patch.y0, thing.patch.x0
        local = [[(y - y0, x - x0) for y, x in group] for group in groups]
        return self._part(thing, splitting.between(thing.patch.pixels, local))

    def _part(self, thing: Thing, parts: NDArray[np.int32]) -> bool:
        """The object's parts become objects; its own number stays with the largest."""
        opened, count = self._session.opened, int(parts.max())
        if opened is None or count < 2:
            return False
        free = opened.free_instance()
        largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
        numbers = [thing.instance if n == largest and thing.instance else free + n for n in range(count + 1)]
        box, labels, ids = _now(opened, (thing,))
        ids[parts > 0] = np.array(numbers, np.uint32)[parts[parts > 0]]
        marks = _renumbered(self._session, opened, thing, box, ids)
        self._do("split", opened, box, labels, ids, *marks)
        y, x = _pixel(thing)
        self.choose(y, x)
        return True

    def _reclassed(
        self, opened: Opened, things: Sequence[Thing], class_id: int, numbers: dict[int, int]
    ) -> tuple[Marks, Marks]:
        """Marks that speak of the objects, made again with the class (and object numbers); and those they replace."""
        added: list[tuple[int, Mark]] = []
        removed: list[tuple[int, Mark]] = []
        for token, mark, thing in said_of(opened, things):
            new: Mark
            if isinstance(mark, Stroke):
                raster = mark.raster.copy()
                for each in things:
                    raster[drawn_on(mark, each)] = class_id
                new = replace(mark, raster=raster)
            elif isinstance(mark, Point):
                number = numbers.get(thing.instance, mark.instance)
                new = replace(mark, class_id=class_id, instance=number)
            else:
                new = replace(mark, class_id=class_id)
            added.append((self._session.new_token(), new))
            removed.append((token, mark))
        return tuple(added), tuple(removed)

    def _do(
        self,
        name: str,
        opened: Opened,
        box: Box4,
        labels: Labels,
        ids: Instances,
        added: Marks = (),
        removed: Marks = (),
    ) -> None:
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        old = opened.accepted[there].copy(), opened.instances[there].copy()
        draft = opened.draft
        if draft is not None:
            draft = self._session.drafting.remove(frozenset(token for token, _ in removed))
        self._session.do(Step(name, (opened.draft, draft), added, removed, Accepted(box, *old, labels, ids)))


def _now(opened: Opened, things: Sequence[Thing]) -> tuple[Box4, Labels, Instances]:
    """The box around the objects, and copies of what is accepted in it."""
    box = box_of(things)
    there = np.s_[box[0] : box[2], box[1] : box[3]]
    return box, opened.accepted[there].copy(), opened.instances[there].copy()


def _pixel(thing: Thing) -> Place:
    """A pixel of the object."""
    y, x = np.argwhere(thing.patch.pixels)[0]
    return thing.patch.y0 + int(y), thing.patch.x0 + int(x)


def _middle_out(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """A few of the places, those in the middle first."""
    few = places[:: max(1, len(places) // 16)]
    order = np.argsort(np.abs(np.arange(len(few)) - len(few) / 2))
    return [(int(y), int(x)) for y, x in few[order]]


def _without(stroke: Stroke, things: Sequence[Thing]) -> Stroke | None:
    """What is left of a stroke off the objects."""
    raster = stroke.raster.copy()
    for thing in things:
        raster[drawn_on(stroke, thing)] = 0
    return cropped_stroke(raster, stroke.y0, stroke.x0)


def _renumbered(session: Session, opened: Opened, thing: Thing, box: Box4, ids: Instances) -> tuple[Marks, Marks]:
    """Points on an object take the numbers that stand under them now."""
    added: list[tuple[int, Mark]] = []
    removed: list[tuple[int, Mark]] = []
    for token, mark, _ in said_of(opened, [thing]):
        if isinstance(mark, Point):
            number = int(ids[mark.y - box[0], mark.x - box[1]])
            if number != mark.instance:
                added.append((session.new_token(), replace(mark, instance=number)))
                removed.append((token, mark))
    return tuple(added), tuple(removed)
