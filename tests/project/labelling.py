"""A person at work: random label operations on one image, and a model in memory of what they leave behind.

Run as a program, it labels the project given as first argument until it is killed, printing each
operation before it starts and again once the project said that it is saved.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path

import numpy as np

from napari_wsss.project import Project
from napari_wsss.types import Box, ImportedLabels, Mask, Point, Provenance, Stroke, Tags

NAME = "a.png"
CLASSES = 3
KINDS = ("point", "stroke", "box", "tags", "edit", "accept", "region", "import", "undo", "result", "remove")
BY = Provenance("person", "worker", "2026-11-20T10:00:00+00:00")


def random_operation(rng: random.Random, shape: tuple[int, int]) -> dict:
    kind = rng.choice(KINDS)
    y0, x0 = rng.randrange(shape[0] - 1), rng.randrange(shape[1] - 1)
    y1, x1 = rng.randint(y0 + 1, shape[0]), rng.randint(x0 + 1, shape[1])
    return {"kind": kind, "box": [y0, x0, y1, x1], "class": rng.randint(1, CLASSES), "seed": rng.randrange(2**31)}


def blocks(op: dict, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Class and object ids in blocks, from the operation's seed; object ids only for odd seeds."""
    rng = np.random.default_rng(op["seed"])
    coarse = rng.integers(0, CLASSES + 1, (shape[0] // 8 + 1, shape[1] // 8 + 1))
    labels = np.kron(coarse, np.ones((8, 8), int))[: shape[0], : shape[1]].astype(np.uint16)
    ids = np.where(labels > 0, labels + 10 * (op["seed"] % 7), 0).astype(np.uint32)
    return labels, ids * (op["seed"] % 2)


def mark_of(op: dict):
    y0, x0, y1, x1 = op["box"]
    if op["kind"] == "point":
        return Point(y0, x0, op["class"], op["seed"] % 3)
    if op["kind"] == "box":
        return Box(y0, x0, y1, x1, op["class"], bool(op["seed"] % 2))
    return Stroke(y0, x0, np.full((1, x1 - x0), op["class"], np.uint16))


def tags_of(op: dict) -> Tags:
    absent = {1, 2, 3} - {op["class"]} if op["seed"] % 2 else set()
    return Tags(frozenset({op["class"]}), frozenset(absent), op["seed"] % 3 == 0)


def do(project: Project, op: dict, shape: tuple[int, int]) -> None:
    """Carry the operation out on a project."""
    kind, box = op["kind"], tuple(op["box"])
    labels, ids = blocks(op, shape)
    crop = np.s_[box[0] : box[2], box[1] : box[3]]
    if kind in ("point", "stroke", "box"):
        project.add_marks(NAME, [mark_of(op)], BY)
    elif kind == "tags":
        project.set_tags(NAME, tags_of(op), BY)
    elif kind == "edit":
        project.edit_mask(NAME, box, labels[crop], BY, ids[crop])
    elif kind == "accept":
        project.accept(NAME, Mask(labels, ids), BY)
    elif kind == "region":
        project.accept(NAME, Mask(labels), BY, box)
    elif kind == "import":
        mark = mark_of({**op, "kind": "point"})
        project.import_labels({NAME: ImportedLabels(tags_of(op), (mark,), labels, ids)}, "f", str(op["seed"]), BY)
    elif kind == "undo":
        project.undo_last(NAME, BY)
    elif kind == "result":
        project.put_result(NAME, "refined", Mask(labels, ids), str(op["seed"]), BY)
    elif kind == "remove" and project.marks(NAME):
        recorded = project.marks(NAME)
        project.remove_marks(NAME, [recorded[op["seed"] % len(recorded)].id], BY)


def said(mark) -> tuple:
    """A mark as something that can be compared."""
    if isinstance(mark, Stroke):
        return ("stroke", mark.y0, mark.x0, mark.raster.shape, mark.raster.tobytes())
    return (mark,)


class Model:
    """What the labels of the image must be after a list of operations."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.tags, self.marks, self.result = shape, Tags(), [], None
        self.imported: set = set()
        self.labels, self.ids = np.zeros(shape, np.uint16), np.zeros(shape, np.uint32)
        self.undo: list = []

    def after(self, op: dict) -> Model:
        new = copy.deepcopy(self)
        new._do(op)
        return new

    def _do(self, op: dict) -> None:
        kind, box = op["kind"], op["box"]
        labels, ids = blocks(op, self.shape)
        if kind in ("point", "stroke", "box"):
            self.marks.append(said(mark_of(op)))
        elif kind == "tags":
            self.tags = tags_of(op)
        elif kind == "edit":
            self._set(box, labels, ids)
        elif kind == "accept":
            self._set((0, 0, *self.shape), labels, ids)
        elif kind == "region":
            self._set(box, labels, np.zeros_like(ids))
        elif kind == "import":
            tags, mark = tags_of(op), said(mark_of({**op, "kind": "point"}))
            present = (self.tags.present - tags.absent) | tags.present
            absent = (self.tags.absent - tags.present) | tags.absent
            self.tags = Tags(present, absent, self.tags.complete or tags.complete)
            if mark not in self.imported:
                self.marks.append(mark)
                self.imported.add(mark)
            self._set((0, 0, *self.shape), labels, ids)
        elif kind == "undo" and self.undo:
            self.labels, self.ids = self.undo.pop()
        elif kind == "result":
            self.result = str(op["seed"])
        elif kind == "remove" and self.marks:
            gone = self.marks.pop(op["seed"] % len(self.marks))
            self.imported.discard(gone)

    def _set(self, box, labels, ids) -> None:
        self.undo.append((self.labels.copy(), self.ids.copy()))
        y0, x0, y1, x1 = box
        self.labels[y0:y1, x0:x1], self.ids[y0:y1, x0:x1] = labels[y0:y1, x0:x1], ids[y0:y1, x0:x1]

    def differences(self, project: Project) -> list[str]:
        """In what the project differs from this model."""
        found = project.labels(NAME)
        mask = np.zeros(self.shape, np.uint16) if found.mask is None else found.mask
        ids = np.zeros(self.shape, np.uint32) if found.instances is None else found.instances
        same = {
            "tags": found.tags == self.tags,
            "marks": [said(mark) for mark in found.marks] == self.marks,
            "mask": np.array_equal(mask, self.labels),
            "instances": np.array_equal(ids, self.ids),
            "result": project.result_keys("refined").get(NAME) == self.result,
        }
        return [what for what, equal in same.items() if not equal]


def main() -> None:
    with Project.open(Path(sys.argv[1])) as project:
        shape = project.record(NAME).shape
        rng = random.Random(int(sys.argv[2]))
        while True:
            op = random_operation(rng, shape)
            print(json.dumps({"about": op}), flush=True)
            do(project, op, shape)
            print(json.dumps({"saved": op}), flush=True)


if __name__ == "__main__":
    main()
