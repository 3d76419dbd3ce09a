"""The object that a person is just making: clicks, boxes, painted pixels and the mask that came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_wsss.types import Bool, Box4


@dataclass(frozen=True, eq=False, slots=True)
class Patch:
    """Pixels of an image: a bool array laid at (y0, x0)."""

    y0: int
    x0: int
    pixels: Bool

    @classmethod
    def of(cls, mask: Bool, y0: int = 0, x0: int = 0) -> Patch:
        """The True pixels of a mask laid at (y0, x0), cropped to them."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return cls(y0, x0, np.zeros((0, 0), bool))
        top, left = int(rows[0]), int(columns[0])
        return cls(y0 + top, x0 + left, mask[top : rows[-1] + 1, left : columns[-1] + 1].copy())

    @property
    def box(self) -> Box4:
        """Half open; empty where nothing is set."""
        return self.y0, self.x0, self.y0 + self.pixels.shape[0], self.x0 + self.pixels.shape[1]

    def __bool__(self) -> bool:
        return self.pixels.size > 0

    def within(self, box: Box4) -> Bool:
        """The pixels inside a box, as an array of its size."""
        out: Bool = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        top, left, bottom, right = shared(self.box, box)
        if top < bottom and left < right:
            out[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = self.pixels[
                top - self.y0 : bottom - self.y0, left - self.x0 : right - self.x0
            ]
        return out

    def united(self, other: Patch) -> Patch:
        """Pixels of either."""
        box = around(self.box, other.box)
        return Patch.of(self.within(box) | other.within(box), *box[:2])

    def without(self, other: Patch) -> Patch:
        """Pixels of this one that the other has not."""
        return Patch.of(self.pixels & ~other.within(self.box), self.y0, self.x0)


NOTHING = Patch(0, 0, np.zeros((0, 0), bool))


def shared(a: Box4, b: Box4) -> Box4:
    """What two boxes share; may be empty."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def around(*boxes: Box4) -> Box4:
    """The smallest box around those that are not empty; an empty one if all are."""
    full = [b for b in boxes if b[0] < b[2] and b[1] < b[3]]
    if not full:
        return 0, 0, 0, 0
    return min(b[0] for b in full), min(b[1] for b in full), max(b[2] for b in full), max(b[3] for b in full)


@dataclass(frozen=True, slots=True)
class Click:
    """One click on (positive) or beside the object; ``token`` names its mark, or the click itself if negative."""

    token: int
    y: int
    x: int
    positive: bool


@dataclass(frozen=True, eq=False, slots=True)
class Draft:
    """An object in the making; immutable, so that undo is putting an earlier one back.

    Attributes
    ----------
    class_id, instance : int
        What it will be when it is accepted.
    clicks : tuple of Click
    boxes : tuple of (token, Box4)
    strokes : tuple of int
        Tokens of the marks that painted pixels were journalled as.
    painted, erased : Patch
        What the person painted and erased; no later answer changes it.
    predicted : Patch
        The model's answer.
    answered : bool
        The answer belongs to these clicks and boxes.
    """

    class_id: int
    instance: int
    clicks: tuple[Click, ...] = ()
    boxes: tuple[tuple[int, Box4], ...] = ()
    strokes: tuple[int, ...] = ()
    painted: Patch = NOTHING
    erased: Patch = NOTHING
    predicted: Patch = NOTHING
    answered: bool = True

    def __bool__(self) -> bool:
        return bool(self.clicks or self.boxes or self.painted or self.erased)

    @property
    def can_be_predicted(self) -> bool:
        """There is a click on the object or a box around it."""
        return bool(self.boxes) or any(c.positive for c in self.clicks)

    @property
    def mask(self) -> Patch:
        """The object as it stands: the model's answer, corrected by what was painted and erased."""
        return self.predicted.without(self.erased).united(self.painted)

    @property
    def tokens(self) -> frozenset[int]:
        """Of all its marks and clicks."""
        return frozenset((*(c.token for c in self.clicks), *(t for t, _ in self.boxes), *self.strokes))


def renumbered(draft: Draft, numbers: Mapping[int, int]) -> Draft:
    """The draft with the journal's numbers for tokens, as another session will know its marks."""
    return replace(
        draft,
        clicks=tuple(replace(c, token=numbers.get(c.token, c.token)) for c in draft.clicks),
        boxes=tuple((numbers.get(token, token), box) for token, box in draft.boxes),
        strokes=tuple(numbers.get(token, token) for token in draft.strokes),
    )


def to_json(draft: Draft) -> dict[str, Any]:
    """The draft as plain values; the model's answer is left out, it can be asked again."""
    return {
        "class": draft.class_id,
        "instance": draft.instance,
        "clicks": [[c.token, c.y, c.x, c.positive] for c in draft.clicks],
        "boxes": [[token, list(box)] for token, box in draft.boxes],
        "strokes": list(draft.strokes),
        "painted": _runs(draft.painted),
        "erased": _runs(draft.erased),
    }


def from_json(found: dict[str, Any]) -> Draft:
    """The draft that :func:`to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return Draft(
        int(found["class"]),
        int(found["instance"]),
        tuple(Click(int(t), int(y), int(x), bool(p)) for t, y, x, p in found["clicks"]),
        tuple((int(t), (int(b[0]), int(b[1]), int(b[2]), int(b[3]))) for t, b in found["boxes"]),
        tuple(int(t) for t in found["strokes"]),
        _from_runs(found["painted"]),
        _from_runs(found["erased"]),
        answered=False,
    )


def _runs(patch: Patch) -> list[Any]:
    """Corner, shape, and the lengths of runs in raster order, the first of pixels not set."""
    flat = np.concatenate([[False], patch.pixels.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [patch.y0, patch.x0, *patch.pixels.shape, edges.tolist()]


def _from_runs(found: list[Any]) -> Patch:
    y0, x0, h, w, edges = found
    flat = np.zeros(int(h) * int(w) + 1, np.int8)
    flat[np.asarray(edges, np.int64)[0::2]] = 1
    flat[np.asarray(edges, np.int64)[1::2]] -= 1
    return Patch(int(y0), int(x0), np.cumsum(flat[:-1]).astype(bool).reshape(int(h), int(w)))
