"""Roofs from above: wings with sloping planes, covered in sheet, tile or concrete, with rust, dirt and shadow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.drawing._easel import Easel, Window, moved
from napari_wsss.drawing._grain import Colour, Rng, between, cloud, noise, pick, vary
from napari_wsss.types import Float

SHEETS = (
    (0.62, 0.60, 0.55),
    (0.72, 0.68, 0.60),
    (0.50, 0.50, 0.50),
    (0.58, 0.50, 0.43),
    (0.80, 0.79, 0.75),
    (0.44, 0.36, 0.30),
)
RUSTS = ((0.50, 0.29, 0.20), (0.58, 0.36, 0.26), (0.42, 0.24, 0.18), (0.66, 0.45, 0.34))
PAINTS = (
    (0.68, 0.32, 0.30),
    (0.72, 0.45, 0.40),
    (0.25, 0.33, 0.42),
    (0.25, 0.38, 0.30),
    (0.55, 0.20, 0.18),
    (0.35, 0.35, 0.38),
    (0.82, 0.80, 0.78),
)
TILES = (
    (0.78, 0.45, 0.30),
    (0.82, 0.52, 0.36),
    (0.62, 0.34, 0.26),
    (0.45, 0.33, 0.28),
    (0.35, 0.33, 0.33),
    (0.88, 0.60, 0.45),
)
CONCRETES = ((0.78, 0.76, 0.72), (0.62, 0.60, 0.57), (0.88, 0.87, 0.84), (0.50, 0.49, 0.48), (0.70, 0.62, 0.52))

FLAT, GABLE, HIP, SHED = range(4)


@dataclass(frozen=True, slots=True)
class Wing:
    """A rectangle of a roof in the building's own axes: centre, half length along its ridge, half width, form."""

    u: float
    v: float
    long: float
    wide: float
    turned: bool
    form: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a building stands, its axes (``angle``, ``shear``) and wings; ``ragged`` pixels of uneven eaves."""

    y: float
    x: float
    angle: float
    shear: float
    wings: tuple[Wing, ...]
    ragged: float = 0.0

    @property
    def reach(self) -> float:
        return (
            max(float(np.hypot(abs(w.u) + w.long, abs(w.v) + w.long)) for w in self.wings) * (1 + abs(self.shear)) + 3
        )


@dataclass(frozen=True, slots=True)
class Roofing:
    """What a roof is covered with; lengths in pixels, strengths as a share of the light."""

    base: Colour
    other: Colour
    wave: float
    period: float
    sheet: tuple[float, float]
    mottle: float
    patched: float
    rust: float
    course: float
    dirt: float
    relief: float
    ridge: float
    parapet: float


@dataclass(frozen=True, eq=False, slots=True)
class _Form:
    """Per pixel of a window: share inside, plane number, lengths along and down the slope, and to the outline."""

    share: Float
    facing: NDArray[np.int8]
    along: Float
    down: Float
    edge: Float


def roofing(rng: Rng, size: float) -> Roofing:
    """A covering for buildings about ``size`` pixels wide; half of them weathered sheet iron."""
    kind = int(rng.choice(4, p=(0.45, 0.2, 0.2, 0.15)))
    base = pick(rng, (SHEETS, PAINTS, TILES, CONCRETES)[kind], 0.06)
    metal = kind < 2
    rows = rng.integers(1, 4)
    return Roofing(
        base=base,
        other=pick(rng, RUSTS) if kind == 0 or rng.random() < 0.2 else vary(rng, base, 0.08),
        wave=between(rng, 0.01, 0.14) if metal and rng.random() < 0.8 else 0.0,
        period=between(rng, 2.2, max(3.0, size / 8)),
        sheet=(max(2.5, size * between(rng, 0.05, 0.25)), max(4.0, size / (2 * rows) * rng.uniform(0.8, 1.2))),
        mottle=(0.0 if kind == 3 else between(rng, 0.01, 0.14)),
        patched=(rng.choice([0.0, 0.15, 0.4, 0.7]) if kind == 0 else rng.choice([0.0, 0.0, 0.08])),
        rust=(rng.choice([0.0, 0.3, 0.7, 1.0]) if kind == 0 else rng.choice([0.0, 0.0, 0.25])),
        course=between(rng, 0.02, 0.15) if kind == 2 else 0.0,
        dirt=between(rng, 0.01, 0.1),
        relief=between(rng, 0.015, 0.25),
        ridge=rng.normal(0, 0.15),
        parapet=rng.uniform(0.0, 0.3) if kind == 3 or rng.random() < 0.15 else 0.0,
    )


def plan(rng: Rng, y: float, x: float, angle: float, long: float, wide: float, plain: float = 0.5) -> Plan:
    """A building of half length and half width: a rectangle, else an L, T, U or a pile of boxes."""
    form = int(rng.choice(4, p=(0.2, 0.42, 0.25, 0.13)))
    main = Wing(0.0, 0.0, long, wide, False, form)
    wings = [main]
    if rng.random() > plain and min(long, wide) > 5:
        reach, half = rng.uniform(0.5, 1.1) * long, wide * rng.uniform(0.55, 1.0)
        half = min(half, long * 0.6)
        wide_u = long - half
        place = rng.choice([-wide_u, wide_u, rng.uniform(-wide_u, wide_u) if wide_u > 0 else 0.0])
        side = rng.choice([-1, 1])
        wings.append(Wing(float(place), float(side * reach * 0.6), reach, half, True, form))
        if rng.random() < 0.3:  # a U or a Z
            other = side if rng.random() < 0.7 else -side
            wings.append(Wing(float(-place), float(other * reach * 0.6), reach, half, True, form))
    if rng.random() < 0.25 and min(long, wide) > 8:  # a lean-to of another height
        wings.append(Wing(0.0, float(wide + wide * 0.2), long * rng.uniform(0.3, 0.9), wide * 0.35, False, SHED))
    shear = rng.normal(0, 0.03) if rng.random() < 0.7 else rng.normal(0, 0.12)
    return Plan(y, x, angle, float(shear), tuple(wings), float(rng.choice([0.0, 0.0, 0.6, 1.5])))


def _axes(where: Window, spot: Plan, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Float, Float]:
    rows, cols = where.grid()
    dy, dx = rows - np.float32(spot.y + shift[0]), cols - np.float32(spot.x + shift[1])
    cos, sin = np.float32(np.cos(spot.angle)), np.float32(np.sin(spot.angle))
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    return u + np.float32(spot.shear) * v, v


def _inside(u: Float, v: Float, wing: Wing) -> tuple[Float, Float, Float, Float]:
    """Distances inside a wing from its ends and sides, and its own two coordinates."""
    along, across = (v - wing.v, u - wing.u) if wing.turned else (u - wing.u, v - wing.v)
    return wing.long - np.abs(along), wing.wide - np.abs(across), along, across


def _shade(where: Window, spot: Plan, shift: tuple[float, float]) -> Float:
    """Share of every pixel under the outline moved by ``shift``."""
    u, v = _axes(where, spot, shift)
    best = np.full(where.shape, -9.0, np.float32)
    for wing in spot.wings:
        ends, sides, _, _ = _inside(u, v, wing)
        np.maximum(best, np.minimum(ends, sides), out=best)
    return np.asarray(np.clip(best + 0.5, 0, 1), np.float32)


def _form(rng: Rng, where: Window, spot: Plan) -> _Form:
    """The outline and planes of all wings; where wings meet, the higher plane shows, as valleys do."""
    u, v = _axes(where, spot)
    shape = where.shape
    edge, height = np.full(shape, -9.0, np.float32), np.full(shape, -9.0, np.float32)
    facing = np.zeros(shape, np.int8)
    along, down = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for wing in spot.wings:
        ends, sides, t, s = _inside(u, v, wing)
        if spot.ragged:
            table = rng.uniform(-spot.ragged, spot.ragged, 64).astype(np.float32)
            sides = sides + table[np.clip((t / 7 + 32).astype(int), 0, 63)]
        inside = np.minimum(ends, sides)
        hip = wing.form == HIP
        tall = inside if hip else sides
        if wing.form in (FLAT, SHED):
            tall = np.full(shape, wing.wide * 0.5, np.float32)
        by_end = hip & (ends < sides)
        plane = np.where(by_end, np.where(t > 0, 0, 2), np.where(s > 0, 1, 3)).astype(np.int8)
        if wing.form in (FLAT, SHED):
            plane = np.full(shape, 4 if wing.form == FLAT else 3, np.int8)
        if wing.turned:
            plane = np.where(plane == 4, 4, (plane + np.where(plane % 2 == 1, 3, 1)) % 4).astype(np.int8)
        slope = ends if hip else sides
        wins = (inside > -0.5) & (tall > height)
        np.copyto(height, tall, where=wins)
        np.copyto(facing, plane, where=wins)
        np.copyto(along, np.where(by_end, s, t), where=wins)
        np.copyto(down, np.where(by_end, slope, sides if wing.form != SHED else wing.wide + s), where=wins)
        np.maximum(edge, inside, out=edge)
    return _Form(np.clip(edge + 0.5, 0, 1), facing, along, down, edge)


def _covering(rng: Rng, where: Window, form: _Form, cover: Roofing, spot: Plan, sun: float) -> Float:
    """Colours of a roof, (h, w, 3)."""
    shape = where.shape
    turns = np.array([0, np.pi / 2, np.pi, -np.pi / 2], np.float32) + np.float32(spot.angle)
    lit = np.append(np.cos(turns - sun), 0.2).astype(np.float32) * np.float32(cover.relief)
    light = 1 + lit[form.facing]
    if cover.wave:
        light += np.float32(cover.wave) * np.sin(form.along * np.float32(2 * np.pi / cover.period))
    if cover.course:
        row = form.down / np.float32(cover.period)
        light += np.float32(cover.course) * ((row - np.floor(row)) - 0.5)
        light += np.float32(cover.course * 0.5) * np.sin(
            form.along * np.float32(6.28 / cover.period) + 3.14 * np.floor(row)
        )
    wide, long = cover.sheet
    column, line = np.floor(form.along / wide).astype(np.int32), np.floor(form.down / long).astype(np.int32)
    lot = (column * 7 + line * 31 + form.facing.astype(np.int32) * 53) % 127
    light += rng.normal(0, cover.mottle, 127).astype(np.float32)[lot]
    banded = rng.random() < 0.4  # whole rows of sheets rust before others
    chance = rng.random(127)[(line * 31 + form.facing * 53) % 127 if banded else lot] < cover.patched
    rusty = chance.astype(np.float32) * np.float32(rng.uniform(0.3, 1.0))
    if cover.rust:
        eaten = cloud(rng, shape, between(rng, 3, 30), 4, 0.7) - np.float32(rng.uniform(0.2, 1.5))
        rusty = np.maximum(rusty, np.clip(eaten * np.float32(between(rng, 0.5, 3)), 0, 1) * np.float32(cover.rust))
    light += np.float32(cover.dirt) * cloud(
        rng, shape, between(rng, 3, 25), 4, 0.75, spot.angle + np.pi / 2, between(rng, 1, 4)
    )
    light += np.float32(rng.uniform(0.005, 0.05)) * noise(rng, shape, 1.0)
    seam = (np.abs(form.down - long * np.round(form.down / long)) < 0.7) & (long > 8) & (form.down > 2)
    light -= np.float32(rng.uniform(0, 0.12)) * seam
    tone = cover.base + (cover.other - cover.base) * rusty[..., None]
    return np.asarray(tone * np.clip(light, 0.2, 2.0)[..., None], np.float32)


def build(rng: Rng, easel: Easel, spot: Plan, cover: Roofing, sun: float, tall: float, walls: Colour | None) -> None:
    """Lay the shadow, perhaps a wall that a slanted view shows, the roof, and what stands on it."""
    where = easel.window(spot.y, spot.x, spot.reach + tall)
    if where is None:
        return
    fall = (-np.sin(sun) * tall, -np.cos(sun) * tall)
    steps = max(1, min(4, round(tall / 4)))
    shade = np.zeros(where.shape, np.float32)
    for k in range(1, steps + 1):
        np.maximum(shade, _shade(where, spot, (fall[0] * k / steps, fall[1] * k / steps)), out=shade)
    easel.dim(where, shade, rng.uniform(0.2, 0.65))
    if walls is not None:
        lean = rng.uniform(0, 6.28)
        seen = _shade(where, spot, (np.sin(lean) * tall * 0.3, np.cos(lean) * tall * 0.3))
        easel.cover(where, seen, np.broadcast_to(walls, (*where.shape, 3)))
    form = _form(rng, where, spot)
    tone = _covering(rng, where, form, cover, spot, sun)
    _edges(form, tone, cover)
    easel.thing(where, form.share, tone)
    if rng.random() < 0.25 and spot.wings[0].wide > 8:
        _panels(rng, easel, where, spot)
    if rng.random() < 0.3 and spot.wings[0].wide > 6:
        _fixtures(rng, easel, spot, cover, sun)


def _edges(form: _Form, tone: Float, cover: Roofing) -> None:
    """Ridges, hips and the parapet, by their light."""
    if cover.parapet:
        tone[(form.down < 2.0) & (form.facing == 4)] *= 1 + cover.parapet
    tone[(form.edge < 1.2) & (form.edge > -1)] *= 1 + 0.6 * cover.ridge
    turn = np.zeros(form.facing.shape, bool)
    turn[:, 1:] |= form.facing[:, 1:] != form.facing[:, :-1]
    turn[1:] |= form.facing[1:] != form.facing[:-1]
    tone[turn] *= 1 + cover.ridge


def _panels(rng: Rng, easel: Easel, where: Window, spot: Plan) -> None:
    """Solar panels or roof lights: rectangles on the main wing, parts of the roof where there is a map for them."""
    u, v = _axes(where, spot)
    wing = spot.wings[0]
    long, wide = wing.long * rng.uniform(0.15, 0.5), wing.wide * rng.uniform(0.12, 0.35)
    place = rng.uniform(-0.4, 0.4) * wing.long, rng.choice([-1, 1]) * wing.wide * 0.5
    inside = np.minimum(long - np.abs(u - place[0]), wide - np.abs(v - place[1]))
    pitch = max(2.5, wide * rng.uniform(0.4, 1.2))
    lines = (np.abs((u / pitch) % 1 - 0.5) > 0.42) | (np.abs((v / pitch) % 1 - 0.5) > 0.42)
    dark = np.array([0.10, 0.13, 0.24], np.float32) if rng.random() < 0.7 else np.array([0.85, 0.87, 0.9], np.float32)
    tone = np.broadcast_to(vary(rng, dark, 0.04), (*where.shape, 3)) + 0.12 * lines[..., None]
    share = np.clip(inside + 0.5, 0, 1)
    if len(easel.maps) > 1:
        easel.thing(where, share, tone, level=1)
    else:
        easel.tint(where, share, tone)


def _fixtures(rng: Rng, easel: Easel, spot: Plan, cover: Roofing, sun: float) -> None:
    """Tanks, dishes, chimneys: small discs and boxes with a shadow; the roof goes on under them."""
    wing = spot.wings[0]
    for _ in range(int(rng.integers(1, 5))):
        u, v = rng.uniform(-0.8, 0.8) * wing.long, rng.uniform(-0.8, 0.8) * wing.wide
        y = spot.y + u * np.sin(spot.angle) + v * np.cos(spot.angle)
        x = spot.x + u * np.cos(spot.angle) - v * np.sin(spot.angle)
        size = wing.wide * rng.uniform(0.04, 0.15) + 0.6
        where = easel.window(y, x, size * 3 + 1)
        if where is None:
            continue
        rows, cols = where.grid()
        far = np.hypot(rows - y, cols - x) if rng.random() < 0.5 else np.maximum(np.abs(rows - y), np.abs(cols - x))
        share = np.clip(size - far + 0.5, 0, 1).astype(np.float32)
        easel.dim(where, moved(share, -np.sin(sun) * size, -np.cos(sun) * size), 0.6)
        easel.tint(where, share, vary(rng, cover.base, 0.25))
