"""Scenes of everyday pictures: animals, shapes, camouflage, heaps and streets, each drawn anew with exact truth."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_wsss.drawing._animals import POSES, paint
from napari_wsss.drawing._backdrops import backdrop
from napari_wsss.drawing._easel import Easel, Window, moved, polygon, smooth_line, stroke
from napari_wsss.drawing._grain import (
    Colour,
    Rng,
    Shape,
    between,
    cloud,
    colour,
    noise,
    pattern,
    slope,
    surface,
    through,
    vary,
)
from napari_wsss.drawing._streets import streets
from napari_wsss.drawing.scene import DrawScene, Scene
from napari_wsss.types import Float


def animals(rng: Rng, shape: Shape) -> Scene:
    """One to four animals before a background, on a seat or in herbs; the second map holds their heads."""
    easel = Easel(backdrop(rng, shape), levels=2)
    for _ in range(int(rng.integers(0, 5))):
        _prop(rng, easel, between(rng, 15, 120))
    count = int(rng.choice([1, 2, 3, 4], p=(0.6, 0.22, 0.1, 0.08)))
    for _ in range(count):
        _animal(rng, easel, count)
    if rng.random() < 0.3:
        _herbs(rng, easel)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        _prop(rng, easel, between(rng, 8, 50))
    _weather(rng, easel)
    easel.soften(rng)
    return easel.scene()


def _animal(rng: Rng, easel: Easel, count: int) -> None:
    h, w = easel.shape
    body = POSES[int(rng.choice(len(POSES), p=(0.2, 0.25, 0.2, 0.22, 0.13)))](rng)
    size = min(h, w) * between(rng, 0.4 if count == 1 else 0.15, 1.0 if count == 1 else 0.5)
    y, x = h * rng.uniform(0.3, 0.7), w * rng.uniform(0.25, 0.75)
    if count > 1:
        y, x = h * rng.uniform(0.1, 0.9), w * rng.uniform(0.1, 0.9)
    where = easel.window(y, x, size * 1.6)
    if where is None:
        return
    turn = rng.normal(0, 0.15) if rng.random() < 0.85 else rng.uniform(0, 6.28)
    flesh = paint(rng, where, body, y, x, size, turn, bool(rng.random() < 0.5))
    shift = (round(size * rng.uniform(0, 0.1)), round(size * rng.uniform(-0.1, 0.1)))
    easel.dim(where, _blurred(moved(flesh.share, *shift), size * 0.04), rng.uniform(0.4, 1.0))
    easel.thing(where, flesh.share, flesh.tone)
    easel.claim(where, flesh.head, level=1)


def _blurred(share: Float, sigma: float) -> Float:
    """Softened by three running means."""
    size = max(1, round(sigma * 2))
    for axis in (0, 1, 0, 1):
        share = ndimage.uniform_filter1d(share, size, axis=axis)
    return share


def _prop(rng: Rng, easel: Easel, size: float) -> None:
    """Furniture, cushions, toys, balls: any shape with any surface, an object too."""
    y, x = rng.uniform(0, 1, 2) * easel.shape
    where = easel.window(y, x, size * 1.5)
    if where is None:
        return
    share = _outline(rng, where, y, x, size, _HOUSEHOLD)
    easel.thing(where, share, _filled(rng, where, share, size))


def _herbs(rng: Rng, easel: Easel) -> None:
    """Blades in front of everything along the lower border; they hide what is behind."""
    h, w = easel.shape
    green = colour(rng) if rng.random() < 0.4 else vary(rng, np.array([0.35, 0.45, 0.2], np.float32), 0.08)
    for _ in range(int(rng.integers(4, 40))):
        x, top = rng.uniform(0, w), h - between(rng, 10, h * 0.5)
        bend = rng.normal(0, 14)
        where = easel.window((h + top) / 2, x, (h - top) / 2 + 4, abs(bend) + 8)
        if where is not None:
            knots = np.array([[h + 2, x], [(h + top) / 2, x + bend * 0.3], [top, x + bend]], np.float32)
            share = stroke(where, smooth_line(knots, 5), rng.uniform(0.7, 2.6))
            easel.cover(where, share, vary(rng, green, 0.08))


def _weather(rng: Rng, easel: Easel) -> None:
    """Light over the whole picture."""
    if rng.random() < 0.5:
        lamp = 1 + np.float32(rng.uniform(0.05, 0.4)) * noise(rng, easel.shape, max(easel.shape) / rng.uniform(0.8, 3))
        easel.picture *= np.clip(lamp, 0.3, 1.5)[..., None]


# --------------------------------------------------------------------------- shapes


_FORMS = ("polygon", "star", "blob", "ring", "ellipse", "box", "letter")
_ANY = (0.15, 0.08, 0.3, 0.08, 0.14, 0.15, 0.1)
_HOUSEHOLD = (0.15, 0.01, 0.32, 0.02, 0.2, 0.28, 0.02)


def _outline(rng: Rng, where: Window, y: float, x: float, size: float, odds: tuple[float, ...] = _ANY) -> Float:
    """Share of a random shape about ``size`` pixels in radius: polygon, star, blob, ring, ellipse, box or stroke."""
    kind = rng.choice(_FORMS, p=odds)
    rows, cols = where.grid()
    if kind in ("polygon", "star"):
        count = int(rng.integers(3, 10))
        turns = np.sort(rng.uniform(0, 6.28, count)) if kind == "polygon" else np.arange(2 * count) * np.pi / count
        reach = rng.uniform(0.6, 1, count) if kind == "polygon" else np.tile([1.0, rng.uniform(0.3, 0.7)], count)
        corners = np.stack([y + size * reach * np.sin(turns + 0.3), x + size * reach * np.cos(turns + 0.3)], 1)
        return polygon(where, corners.astype(np.float32))
    if kind == "letter":
        knots = rng.uniform(-0.9, 0.9, (int(rng.integers(2, 6)), 2)) * size + (y, x)
        line = smooth_line(knots.astype(np.float32)) if rng.random() < 0.5 else knots.astype(np.float32)
        return stroke(where, line, max(3.0, size * between(rng, 0.15, 0.6)))
    angle, flat = rng.uniform(0, np.pi), between(rng, 0.3, 1.0)
    u = (cols - x) * np.float32(np.cos(angle)) + (rows - y) * np.float32(np.sin(angle))
    v = ((rows - y) * np.float32(np.cos(angle)) - (cols - x) * np.float32(np.sin(angle))) / np.float32(flat)
    if kind == "box":
        corner = size * rng.uniform(0.0, 0.4)
        qu, qv = np.maximum(np.abs(u) - size + corner, 0), np.maximum(np.abs(v) - size + corner, 0)
        return np.clip((corner - np.hypot(qu, qv)) * flat + 0.5, 0, 1).astype(np.float32)
    away = np.hypot(u, v)
    if kind == "ring":
        thick = size * rng.uniform(0.12, 0.35)
        return np.clip((thick - np.abs(away - size + thick)) * flat + 0.5, 0, 1).astype(np.float32)
    if kind == "blob":
        turn = np.arctan2(v, u)
        for k in range(2, 7):
            away = away * (
                1 + np.float32(rng.normal(0, 0.35 / k)) * np.sin(k * turn + np.float32(rng.uniform(0, 6.28)))
            )
        if rng.random() < 0.4:
            away = away + np.float32(size * 0.06) * cloud(rng, where.shape, max(2.0, size / 5), 3, 0.6)
    return np.clip((size - away) * flat + 0.5, 0, 1).astype(np.float32)


def _filled(rng: Rng, where: Window, share: Float, size: float) -> Float:
    """A surface for a shape, with a slope of light, roundness or a rim."""
    tone = surface(rng, where.shape)
    light = 1 + np.float32(rng.uniform(0, 0.4)) * slope(where.shape, rng.uniform(0, 6.28)) / np.float32(size)
    if rng.random() < 0.4:
        inner = _blurred(share, max(1.0, size * rng.uniform(0.05, 0.3)))
        light = light * (np.float32(rng.uniform(0.3, 1.0)) + inner * np.float32(0.6))
        if rng.random() < 0.5:
            gy, gx = np.gradient(inner)
            light = light + (gy + gx) * np.float32(size * rng.normal(0, 0.15))
    return np.asarray(np.clip(tone * np.clip(light, 0.15, 1.8)[..., None], 0, 1), np.float32)


def shapes(rng: Rng, shape: Shape) -> Scene:
    """Abstract shapes one over another, of any size and surface, with or without shadows."""
    easel = Easel(backdrop(rng, shape) if rng.random() < 0.6 else surface(rng, shape))
    count, size = int(between(rng, 3, 35)), between(rng, 8, 90)
    shadow = rng.choice([1.0, 0.8, 0.5])
    for _ in range(count):
        radius = min(size * between(rng, 0.5, 2.0), 120.0)
        y, x = rng.uniform(0, 1, 2) * easel.shape
        where = easel.window(y, x, radius * 1.4)
        if where is None:
            continue
        share = _outline(rng, where, y, x, radius)
        if shadow < 1:
            easel.dim(where, _blurred(moved(share, 2, 2), radius * 0.06), shadow)
        easel.thing(where, share, _filled(rng, where, share, radius))
    _weather(rng, easel)
    easel.soften(rng)
    return easel.scene()


def camouflage(rng: Rng, shape: Shape) -> Scene:
    """Shapes and animals of the ground's own texture, changed only in direction, scale, contrast or a little colour."""
    kind = str(rng.choice(["cloud", "stripes", "wood", "fur", "streaks", "specks", "checks", "mosaic"]))
    scale, angle, dark, light = between(rng, 4, 30), rng.uniform(0, np.pi), colour(rng), colour(rng)
    while np.abs(dark - light).sum() < 0.25:
        light = colour(rng)
    easel = Easel(through(pattern(rng, shape, scale, kind, angle), dark, light))
    for _ in range(int(rng.integers(1, 7))):
        radius = between(rng, 14, 90)
        y, x = rng.uniform(0, 1, 2) * shape
        where = easel.window(y, x, radius * 1.4)
        if where is None:
            continue
        share = _outline(rng, where, y, x, radius) if rng.random() < 0.7 else _silhouette(rng, where, y, x, radius)
        easel.thing(where, share, _disguise(rng, where.shape, (kind, scale, angle), dark, light))
    easel.picture *= np.clip(1 + np.float32(rng.uniform(0, 0.2)) * cloud(rng, shape, 60, 3), 0.4, 1.6)[..., None]
    easel.soften(rng)
    return easel.scene(60)


def _disguise(rng: Rng, shape: Shape, ground: tuple[str, float, float], dark: Colour, light: Colour) -> Float:
    """The ground's texture with one of its properties changed."""
    kind, scale, angle = ground
    directed = kind in ("stripes", "wood", "fur", "streaks", "checks")
    change = str(rng.choice(["turn", "scale", "contrast", "colour"] if directed else ["contrast", "colour"]))
    if change == "turn":
        angle += rng.uniform(0.4, 1.1)
    if change == "scale":
        scale *= rng.choice([0.35, 0.5, 2.0, 2.8])
    plane = pattern(rng, shape, scale, kind, angle) * np.float32(rng.uniform(0.1, 0.5) if change == "contrast" else 1)
    tone = through(plane, dark, light)
    if change == "colour":
        tone = tone + (rng.choice([-1, 1], 3) * rng.uniform(0.03, 0.12, 3)).astype(np.float32)
    return np.clip(tone, 0, 1).astype(np.float32)


def _silhouette(rng: Rng, where: Window, y: float, x: float, radius: float) -> Float:
    """The outline of an animal."""
    body = POSES[int(rng.integers(len(POSES)))](rng)
    return paint(rng, where, body, y, x, 1.6 * radius, rng.normal(0, 0.4), bool(rng.random() < 0.5)).share


def heap(rng: Rng, shape: Shape) -> Scene:
    """Many like things that touch and cover each other: fruit, pebbles, beads, leaves; each is an object."""
    easel, size = Easel(backdrop(rng, shape)), between(rng, 7, 45)
    base, spread, flat = colour(rng), between(rng, 0.02, 0.15), between(rng, 0.45, 1.0)
    sun, count = rng.uniform(0, 6.28), int(min(70, rng.uniform(0.3, 1.6) * shape[0] * shape[1] / (3 * size * size)) + 2)
    gloss, bumps, heart = rng.uniform(0, 0.5), rng.uniform(0, 0.12), rng.uniform(0.2, 0.8, 2)
    for _ in range(count):
        y, x = (heart + rng.normal(0, 0.28, 2)) * shape
        radius = size * rng.uniform(0.75, 1.25)
        where = easel.window(y, x, radius * 1.4)
        if where is None:
            continue
        share, height = _pebble(rng, where, y, x, radius, flat * rng.uniform(0.8, 1.0), bumps)
        easel.dim(where, _blurred(moved(share, -np.sin(sun) * radius * 0.15, -np.cos(sun) * radius * 0.15), 2), 0.6)
        gy, gx = np.gradient(height)
        lit = (gy * np.sin(sun) + gx * np.cos(sun)) * np.float32(radius * 0.25)
        light = (
            0.75 + 0.35 * height - lit + np.float32(between(rng, 0.01, 0.12)) * pattern(rng, where.shape, radius / 2)
        )
        shine = np.clip(-lit - 0.25, 0, 1) * np.float32(gloss)
        easel.thing(where, share, vary(rng, base, spread) * np.clip(light, 0.1, 1.6)[..., None] + shine[..., None])
    easel.soften(rng)
    return easel.scene()


def _pebble(
    rng: Rng, where: Window, y: float, x: float, radius: float, flat: float, bumps: float
) -> tuple[Float, Float]:
    """A turned, slightly uneven ellipse: share of every pixel, and height from 0 at its rim to 1."""
    rows, cols = where.grid()
    angle = rng.uniform(0, np.pi)
    u = (cols - x) * np.float32(np.cos(angle)) + (rows - y) * np.float32(np.sin(angle))
    v = ((rows - y) * np.float32(np.cos(angle)) - (cols - x) * np.float32(np.sin(angle))) / np.float32(flat)
    turn = np.arctan2(v, u)
    away = np.hypot(u, v) * (1 + np.float32(bumps) * np.sin(3 * turn + rng.uniform(0, 6)))
    away = away * (1 + np.float32(bumps) * np.sin(2 * turn + rng.uniform(0, 6))) / np.float32(radius)
    share = np.clip((1 - away) * np.float32(radius * flat) + 0.5, 0, 1)
    return np.asarray(share, np.float32), np.asarray(np.sqrt(np.clip(1 - away * away, 0, 1)), np.float32)


SCENES: dict[str, DrawScene] = {
    "animals": animals,
    "shapes": shapes,
    "camouflage": camouflage,
    "heap": heap,
    "streets": streets,
}
