"""Scenes seen from above: roofs, fields, water, roads and trees, each drawn anew with exact truth."""

from __future__ import annotations

import numpy as np

from napari_wsss.drawing._easel import Easel
from napari_wsss.drawing._grain import Rng, Shape, between, pick, vary
from napari_wsss.drawing._growth import LEAVES, SOILS, car, fence, ground, litter, path, plant
from napari_wsss.drawing._land import crowns, fields, pivots, roads, waters, zones
from napari_wsss.drawing._roofs import CONCRETES, Plan, Roofing, build, plan, roofing
from napari_wsss.drawing.scene import DrawScene, Scene

Lot = tuple[float, float, float, float]  # centre u, v and half sizes in the axes of a quarter
_SPREAD = 0.05


def houses(rng: Rng, shape: Shape) -> Scene:
    """Houses with room between them, on soil, grass or paving, with cars, trees and litter."""
    size = between(rng, 9, 85)
    easel, sun = Easel(ground(rng, shape), levels=2), rng.uniform(0, 6.28)
    for _ in range(int(rng.integers(0, 3))):
        path(rng, easel, between(rng, 2, size * 1.5), pick(rng, SOILS))
    litter(rng, easel, int(rng.integers(0, 25)), between(rng, 1, 5))
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        fence(rng, easel, rng.uniform(1, 2 + size / 12), sun)
    kinds = _stock(rng, size)
    angle, aligned = rng.uniform(0, np.pi), rng.random() < 0.6
    for y, x in _apart(rng, shape, size * rng.uniform(2.0, 3.2)):
        turn = angle + rng.normal(0, 0.05) if aligned else rng.uniform(0, np.pi)
        long = size * rng.uniform(0.8, 1.5)
        spot = plan(rng, y, x, turn, long, long * rng.uniform(0.4, 0.95))
        _raise(rng, easel, spot, kinds, sun, size)
    _traffic(rng, easel, size, sun)
    _green(rng, easel, size, sun)
    easel.soften(rng)
    return easel.scene()


def settlement(rng: Rng, shape: Shape) -> Scene:
    """Roofs that touch or nearly touch: an informal quarter, cut into lots that leave alleys and yards."""
    size = between(rng, 12, 70)
    easel, sun = Easel(ground(rng, shape) * np.float32(rng.uniform(0.3, 1.0)), levels=2), rng.uniform(0, 6.28)
    litter(rng, easel, int(rng.integers(5, 60)), between(rng, 1, 6))
    kinds = _stock(rng, size)
    angle, reach = rng.uniform(0, np.pi), float(np.hypot(*shape)) / 2 + size
    lots = _lots(rng, (0.0, 0.0, reach, reach), size * 1.4)
    gap, cos, sin = rng.choice([0.0, 1.0, 3.0]), np.cos(angle), np.sin(angle)
    empty = rng.uniform(0.05, 0.45)
    for number in rng.permutation(len(lots)):
        u, v, long, wide = lots[number]
        y, x = shape[0] / 2 + u * sin + v * cos, shape[1] / 2 + u * cos - v * sin
        if rng.random() < empty or not (-size < y < shape[0] + size and -size < x < shape[1] + size):
            continue
        turn, shrink = angle + rng.normal(0, 0.04), rng.uniform(0, gap + 0.1)
        if wide > long:
            long, wide, turn = wide, long, turn + np.pi / 2
        spot = plan(rng, y, x, turn, max(3, long - shrink), max(3, wide - shrink), plain=0.85)
        _raise(rng, easel, spot, kinds, sun, size)
    litter(rng, easel, int(rng.integers(0, 20)), between(rng, 1, 3))
    _green(rng, easel, size, sun, most=4)
    easel.soften(rng)
    return easel.scene()


def halls(rng: Rng, shape: Shape) -> Scene:
    """One to four large roofs that may fill the picture, with details on them and yards with vehicles."""
    size = between(rng, 55, 130)
    easel, sun = Easel(ground(rng, shape), levels=2), rng.uniform(0, 6.28)
    for _ in range(int(rng.integers(0, 4))):
        path(rng, easel, between(rng, 2, 40), pick(rng, SOILS))
    kinds = _stock(rng, size)
    angle = rng.uniform(0, np.pi)
    for y, x in _apart(rng, shape, size * 2.1, most=5):
        spot = plan(rng, y, x, angle + rng.normal(0, 0.06), size, size * rng.uniform(0.3, 0.8), plain=0.6)
        _raise(rng, easel, spot, kinds, sun, size)
    litter(rng, easel, int(rng.integers(0, 30)), between(rng, 1, 6))
    _traffic(rng, easel, size * 0.5, sun)
    _green(rng, easel, size * 0.7, sun)
    easel.soften(rng)
    return easel.scene()


def terraces(rng: Rng, shape: Shape) -> Scene:
    """Rows of like roofs side by side along streets; neighbours differ a little."""
    size = between(rng, 7, 40)
    easel, sun = Easel(ground(rng, shape), levels=2), rng.uniform(0, 6.28)
    angle, base = rng.uniform(0, np.pi), roofing(rng, size)
    cos, sin, reach = np.cos(angle), np.sin(angle), np.hypot(*shape) / 2 + size
    long, gap = size * rng.uniform(1.0, 1.8), rng.choice([0.0, 0.5, 3.0])
    row, pace = 2 * long * rng.uniform(1.15, 2.2), 2 * size
    for v in np.arange(-reach, reach, row):
        jitter = rng.uniform(0, pace)
        for u in np.arange(-reach, reach, pace):
            y, x = shape[0] / 2 + (u + jitter) * sin + v * cos, shape[1] / 2 + (u + jitter) * cos - v * sin
            if rng.random() < 0.1 or not (-size < y < shape[0] + size and -size < x < shape[1] + size):
                continue
            spot = plan(rng, y, x, angle + np.pi / 2, long * rng.uniform(0.9, 1.05), size - gap / 2, plain=0.8)
            kind = _varied(rng, base, 0.07)
            build(rng, easel, spot, kind, sun, rng.uniform(1, size * 0.4), None)
    _traffic(rng, easel, size, sun)
    _green(rng, easel, size, sun)
    easel.soften(rng)
    return easel.scene()


# --------------------------------------------------------------------------- placing


def _apart(rng: Rng, shape: Shape, least: float, most: int = 60) -> list[tuple[float, float]]:
    """Places at least so far from each other, some outside the border."""
    out = least * 0.3
    tried = rng.uniform((-out, -out), (shape[0] + out, shape[1] + out), (4 * most, 2))
    kept: list[tuple[float, float]] = []
    for y, x in tried:
        if len(kept) < most and all((y - a) ** 2 + (x - b) ** 2 > least**2 for a, b in kept):
            kept.append((float(y), float(x)))
    return kept


def _lots(rng: Rng, lot: Lot, size: float) -> list[Lot]:
    """A rectangle cut again and again along its longer side."""
    u, v, long, wide = lot
    if max(long, wide) < size * rng.uniform(0.6, 1.4):
        return [lot]
    cut = rng.uniform(0.3, 0.7)
    if long > wide:
        parts = ((u - long * (1 - cut), v, long * cut, wide), (u + long * cut, v, long * (1 - cut), wide))
    else:
        parts = ((u, v - wide * (1 - cut), long, wide * cut), (u, v + wide * cut, long, wide * (1 - cut)))
    return [piece for part in parts for piece in _lots(rng, part, size)]


def _stock(rng: Rng, size: float) -> list[Roofing]:
    """The coverings in use around here."""
    return [roofing(rng, size) for _ in range(int(rng.integers(1, 6)))]


def _varied(rng: Rng, kind: Roofing, spread: float) -> Roofing:
    changed = {name: getattr(kind, name) for name in kind.__slots__}
    changed["base"] = vary(rng, kind.base, spread)
    changed["rust"] = kind.rust * rng.uniform(0.3, 1.0)
    return Roofing(**changed)


def _raise(rng: Rng, easel: Easel, spot: Plan, kinds: list[Roofing], sun: float, size: float) -> None:
    kind = _varied(rng, kinds[int(rng.integers(len(kinds)))], _SPREAD)
    walls = pick(rng, CONCRETES) if rng.random() < 0.3 else None
    build(rng, easel, spot, kind, sun, rng.uniform(0.05, 0.5) * min(size, 40), walls)


def _traffic(rng: Rng, easel: Easel, size: float, sun: float) -> None:
    length = np.clip(size * rng.uniform(0.4, 0.8), 7, 50)
    angle = rng.uniform(0, 3.14)
    for _ in range(int(rng.choice([0, 0, 1, 3, 8]))):
        y, x = rng.uniform(0, 1, 2) * easel.shape
        if not easel.maps[0][int(y), int(x)]:
            car(rng, easel, y, x, length, angle + rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.1), sun)


def _green(rng: Rng, easel: Easel, size: float, sun: float, most: int = 12) -> None:
    """Trees and bushes, partly over the roofs."""
    leaf = pick(rng, LEAVES, 0.05)
    for _ in range(int(rng.integers(0, most + 1)) if rng.random() < 0.75 else 0):
        y, x = rng.uniform(0, 1, 2) * easel.shape
        plant(rng, easel, y, x, np.clip(size * between(rng, 0.15, 1.0), 3, 60), sun, vary(rng, leaf, 0.05))


SCENES: dict[str, DrawScene] = {
    "houses": houses,
    "settlement": settlement,
    "halls": halls,
    "terraces": terraces,
    "fields": fields,
    "pivots": pivots,
    "waters": waters,
    "zones": zones,
    "roads": roads,
    "crowns": crowns,
}
