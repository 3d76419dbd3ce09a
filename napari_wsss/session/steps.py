"""What a person did, as data that can be done and taken back: one step is one Ctrl+Z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.session.draft import Draft
from napari_wsss.types import Answer, Box4, Class, Classes, Instances, Labels, Mark, Tags

_MOST = 200
_MOST_BYTES = 2**30  # of masks before and after; the newest step is always kept


@dataclass(frozen=True, eq=False, slots=True)
class Accepted:
    """A box of the accepted mask before and after."""

    box: Box4
    old_labels: Labels
    old_instances: Instances
    new_labels: Labels
    new_instances: Instances


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One action: what it changed, before and after.

    Attributes
    ----------
    name : str
        In a person's words, e.g. ``click``.
    drafts : (Draft or None, Draft or None)
        Before and after.
    added, removed : tuples of (token, Mark)
        Marks that it made and took away.
    accepted : Accepted, optional
    tags : (Tags, Tags), optional
    answered : (number, Answer, Answer), optional
        A region of the queue, and how it stood before and after.
    described : tuples of (Class, Class)
        Classes before and after.
    """

    name: str
    drafts: tuple[Draft | None, Draft | None]
    added: tuple[tuple[int, Mark], ...] = ()
    removed: tuple[tuple[int, Mark], ...] = ()
    accepted: Accepted | None = None
    tags: tuple[Tags, Tags] | None = None
    answered: tuple[int, Answer, Answer] | None = None
    described: tuple[tuple[Class, Class], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the masks that it keeps."""
        a = self.accepted
        kept = () if a is None else (a.old_labels, a.old_instances, a.new_labels, a.new_instances)
        return sum(array.nbytes for array in kept)

    @property
    def reverse(self) -> Step:
        """The step that takes this one back."""
        a = self.accepted
        back = a and Accepted(a.box, a.new_labels, a.new_instances, a.old_labels, a.old_instances)
        tags = self.tags and (self.tags[1], self.tags[0])
        said = self.answered and (self.answered[0], self.answered[2], self.answered[1])
        described = tuple((new, old) for old, new in self.described)
        return Step(self.name, (self.drafts[1], self.drafts[0]), self.removed, self.added, back, tags, said, described)


def write_step(project: Project, image: str, numbers: dict[int, int], step: Step) -> None:
    """Put a step on the disk; ``numbers`` (token to the journal's number) learns of marks that it made."""
    by = by_person(step.name)
    if step.described:  # first: the project may not allow it
        project.save_settings(replace(project.settings, classes=redescribed(project.classes, step.described)))
    fresh = [(token, mark) for token, mark in step.added if token not in numbers]
    back = [numbers[token] for token, _ in step.added if token in numbers]
    if fresh:
        made = project.add_marks(image, [mark for _, mark in fresh], by)
        numbers.update(zip((token for token, _ in fresh), made))
    if back:
        project.restore_marks(image, back)
    if step.removed:
        project.remove_marks(image, [numbers[token] for token, _ in step.removed], by)
    if step.accepted:
        a = step.accepted
        project.edit_mask(image, a.box, a.new_labels, by, a.new_instances)
    if step.tags:
        project.set_tags(image, step.tags[1], by)
    if step.answered:
        project.answer_region(step.answered[0], step.answered[2], by)


def redescribed(classes: Classes, changes: Sequence[tuple[Class, Class]]) -> Classes:
    """The classes with what differs between each two set as in the second; what else was said of them since stays."""
    items = list(classes)
    for old, new in changes:
        differing = [f.name for f in fields(Class) if getattr(old, f.name) != getattr(new, f.name)]
        items[new.id - 1] = replace(items[new.id - 1], **{name: getattr(new, name) for name in differing})
    return Classes(tuple(items))


class History:
    """The steps of one image that can be taken back, and those that can be done again.

    ``position`` counts the steps that stand: one more for each done, one less for each taken back.
    """

    def __init__(self) -> None:
        self.position = 0
        self.done: list[Step] = []
        self.undone: list[Step] = []

    def add(self, step: Step) -> None:
        """A new step: what was undone cannot be done again."""
        self.done = [*self.done[-_MOST + 1 :], step]
        self.undone = []
        self.position += 1
        while len(self.done) > 1 and sum(s.size for s in self.done) > _MOST_BYTES:
            del self.done[0]

    def travel(self, back: bool) -> None:
        """The last step was taken back, or that which was taken back last was done again."""
        source, target = (self.done, self.undone) if back else (self.undone, self.done)
        target.append(source.pop())
        self.position += -1 if back else 1

    def answer(self, old: Draft, new: Draft) -> None:
        """The draft with its late answer takes the place of the one without, wherever a step holds it."""
        self.done = [_with(step, old, new) for step in self.done]
        self.undone = [_with(step, old, new) for step in self.undone]


def _with(step: Step, old: Draft, new: Draft) -> Step:
    if old not in step.drafts:
        return step
    before, after = (new if d is old else d for d in step.drafts)
    return replace(step, drafts=(before, after))
