"""Which tile comes when: every labelled cell of every image once an epoch, in an order that can be told again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.models.placed import places
from napari_wsss.training.gallery import Shown, Snapshot
from napari_wsss.types import Box4


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of an image: tiles are laid at random around it."""

    name: str
    row: int
    column: int


@dataclass
class Order:
    """The epoch that is being worked off. What it holds is all that a checkpoint must keep.

    Attributes
    ----------
    epoch : int
        From 0.
    places : list of Place
        In the order in which they come.
    done : int
        How many of them came.
    """

    epoch: int
    places: list[Place]
    done: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot, tile: int, epoch: int, seed: int) -> Order:
        """Every cell of every taught image once, shuffled by (seed, epoch)."""
        places = [p for name in snapshot.taught for p in cells(name, snapshot.shapes[name], tile)]
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(places))
        return cls(epoch, [places[i] for i in order])

    def take(self, count: int) -> list[Place]:
        """The next places, fewer at the end of the epoch."""
        taken = self.places[self.done : self.done + count]
        self.done += len(taken)
        return taken

    @property
    def is_over(self) -> bool:
        return self.done >= len(self.places)

    def as_json(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "done": self.done, "places": [[p.name, p.row, p.column] for p in self.places]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Order:
        return cls(values["epoch"], [Place(*p) for p in values["places"]], values["done"])


def cells(name: str, shape: tuple[int, int], tile: int) -> list[Place]:
    """Cells of about the size of a tile that cover an image."""
    rows, columns = (max(1, round(n / tile)) for n in shape)
    return [Place(name, r, c) for r in range(rows) for c in range(columns)]


def window(place: Place, shown: Shown, tile: int, side: int, rng: np.random.Generator) -> Box4:
    """A square of ``side`` pixels around a random pixel of the cell, of the labelled ones if it has any.

    Where the cell has none, and no pseudo-label either, a labelled pixel anywhere in the image takes its place.
    Corners lie on the input's grid; the square may reach over the border where the image is smaller.
    """
    height, width = shown.valid.shape
    rows, columns = (max(1, round(n / tile)) for n in (height, width))
    y0, y1 = place.row * height // rows, (place.row + 1) * height // rows
    x0, x1 = place.column * width // columns, (place.column + 1) * width // columns
    labelled = shown.seed[y0:y1, x0:x1] > 0
    share = labelled.mean()
    if share == 0 and shown.noisy is None and shown.seed.any():  # nothing to learn in this cell: visit another
        y0, x0, labelled = 0, 0, shown.seed > 0
    if labelled.any() and share < 0.5:
        ys, xs = np.nonzero(labelled)
        pick = int(rng.integers(len(ys)))
        y, x = y0 + int(ys[pick]), x0 + int(xs[pick])
    else:
        y, x = int(rng.integers(y0, y1)), int(rng.integers(x0, x1))
    top = _corner(y, height, side, shown.step, rng)
    left = _corner(x, width, side, shown.step, rng)
    return top, left, top + side, left + side


def _corner(middle: int, length: int, side: int, step: int, rng: np.random.Generator) -> int:
    """Where a square begins that holds the pixel, inside the image if it fits."""
    if length <= side:
        return 0
    lowest, highest = max(0, middle - side + 1), min(middle, length - side)
    near = middle - side // 2 + int(rng.integers(-side // 4, side // 4 + 1))
    return int(np.clip(near, lowest, highest)) // step * step


@dataclass(frozen=True, eq=False, slots=True)
class Tile:
    """A square of an image: input (c, s', s') and its places (3, s', s'), and at pixels (s, s) what is known of it."""

    x: NDArray[np.float32]
    places: NDArray[np.float32]
    inside: NDArray[np.bool_]
    seed: NDArray[np.int64]
    allow: NDArray[np.bool_]
    noisy: NDArray[np.int64]
    sureness: NDArray[np.float32]


def cut(shown: Shown, box: Box4, classes: int) -> Tile:
    """The tile of an image in a box; beyond the image the edge goes on and ``inside`` is False."""
    y0, x0, y1, x1 = box
    step = shown.step
    cells_box = (y0 // step, x0 // step, -(-y1 // step), -(-x1 // step))
    side = (y1 - y0, x1 - x0)
    zeros = np.zeros(shown.valid.shape, np.uint16)
    noisy = zeros if shown.noisy is None else shown.noisy
    sureness = zeros if shown.sureness is None else shown.sureness
    allow = (
        np.ones((classes, *side), bool)
        if shown.allow is None
        else np.stack([_cut(plane, box, True) for plane in shown.allow])
    )
    return Tile(
        np.stack([_cut(plane, cells_box, None) for plane in shown.x]).astype(np.float32),
        places((shown.valid.shape[0], shown.valid.shape[1]), box, step),
        _cut(shown.valid, box, False),
        _cut(shown.seed, box, 0).astype(np.int64),
        allow,
        _cut(noisy, box, 0).astype(np.int64),
        _cut(sureness, box, 0).astype(np.float32),
    )


def _cut(plane: NDArray[Any], box: Box4, outside: Any) -> NDArray[Any]:
    """A box of a plane; beyond its end a constant, or (None) the edge goes on."""
    y0, x0, y1, x1 = box
    part = plane[y0:y1, x0:x1]
    missing = (y1 - y0 - part.shape[0], x1 - x0 - part.shape[1])
    if not any(missing):
        return part
    around = ((0, missing[0]), (0, missing[1]))
    if outside is None:
        return np.pad(part, around, mode="edge")
    return np.pad(part, around, constant_values=outside)


def bare_places(snapshot: Snapshot, count: int, tile: int, rng: np.random.Generator) -> Sequence[Place]:
    """Random cells of any image but the held-out ones, to be looked at without labels."""
    names = snapshot.everyone
    picked = [names[int(i)] for i in rng.integers(len(names), size=count)]
    choices = [cells(name, snapshot.shapes[name], tile) for name in picked]
    return [places[int(rng.integers(len(places)))] for places in choices]
