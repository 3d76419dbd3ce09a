"""Single objects of the microscopy scenes, each drawn in a window of its own, and the crowd that they form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_wsss.drawing._micro_fields import Shape, chance, log_uniform
from napari_wsss.types import Bool, Float, Labels

Window = tuple[slice, slice]
Points = NDArray[np.float64]
LEAST = 12  # px of an object that is worth a click


@dataclass(frozen=True, slots=True)
class Form:
    """Outline of an object: half axes in px, turn in radians, and how far it is from an ellipse."""

    long: float
    short: float
    turn: float = 0.0
    bumps: float = 0.0
    square: float = 2.0
    bend: float = 0.0
    taper: float = 0.0
    points: int = 0
    spikes: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Patch:
    """An object in its window: `rho` is 1 on the outline and smaller inside; `radius` turns it into pixels."""

    window: Window
    rho: Float
    radius: float
    centre: tuple[float, float]

    @property
    def inside(self) -> Bool:
        return np.asarray(self.rho < 1)

    @property
    def depth(self) -> Float:
        """Pixels to the outline, negative outside; exact for discs and strokes, near for the rest."""
        return np.asarray((1 - self.rho) * self.radius, np.float32)

    def cover(self, soft: float = 1.0) -> Float:
        """Opacity, a half on the outline, with an edge `soft` px wide."""
        return np.asarray(np.clip(0.5 + self.depth / max(soft, 0.5), 0, 1), np.float32)

    def along(self, turn: float) -> Float:
        """Pixels from the centre in the direction `turn`."""
        rows, columns = self.window
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - self.centre[0]
        x = np.arange(columns.start, columns.stop, dtype=np.float32) - self.centre[1]
        return np.asarray(np.cos(turn) * x + np.sin(turn) * y, np.float32)


def frame(shape: Shape, centre: tuple[float, float], reach: float) -> Window:
    """The part of the picture within `reach` px of a centre; at least one pixel."""
    sides = []
    for middle, count in zip(centre, shape):
        start = min(max(math.floor(middle - reach), 0), count - 1)
        sides.append(slice(start, min(max(math.ceil(middle + reach) + 1, start + 1), count)))
    return sides[0], sides[1]


def blob(
    rng: np.random.Generator,
    shape: Shape,
    centre: tuple[float, float],
    form: Form,
    margin: float = 2.0,
    grid: tuple[Float, Float] | None = None,
) -> Patch:
    """A closed shape; `margin` px around it belong to the window; `grid` = bent coordinates (y, x) to draw it in."""
    growth = 1 + 1.6 * form.bumps + form.spikes + 0.5 * abs(form.bend)
    window = frame(shape, centre, form.long * growth + margin)
    if grid is None:
        y = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] - centre[0]
        x = np.arange(window[1].start, window[1].stop, dtype=np.float32) - centre[1]
    else:
        y, x = grid[0][window] - centre[0], grid[1][window] - centre[1]
    cos, sin = np.cos(form.turn), np.sin(form.turn)
    u = np.asarray((cos * x + sin * y) / form.long, np.float32)
    v = np.asarray((cos * y - sin * x) / form.short, np.float32)
    if form.bend:
        v = v + np.float32(form.bend * form.long / form.short) * (u * u - np.float32(0.4))
    if form.taper:
        v = v / np.maximum(1 + np.float32(form.taper) * u, np.float32(0.25))
    rho = _radius_of(u, v, form.square)
    if form.bumps or form.points:
        rho = rho / _rim(rng, u, v, form)
    return Patch(window, np.asarray(rho, np.float32), form.short, centre)


def _radius_of(u: Float, v: Float, square: float) -> Float:
    if abs(square - 2) < 0.05:
        return np.asarray(np.hypot(u, v), np.float32)
    return np.asarray((np.abs(u) ** square + np.abs(v) ** square) ** np.float32(1 / square), np.float32)


def _rim(rng: np.random.Generator, u: Float, v: Float, form: Form) -> Float:
    """Radius of the outline in every direction, 1 on average: a short Fourier series, and spikes.

    cos(k a) is the real part of z**k for a unit number z, which is cheaper than a cosine.
    """
    z = np.asarray((u + 1j * v) / np.maximum(np.hypot(u, v), np.float32(1e-6)), np.complex64)
    power, total = z, np.zeros_like(z)
    for k in range(2, 7):
        power = power * z
        total += np.complex64(rng.normal(0, 1.3 * form.bumps / k) * np.exp(1j * rng.uniform(0, 6.3))) * power
    rim = 1 + total.real
    if form.points:
        rim += np.float32(form.spikes) * np.cos(form.points * np.angle(z))
    return np.asarray(np.maximum(rim, np.float32(0.25)), np.float32)


def stroke(shape: Shape, path: Points, width: float, margin: float = 2.0) -> Patch:
    """A line of `width` px along a path (n, 2) of rows and columns about a pixel apart.

    A path beside the picture gives a patch of one pixel that lies outside the line.
    """
    h, w = shape
    reach = width / 2 + margin
    seen = (path > -reach).all(1) & (path[:, 0] < h + reach) & (path[:, 1] < w + reach)
    path = path[seen][:: max(1, int(width / 8))]  # a wide line needs fewer points: off by 0.1 px at most
    middle = (float(path[:, 0].mean()), float(path[:, 1].mean())) if len(path) else (0.0, 0.0)
    if not len(path):
        return Patch((slice(0, 1), slice(0, 1)), np.full((1, 1), 9, np.float32), width / 2, middle)
    top, left = np.maximum(np.floor(path.min(0) - reach).astype(int), 0)
    end = np.ceil(path.max(0) + reach).astype(int) + 1
    bottom, right = max(min(int(end[0]), h), int(top) + 1), max(min(int(end[1]), w), int(left) + 1)
    count = int(np.ceil(reach))
    dy, dx = np.mgrid[-count : count + 1, -count : count + 1]
    near = np.hypot(dy, dx) < reach + 1
    dy, dx = dy[near], dx[near]
    whole = np.rint(path).astype(int)
    rows, columns = whole[:, :1] + dy, whole[:, 1:] + dx
    far = np.hypot(rows - path[:, :1], columns - path[:, 1:]).astype(np.float32)
    here = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    nearest = np.full((bottom - top, right - left), 2 * reach + 4, np.float32)
    np.minimum.at(nearest, (rows[here] - top, columns[here] - left), far[here])
    window = (slice(int(top), bottom), slice(int(left), right))
    return Patch(window, np.asarray(nearest / (width / 2), np.float32), width / 2, middle)


@dataclass(frozen=True, slots=True)
class Breed:
    """How the objects of one scene resemble each other; `size` is the usual diameter in px."""

    size: float
    spread: float
    stretch: tuple[float, float]
    bumps: float
    square: float
    bend: float
    heading: float | None
    sway: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float, stretch: float = 2.5) -> Breed:
        """A breed of the given size: from uniform discs to bent, bumpy bodies up to `stretch` times as long as wide."""
        low = rng.uniform(1.0, 1 + 0.3 * (stretch - 1))
        high = low + rng.uniform(0.05, 0.7) * (stretch - 1)
        heading = rng.uniform(0, np.pi) if chance(rng, 0.35) else None
        bumps = rng.choice([0.0, 0.04, 0.1, 0.2], p=[0.15, 0.35, 0.35, 0.15])
        square = rng.uniform(2.2, 4) if chance(rng, 0.2) else 2.0
        bend = rng.uniform(0, 0.3) if chance(rng, 0.3) else 0.0
        return cls(
            size, rng.uniform(0.04, 0.45), (low, high), float(bumps), square, bend, heading, rng.uniform(0.1, 0.7)
        )

    def form(self, rng: np.random.Generator) -> Form:
        """One member."""
        middle = 0.5 * self.size * float(np.exp(rng.normal(0, self.spread)))
        middle = min(max(middle, 2.2), 2.5 * self.size)
        ratio = rng.uniform(*self.stretch)
        turn = rng.uniform(0, np.pi) if self.heading is None else self.heading + rng.normal(0, self.sway)
        bend, taper = rng.uniform(-self.bend, self.bend), rng.uniform(-0.6, 0.6) * self.bend
        return Form(middle * ratio**0.5, middle / ratio**0.5, turn, self.bumps, self.square, bend, taper)


def places(rng: np.random.Generator, shape: Shape, count: int, apart: float) -> Iterator[tuple[float, float]]:
    """Where to try objects that are about `apart` px wide: evenly, in clumps, on a lattice or along a curve."""
    h, w = shape
    manner = rng.choice(4, p=[0.4, 0.35, 0.15, 0.1])
    if manner == 0:
        spots = rng.uniform((-0.02 * h, -0.02 * w), (1.02 * h, 1.02 * w), (count, 2))
    elif manner == 1:
        homes = rng.uniform((0.1 * h, 0.1 * w), (0.9 * h, 0.9 * w), (max(1, count // int(rng.integers(4, 20))), 2))
        spots = homes[rng.integers(len(homes), size=count)] + rng.normal(0, rng.uniform(0.7, 2.2) * apart, (count, 2))
    elif manner == 2:
        step = apart * rng.uniform(0.9, 1.6)
        rows, columns = np.mgrid[0 : h + step : step, 0 : w + step : step]
        columns[1::2] += step / 2
        spots = np.stack([rows.ravel(), columns.ravel()], 1) + rng.normal(
            0, rng.uniform(0.02, 0.3) * step, (rows.size, 2)
        )
        spots = rng.permutation(spots)[:count]
    else:
        t = rng.uniform(-0.1, 1.1, count)
        ends = rng.uniform((0, 0), (h, w), (3, 2))
        curve = (1 - t[:, None]) ** 2 * ends[0] + 2 * (t * (1 - t))[:, None] * ends[1] + (t**2)[:, None] * ends[2]
        spots = curve + rng.normal(0, rng.uniform(0.5, 1.5) * apart, (count, 2))
    for y, x in np.clip(spots, (-0.1 * apart, -0.1 * apart), (h + 0.1 * apart, w + 0.1 * apart)):
        yield float(y), float(x)


def how_many(rng: np.random.Generator, shape: Shape, size: float, most: int = 150, full: float = 1.0) -> int:
    """A count of objects of the given diameter that fills between a few per cent and `full` of the picture."""
    room = shape[0] * shape[1] / (0.8 * size * size)
    return int(np.clip(round(room * log_uniform(rng, 0.04 * full, full)), 1, most))


class Crowd:
    """The objects drawn so far; the later one lies over the earlier."""

    def __init__(self, shape: Shape) -> None:
        self.ids = np.zeros(shape, np.uint16)
        self.count = 0

    def settle(self, patch: Patch, bearable: float, gap: float = 0.0) -> bool:
        """Add an object unless more than a share `bearable` of it (with `gap` px around) would lie over others."""
        wide = patch.rho < 1 + gap / patch.radius
        taken = np.count_nonzero(self.ids[patch.window][wide])
        size = np.count_nonzero(patch.inside)
        if size < 4 or taken > bearable * np.count_nonzero(wide):
            return False
        self.count += 1
        self.ids[patch.window][patch.inside] = self.count
        return True

    def labels(self) -> Labels:
        return tidy(self.ids)


def tidy(ids: NDArray[np.integer], least: int = LEAST) -> Labels:
    """Ids from 1 without gaps; of an object in several pieces the largest stays, pieces below `least` px go."""
    pieces = np.asarray(label(ids, connectivity=1, background=0))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    owner = np.zeros(len(sizes), np.int64)
    owner[pieces.ravel()] = ids.ravel()
    largest = np.zeros(int(owner.max()) + 1, np.int64)
    np.maximum.at(largest, owner, sizes)
    keep = (sizes >= least) & (sizes == largest[owner])
    keep &= np.isin(np.arange(len(sizes)), _first_of_each(owner, keep))
    number = np.zeros(len(sizes), np.uint16)
    number[keep] = np.arange(1, int(keep.sum()) + 1)
    return np.asarray(number[pieces], np.uint16)


def _first_of_each(owner: NDArray[np.int64], keep: Bool) -> NDArray[np.int64]:
    """Of pieces that are equally large the first."""
    held = np.flatnonzero(keep)
    return np.asarray(held[np.unique(owner[held], return_index=True)[1]], np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Tiling:
    """The plane shared out among objects: the owner of every pixel, px to the next border, px inside the own rim."""

    owner: Labels
    border: Float
    own: Float


def tile(shape: Shape, patches: list[Patch]) -> Tiling:
    """Give every pixel to the patch in which it lies deepest; 0 = out of every patch's window."""
    best, second = np.full(shape, -1e4, np.float32), np.full(shape, -1e4, np.float32)
    owner = np.zeros(shape, np.uint16)
    for number, patch in enumerate(patches, 1):
        window, depth = patch.window, patch.depth
        ahead = depth > best[window]
        second[window] = np.where(ahead, best[window], np.maximum(second[window], depth))
        best[window] = np.where(ahead, depth, best[window])
        owner[window][ahead] = number
    border = np.where(owner > 0, np.minimum((best - second) / 2, 999), 999)
    return Tiling(owner, np.asarray(border, np.float32), best)


def over(picture: Float, patch: Patch, cover: Float, body: Float | float) -> None:
    """Paint a body onto the picture (h, w) in place, as opaque as `cover`."""
    part = picture[patch.window]
    part += cover * (body - part)
