"""Drawn cells: seen by their edges (bright field, phase, relief), by their membranes, or by two dyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.drawing._blobs import (
    Breed,
    Crowd,
    Form,
    Patch,
    Tiling,
    blob,
    how_many,
    over,
    places,
    tidy,
    tile,
)
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, grain, log_uniform, steps, texture
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float


@dataclass(frozen=True, eq=False, slots=True)
class _Edge:
    """Light across a cell's outline, as a function of the depth in px: a line, a halo, or fringes."""

    kind: int
    inner: float
    outer: float
    height: float
    halo: float
    turn: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float) -> _Edge:
        sign = rng.choice([-1.0, 1.0])
        return cls(
            kind=int(rng.integers(4)),
            inner=float(np.clip(size * rng.uniform(0.03, 0.12), 0.9, 6)),
            outer=float(np.clip(size * rng.uniform(0.05, 0.25), 1.2, 14)),
            height=sign * log_uniform(rng, 0.08, 0.5),
            halo=rng.uniform(0.2, 1.2),
            turn=rng.uniform(0, 2 * np.pi),
        )

    @property
    def margin(self) -> float:
        return 3 * self.outer + 2

    def light(self, patch: Patch) -> Float:
        """What the edge adds, in a window at least :attr:`margin` px wider than the cell."""
        depth, inside = patch.depth, patch.depth > 0
        near = np.where(inside, np.exp(-((depth / self.inner) ** 2)), np.exp(-((depth / self.outer) ** 2)))
        if self.kind == 0:  # dark within, bright around, as phase contrast shows it
            line = np.where(inside, 1, -self.halo) * near
        elif self.kind == 1:  # fringes of a cell out of focus
            line = np.cos(2.2 * depth / self.inner) * np.exp(-np.abs(depth) / (1.8 * self.inner))
        elif self.kind == 2:  # relief, lit from one side (DIC)
            away = patch.along(self.turn) / np.maximum(np.hypot(patch.along(0), patch.along(np.pi / 2)), 1)
            line = 1.6 * away * np.exp(-((depth / (1.5 * self.inner)) ** 2))
        else:  # a plain line
            line = np.exp(-(((depth - self.inner) / self.inner) ** 2))
        return np.asarray(self.height * line, np.float32)


def edged_cells(rng: np.random.Generator, shape: Shape) -> Scene:
    """Unstained cells, yeast, pollen on an even ground: map 1 cells, map 2 nuclei and vacuoles."""
    size = min(log_uniform(rng, 10, 160), 0.7 * min(shape))
    breed = Breed.drawn(rng, size, rng.choice([1.2, 1.6, 5.0]))
    edge, ground = _Edge.drawn(rng, size), rng.uniform(0.25, 0.75)
    picture = np.full(shape, ground, np.float32)
    picture += np.float32(rng.uniform(0, 0.06)) * grain(rng, shape, 0.5 * max(shape))
    picture += np.float32(rng.uniform(0, 0.03)) * clouds(rng, shape, rng.uniform(1, 8))
    grains = np.float32(rng.uniform(0.005, 0.1)) * texture(rng, shape, max(0.8, size * rng.uniform(0.02, 0.1)))
    level, fill = ground + rng.normal(0, 0.12), rng.uniform(0.3, 1.0)
    cells, parts, organs = Crowd(shape), Crowd(shape), _Organs.drawn(rng, size)
    bearable, buds = rng.choice([0.0, 0.05, 0.2]), chance(rng, 0.25)
    queue = list(places(rng, shape, how_many(rng, shape, size, 120), size))
    while queue:
        centre, form = queue.pop(), breed.form(rng)
        patch = blob(rng, shape, centre, form, margin=edge.margin)
        if not cells.settle(patch, bearable):
            continue
        w, cover = patch.window, patch.cover(1.5)
        body = (1 - fill) * picture[w] + fill * (level + rng.normal(0, 0.02)) + grains[w]
        over(picture, patch, cover, body)
        parts.ids[w][patch.inside] = 0
        organs.paint(rng, shape, picture, patch, form, parts)
        picture[w] += edge.light(patch)
        if buds and len(queue) < 300 and chance(rng, 0.5):
            turn, away = rng.uniform(0, 2 * np.pi), form.short * rng.uniform(1.5, 2.2)
            queue.append((centre[0] + away * np.sin(turn), centre[1] + away * np.cos(turn)))
    picture = _dirty(rng, blurred(picture, rng.uniform(0, 1.0)))
    return Scene(_toned(rng, picture), (cells.labels(), parts.labels()))


@dataclass(frozen=True, slots=True)
class _Organs:
    """What is seen inside the cells of a scene."""

    count: int
    share: float
    light: float
    line: float
    spread: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float) -> _Organs:
        count = 0 if size < 16 else int(rng.choice([0, 1, 1, 3, 8]))
        share = rng.uniform(0.25, 0.65) / max(count, 1) ** 0.5
        return cls(count, share, rng.normal(0, 0.15), rng.normal(0, 0.2), 0.0 if count == 1 else 0.55)

    def paint(
        self, rng: np.random.Generator, shape: Shape, picture: Float, cell: Patch, form: Form, parts: Crowd
    ) -> None:
        for _ in range(self.count):
            away = rng.uniform(-1, 1, 2) * (self.spread + 0.15)
            cos, sin = np.cos(form.turn), np.sin(form.turn)
            u, v = away[0] * form.long, away[1] * form.short
            spot = (cell.centre[0] + sin * u + cos * v, cell.centre[1] + cos * u - sin * v)
            radius = max(2.2, form.short * self.share * rng.uniform(0.6, 1.2))
            if not (0 <= spot[0] < shape[0] and 0 <= spot[1] < shape[1]):
                continue
            part = blob(rng, shape, spot, Form(radius * rng.uniform(1, 1.4), radius, form.turn, 0.05))
            clear = _within(part, cell)
            if clear and parts.settle(part, 0.0, gap=1):
                line = self.line * np.exp(-((part.depth / 1.2) ** 2))
                w = part.window
                picture[w] += part.cover(1.5) * np.float32(self.light) + line.astype(np.float32)


def _within(part: Patch, cell: Patch) -> bool:
    """Whether a part lies wholly in the visible window and well inside the cell."""
    (rows, columns), (y, x) = part.window, cell.window
    if rows.start < y.start or rows.stop > y.stop or columns.start < x.start or columns.stop > x.stop:
        return False
    rho = cell.rho[rows.start - y.start : rows.stop - y.start, columns.start - x.start : columns.stop - x.start]
    return bool((rho[part.inside] < 0.92).all())


def _dirty(rng: np.random.Generator, picture: Float) -> Float:
    """Dust out of focus and a vignette."""
    shape = (picture.shape[0], picture.shape[1])
    if chance(rng, 0.3):
        for _ in range(int(rng.integers(1, 8))):
            spot, radius = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1])), rng.uniform(2, 9)
            speck = blob(rng, shape, spot, Form(radius, radius), margin=radius)
            picture[speck.window] -= np.float32(rng.uniform(0.02, 0.15)) * np.exp(-((speck.rho / 0.8) ** 2))
    return picture


def _toned(rng: np.random.Generator, picture: Float) -> Float:
    """Grey in most scenes, else the warm or cold cast of the lamp."""
    cast = np.ones(3) if chance(rng, 0.65) else rng.uniform(0.65, 1.0, 3)
    return np.asarray(np.clip(picture[..., None] * cast.astype(np.float32), 0, 1), np.float32)


# --------------------------------------------------------------------------- cells that share walls


def membranes(rng: np.random.Generator, shape: Shape) -> Scene:
    """A tissue whose cells only their membranes tell apart: map 1 cells, map 2 nuclei where they are stained."""
    size = min(log_uniform(rng, 12, 160), 0.6 * min(shape))
    size, torn = max(size, (shape[0] * shape[1] / 450) ** 0.5), chance(rng, 0.3)
    tiling = _sheet(rng, shape, size, torn)
    reach = rng.uniform(0.05, 0.4) * size
    border, rim = tiling.border, np.abs(tiling.own + reach)
    if torn:  # the sheet ends where its cells do
        border = np.where(tiling.own < -reach, rim, np.minimum(border, rim))
    width = float(np.clip(size * log_uniform(rng, 0.015, 0.12), 0.7, 7))
    patchy = 1 + np.float32(rng.uniform(0, 0.35)) * clouds(rng, shape, 0.4 * size, 0.7, 3)
    line = np.exp(-((border / width) ** 2)) * np.maximum(patchy, 0.25)
    spread = rng.choice([0.0, 0.05, 0.3])
    dark = chance(rng, 0.33)  # dark lines between light cells
    base = rng.uniform(0.35, 0.8) if dark else rng.uniform(0.02, 0.6)
    levels = np.clip(base + rng.normal(0, spread, int(tiling.owner.max()) + 1), 0.25 if dark else 0, 1)
    inner = levels.astype(np.float32)[tiling.owner]
    inner = inner + np.float32(rng.uniform(0, 0.12)) * texture(rng, shape, max(1.0, size * rng.uniform(0.03, 0.15)))
    contrast = -rng.uniform(0.15, 0.5) if dark else min(rng.uniform(0.2, 1.0), 1.1 - float(inner.mean()))
    picture = inner + np.float32(contrast) * line
    cells = np.where(border > 0.8 * width, tiling.owner, 0)
    if torn:
        outside = tiling.own < -reach
        ground = np.float32(rng.uniform(0, 0.3)) + np.float32(contrast) * line
        picture, cells = np.where(outside, ground, picture), np.where(outside, 0, cells)
    parts = Crowd(shape)
    dye = _stained_nuclei(rng, shape, cells, size, parts) if chance(rng, 0.45) else np.zeros(shape, np.float32)
    picture = blurred(np.asarray(picture, np.float32), rng.uniform(0.2, 1.2))
    colour = _two_dyes(rng, picture, dye)
    return Scene(colour, (tidy(cells, 20), parts.labels()))


def _sheet(rng: np.random.Generator, shape: Shape, size: float, torn: bool = False) -> Tiling:
    """Cells of about one size that fill the plane (or, `torn`, parts of it), from a regular lattice to a wild one."""
    h, w = shape
    wave, jitter = size * rng.choice([0.0, 0.03, 0.1]), rng.uniform(0.03, 0.35)
    y, x = (np.asarray(a, np.float32) for a in np.indices(shape))
    grid = (y + wave * grain(rng, shape, 0.3 * size), x + wave * grain(rng, shape, 0.3 * size))
    rows, columns = np.mgrid[-size / 2 : h + size : 0.87 * size, -size / 2 : w + size : size]
    columns[1::2] += size / 2
    spots = np.stack([rows.ravel(), columns.ravel()], 1)
    spots = spots + rng.normal(0, jitter * size, spots.shape)
    if torn:
        where = clouds(rng, shape, 2.5 * size, 0.4, 2) > rng.uniform(-0.6, 0.8)
        rows, columns = np.clip(spots.astype(int), 0, (h - 1, w - 1)).T
        spots = spots[where[rows, columns]] if where[rows, columns].any() else spots
    uneven, stretch = rng.uniform(0, 0.35), rng.choice([1.0, 1.3, 2.5])
    heading = rng.uniform(0, np.pi) if chance(rng, 0.5) else None
    patches = []
    for spot in spots:
        radius = 0.5 * size * float(np.exp(rng.normal(0, uneven)))
        ratio = rng.uniform(1, stretch) ** 0.5
        turn = rng.uniform(0, np.pi) if heading is None else heading
        form = Form(radius * ratio, radius / ratio, turn)
        patches.append(blob(rng, shape, (float(spot[0]), float(spot[1])), form, 0.8 * size + 3 * wave, grid))
    return tile(shape, patches)


def _stained_nuclei(
    rng: np.random.Generator, shape: Shape, cells: NDArray[np.integer], size: float, parts: Crowd
) -> Float:
    """Light of a second dye: one nucleus near the middle of most cells."""
    dye = np.zeros(shape, np.float32)
    count = np.bincount(cells.ravel())
    rows = np.bincount(cells.ravel(), np.repeat(np.arange(shape[0]), shape[1]))
    columns = np.bincount(cells.ravel(), np.tile(np.arange(shape[1]), shape[0]))
    share, inner = rng.uniform(0.2, 0.32), 1 + np.float32(0.15) * clouds(rng, shape, max(1.0, 0.06 * size))
    for number in np.flatnonzero(count > 60):
        if number == 0 or chance(rng, 0.15):
            continue
        spot = (float(rows[number] / count[number]), float(columns[number] / count[number]))
        radius = max(2.5, share * count[number] ** 0.5 * rng.uniform(0.8, 1.2))
        patch = blob(rng, shape, spot, Form(radius * rng.uniform(1, 1.4), radius, rng.uniform(0, 3.1), 0.05))
        own = cells[patch.window][patch.inside] == number
        if own.mean() > 0.9 and parts.settle(patch, 0):
            over(dye, patch, patch.cover(1.5), inner[patch.window] * np.float32(rng.uniform(0.5, 1.0)))
    return dye


def _two_dyes(rng: np.random.Generator, first: Float, second: Float) -> Float:
    """Both dyes in grey, or each in a colour of its own."""
    if chance(rng, 0.5):
        grey = np.clip(first + np.float32(rng.uniform(0.4, 0.9)) * second, 0, 1)
        return np.repeat(np.asarray(grey, np.float32)[..., None], 3, 2)
    one, two = rng.uniform(0, 1, (2, 3))
    one[rng.integers(3)] = two[rng.integers(3)] = 1.0
    mixed = first[..., None] * one.astype(np.float32) + second[..., None] * two.astype(np.float32)
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


def dyed_cells(rng: np.random.Generator, shape: Shape) -> Scene:
    """Spread cells in one dye with nuclei in another (or dark): map 1 cells, map 2 nuclei."""
    size = min(log_uniform(rng, 24, 180), 0.7 * min(shape))
    tiling = _sheet(rng, shape, size * rng.uniform(0.8, 1.2))
    reach = rng.uniform(-0.05, 0.25) * size
    ragged = tiling.own + size * rng.uniform(0.02, 0.15) * clouds(rng, shape, 0.25 * size, 0.6, 3) + np.float32(reach)
    gone = rng.random(int(tiling.owner.max()) + 1) < rng.choice([0.0, 0.3, 0.6])
    inside = (ragged > 0) & (tiling.border > rng.uniform(0.3, 1.5)) & ~gone[tiling.owner]
    cells = np.where(inside, tiling.owner, 0)
    levels = np.clip(np.exp(rng.normal(-0.8, rng.uniform(0.1, 0.5), len(gone))), 0.12, 1).astype(np.float32)
    strands = texture(rng, shape, max(1.0, size * rng.uniform(0.02, 0.06)))
    slope = np.clip(np.minimum(ragged, tiling.border * 2) / (rng.uniform(0.05, 0.4) * size), 0, 1)
    body = levels[tiling.owner] * (1 + np.float32(rng.uniform(0.03, 0.3)) * strands) * (0.35 + 0.65 * slope)
    cells_light = np.where(inside, np.maximum(body, 0.05), rng.uniform(0, 0.06)).astype(np.float32)
    parts = Crowd(shape)
    dye = _stained_nuclei(rng, shape, cells, size, parts)
    if chance(rng, 0.35):  # the nucleus is where the dye of the body is missing
        cells_light *= 1 - np.float32(rng.uniform(0.5, 0.8)) * steps(dye, 0.25, 0.2)
        dye = dye * 0
    cells_light = blurred(cells_light, rng.uniform(0.3, 1.2))
    return Scene(_two_dyes(rng, cells_light, dye), (tidy(cells, 40), parts.labels()))
