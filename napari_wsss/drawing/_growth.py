"""What lies on the ground between the objects of a scene from above: soils, trees, bushes, cars, paths, litter."""

from __future__ import annotations

import numpy as np

from napari_wsss.drawing._easel import Easel, Window, moved, smooth_line, stroke
from napari_wsss.drawing._grain import (
    Colour,
    Rng,
    Shape,
    between,
    blend,
    cloud,
    noise,
    pick,
    specks,
    stripes,
    vary,
)
from napari_wsss.types import Float

SOILS = (
    (0.62, 0.45, 0.33),
    (0.70, 0.55, 0.43),
    (0.46, 0.32, 0.24),
    (0.76, 0.68, 0.57),
    (0.85, 0.82, 0.78),
    (0.36, 0.30, 0.27),
)
GRASSES = ((0.40, 0.47, 0.22), (0.30, 0.38, 0.17), (0.52, 0.52, 0.30), (0.36, 0.50, 0.24), (0.62, 0.58, 0.40))
PAVINGS = ((0.42, 0.42, 0.43), (0.30, 0.30, 0.32), (0.58, 0.55, 0.52), (0.70, 0.68, 0.64), (0.16, 0.15, 0.16))
LEAVES = (
    (0.20, 0.30, 0.13),
    (0.28, 0.38, 0.16),
    (0.16, 0.24, 0.13),
    (0.34, 0.42, 0.20),
    (0.25, 0.33, 0.26),
    (0.42, 0.38, 0.20),
)
CAR_COLOURS = (
    (0.92, 0.92, 0.92),
    (0.10, 0.10, 0.12),
    (0.55, 0.57, 0.60),
    (0.60, 0.10, 0.10),
    (0.15, 0.25, 0.50),
    (0.75, 0.70, 0.55),
)
LITTER = (
    (0.95, 0.95, 0.95),
    (0.15, 0.35, 0.70),
    (0.10, 0.10, 0.10),
    (0.80, 0.25, 0.20),
    (0.75, 0.75, 0.70),
    (0.90, 0.80, 0.3),
)


def soil(rng: Rng, shape: Shape, base: Colour | None = None) -> Float:
    """One kind of ground with its own roughness, (h, w, 3)."""
    family = (SOILS, GRASSES, PAVINGS)[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    base = pick(rng, family, 0.06) if base is None else base
    rough = cloud(rng, shape, between(rng, 8, 90), 5, rng.uniform(0.45, 0.8))
    light = 1 + np.float32(between(rng, 0.02, 0.12)) * rough
    if rng.random() < 0.25:
        light += np.float32(between(rng, 0.01, 0.06)) * stripes(
            rng, shape, between(rng, 3, 20), rng.uniform(0, 3.14), 0.2
        )
    light += np.float32(between(rng, 0.01, 0.10)) * noise(rng, shape, rng.choice([1.0, 1.7]))
    tone = vary(rng, base, 0.035) - base
    return np.asarray(base * light[..., None] + tone * np.clip(rough, -1.5, 1.5)[..., None], np.float32)


def ground(rng: Rng, shape: Shape) -> Float:
    """Two or three kinds of ground in patches with soft or sharp borders."""
    area = soil(rng, shape)
    for _ in range(int(rng.integers(0, 3))):
        patch = cloud(rng, shape, between(rng, 30, 200), 4, rng.uniform(0.3, 0.65)) - np.float32(rng.uniform(-0.3, 1.2))
        sharp = np.float32(between(rng, 1.0, 12))
        area = blend(area, soil(rng, shape), np.clip(0.5 + patch * sharp, 0, 1))
    if rng.random() < 0.4:
        area = area * (1 + np.float32(between(rng, 0.03, 0.3)) * specks(rng, shape, between(rng, 1, 3)))[..., None]
    return np.clip(area, 0, 1).astype(np.float32)


def crown(rng: Rng, where: Window, y: float, x: float, radius: float, sun: float, leaf: Colour) -> tuple[Float, Float]:
    """A tree or bush from above: its share of every pixel (h, w) and its colours (h, w, 3)."""
    rows, cols = where.grid()
    dy, dx = rows - y, cols - x
    away = np.sqrt(dy * dy + dx * dx)
    clump = max(1.5, radius * rng.uniform(0.12, 0.3))
    tufts = cloud(rng, where.shape, clump, 3, 0.7)
    edge = away / np.float32(radius) + np.float32(rng.uniform(0.06, 0.2)) * noise(rng, where.shape, radius * 0.5)
    if radius > 7 and rng.random() < 0.1:  # a palm: leaves like the rays of a star
        rays = int(rng.integers(6, 14))
        edge = edge * (1.15 + 0.5 * np.sin(rays * np.arctan2(dy, dx) + rng.uniform(0, 6)))
    edge = edge + np.float32(rng.uniform(0.03, 0.12)) * tufts
    share = np.clip((1 - edge) * np.float32(radius) * rng.uniform(0.4, 1.0) + 0.5, 0, 1)
    dome = (dx * np.cos(sun) + dy * np.sin(sun)) / np.float32(radius)
    relief = np.roll(tufts, (round(np.sin(sun) * 1.4), round(np.cos(sun) * 1.4)), (0, 1)) - tufts
    light = 1 + np.float32(rng.uniform(0.1, 0.35)) * dome + np.float32(rng.uniform(0.15, 0.4)) * (tufts * 0.7 - relief)
    light += np.float32(0.06) * noise(rng, where.shape, 1.0)
    return np.asarray(share, np.float32), np.clip(leaf * np.clip(light, 0.15, 2.2)[..., None], 0, 1).astype(np.float32)


def plant(
    rng: Rng, easel: Easel, y: float, x: float, radius: float, sun: float, leaf: Colour, thing: bool = True
) -> None:
    """A tree with its shadow; an object unless ``thing`` is false, when it only hides what is behind."""
    shift = radius * rng.uniform(0.1, 0.5)
    where = easel.window(y, x, radius * 1.3 + shift)
    if where is None:
        return
    share, tone = crown(rng, where, y, x, radius, sun, leaf)
    easel.dim(where, moved(share, -np.sin(sun) * shift, -np.cos(sun) * shift), rng.uniform(0.4, 0.75))
    (easel.thing if thing else easel.cover)(where, share, tone)


def _box(where: Window, y: float, x: float, half: tuple[float, float], angle: float) -> tuple[Float, Float, Float]:
    """Share of a turned rectangle, and each pixel's coordinates along and across it."""
    rows, cols = where.grid()
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = (cols - x) * cos + (rows - y) * sin, (rows - y) * cos - (cols - x) * sin
    inside = np.minimum(half[0] - np.abs(u), half[1] - np.abs(v))
    return np.clip(inside + 0.5, 0, 1).astype(np.float32), u, v


def car(rng: Rng, easel: Easel, y: float, x: float, length: float, angle: float, sun: float, level: int = 0) -> None:
    """A car from above: body, windows, shadow."""
    where = easel.window(y, x, length * 0.9)
    if where is None:
        return
    half = (length / 2, length * rng.uniform(0.2, 0.25))
    shift = length * 0.12
    shade, _, _ = _box(where, y - np.sin(sun) * shift, x - np.cos(sun) * shift, half, angle)
    easel.dim(where, shade, 0.45)
    share, u, v = _box(where, y, x, half, angle)
    paint = np.broadcast_to(pick(rng, CAR_COLOURS, 0.05), (*where.shape, 3)).copy()
    paint *= (1 + 0.1 * np.cos(v / half[1] * 1.2))[..., None]
    glass = ((np.abs(u - 0.22 * length) < 0.07 * length) | (np.abs(u + 0.26 * length) < 0.05 * length)) & (
        np.abs(v) < half[1] * 0.8
    )
    paint[glass] = rng.uniform(0.05, 0.25)
    easel.thing(where, share, paint, level)


def path(rng: Rng, easel: Easel, width: float, base: Colour) -> None:
    """A trodden path or a wall across the picture; no object."""
    where = easel.whole()
    h, w = easel.shape
    ends = rng.uniform(-0.1, 1.1, (int(rng.integers(2, 5)), 2)).astype(np.float32) * (h, w)
    share = stroke(where, smooth_line(ends.astype(np.float32)), width)
    tone = base * (1 + np.float32(0.1) * noise(rng, easel.shape, 4))[..., None]
    easel.tint(where, share * np.float32(rng.uniform(0.5, 1.0)), tone.astype(np.float32))


def fence(rng: Rng, easel: Easel, width: float, sun: float) -> None:
    """A wall of straight pieces with its shadow; it stands before what is behind and is no object."""
    h, w = easel.shape
    where, turn = easel.whole(), rng.uniform(0, 6.28)
    at = rng.uniform(-0.1, 1.1, 2) * (h, w)
    corners = [at]
    for _ in range(int(rng.integers(1, 5))):
        at = at + rng.uniform(30, 160) * np.array([np.sin(turn), np.cos(turn)])
        corners.append(at)
        turn += rng.choice([-np.pi / 2, np.pi / 2, 0.1, -0.1])
    share = stroke(where, np.array(corners, np.float32), width)
    easel.dim(where, moved(share, -np.sin(sun) * 2 * width, -np.cos(sun) * 2 * width), rng.uniform(0.35, 0.7))
    easel.cover(where, share, pick(rng, PAVINGS, 0.1))


def litter(rng: Rng, easel: Easel, count: int, size: float) -> None:
    """Things too small to be objects: sheets, buckets, stones, laundry."""
    h, w = easel.shape
    heart = rng.uniform(0, 1, 2) * (h, w)
    for _ in range(count):
        y, x = heart + rng.normal(0, 0.25, 2) * (h, w)
        where = easel.window(y, x, size * 2 + 1)
        if where is None:
            continue
        half = (between(rng, 0.4, size), between(rng, 0.4, size * 0.6))
        share, _, _ = _box(where, y, x, half, rng.uniform(0, 3.14))
        easel.dim(where, moved(share, 1, 1), 0.6)
        easel.cover(where, share, pick(rng, LITTER, 0.1))
