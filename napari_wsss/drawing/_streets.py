"""Streets as a driver sees them: sky, road, pavements, house fronts, trees, poles, cars and people."""

from __future__ import annotations

import numpy as np

from napari_wsss.drawing._backdrops import bricks, plain, sky
from napari_wsss.drawing._easel import Easel, polygon
from napari_wsss.drawing._grain import NATURAL, Colour, Rng, Shape, between, cloud, noise, pick, vary
from napari_wsss.drawing._growth import CAR_COLOURS, LEAVES, PAVINGS, crown, soil
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float

Point = tuple[float, float]  # row, column


def streets(rng: Rng, shape: Shape) -> Scene:
    """A street towards its vanishing point; everything in it is an object, the sky and the road too."""
    h, w = shape
    easel = Easel(sky(rng, shape))
    easel.claim(easel.whole(), np.ones(shape, np.float32))
    eye = (h * rng.uniform(0.35, 0.6), w * rng.uniform(0.25, 0.75))
    spread = w * rng.uniform(0.35, 0.9)
    _floor(rng, easel, eye, spread)
    for side in (-1, 1):
        _fronts(rng, easel, eye, spread, side)
    for depth in np.sort(rng.uniform(0.08, 0.9, int(rng.integers(3, 16)))):
        _thing(rng, easel, eye, spread, float(depth))
    if rng.random() < 0.5:
        easel.picture *= np.float32(rng.uniform(0.25, 1.0))
    easel.soften(rng)
    return easel.scene()


def _at(eye: Point, h: int, aside: float, depth: float) -> Point:
    """Where a place on the ground is seen: ``depth`` 0 at the horizon, 1 at the lower border."""
    return eye[0] + (h - eye[0]) * depth, eye[1] + aside * depth


def _quad(easel: Easel, corners: list[Point], tone: Float) -> None:
    """A polygon that is an object, painted with its part of a picture-wide surface."""
    where = easel.around(np.array(corners, np.float32))
    if where is not None:
        easel.thing(where, polygon(where, np.array(corners, np.float32)), tone[where.at])


def _floor(rng: Rng, easel: Easel, eye: Point, spread: float) -> None:
    """Pavement or verge to the horizon, the road on it, markings on the road."""
    h, w = easel.shape
    far = 6 * w
    _quad(easel, [(eye[0], -far), (eye[0], far), (h + 9, far), (h + 9, -far)], soil(rng, easel.shape))
    left, right = _at(eye, h, -spread, 1.3), _at(eye, h, spread, 1.3)
    _quad(easel, [eye, right, left], soil(rng, easel.shape, pick(rng, PAVINGS, 0.06)))
    paint = np.full(3, rng.uniform(0.6, 0.95), np.float32)
    for lane in rng.choice([-0.9, -0.45, 0.0, 0.45, 0.9], int(rng.integers(0, 4)), replace=False):
        dashed = rng.random() < 0.6
        for near in np.linspace(0.15, 1.2, 7):
            a, b = near, near + (0.07 if dashed else 0.18)
            line = lane * spread
            corners = [_at(eye, h, line - 0.02 * spread, a), _at(eye, h, line + 0.02 * spread, a)]
            corners += [_at(eye, h, line + 0.02 * spread, b), _at(eye, h, line - 0.02 * spread, b)]
            where = easel.around(np.array(corners, np.float32))
            if where is not None:
                easel.tint(where, polygon(where, np.array(corners, np.float32)), paint)


def _fronts(rng: Rng, easel: Easel, eye: Point, spread: float, side: int) -> None:
    """House fronts along one side, from far to near, with rows of windows."""
    h, _ = easel.shape
    aside, depth, tall = side * spread * rng.uniform(1.15, 2.0), rng.uniform(0.05, 0.2), rng.uniform(0.5, 2.5) * h
    while depth < 1.2:
        near = depth * between(rng, 1.25, 2.2)
        if rng.random() < 0.8:
            height = tall * rng.uniform(0.6, 1.3)
            low_a, low_b = _at(eye, h, aside, depth), _at(eye, h, aside, near)
            corners = [low_a, low_b, (low_b[0] - height * near, low_b[1]), (low_a[0] - height * depth, low_a[1])]
            wall = bricks(rng, easel.shape) if rng.random() < 0.25 else plain(rng, easel.shape)
            base: Colour = pick(rng, NATURAL, 0.05) if rng.random() < 0.5 else np.ones(3, np.float32)
            _quad(easel, corners, np.asarray(wall * base, np.float32))
            _windows(rng, easel, corners)
        depth = near


def _windows(rng: Rng, easel: Easel, corners: list[Point]) -> None:
    """Panes in rows, dark or lit; parts of the front, so they change no object."""
    (la, lb, hb, ha) = (np.array(c) for c in corners)
    floors, columns = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    glass = np.full(3, rng.uniform(0.03, 0.3), np.float32) if rng.random() < 0.8 else np.full(3, 0.85, np.float32)
    edge = rng.uniform(0.15, 0.35)
    where = easel.around(np.array(corners, np.float32))
    if where is None:
        return
    total = np.zeros(where.shape, np.float32)
    for i in range(floors):
        for j in range(columns):
            u = np.array([j + edge, j + 1 - edge, j + 1 - edge, j + edge]) / columns
            v = np.array([i + edge, i + edge, i + 1 - edge, i + 1 - edge]) / floors
            low, high = la + (lb - la) * u[:, None], ha + (hb - ha) * u[:, None]
            total = np.maximum(total, polygon(where, (low + (high - low) * v[:, None]).astype(np.float32)))
    seen = easel.maps[0][where.at]
    easel.tint(where, (total * (seen == seen.max())).astype(np.float32), glass)


def _thing(rng: Rng, easel: Easel, eye: Point, spread: float, depth: float) -> None:
    """A car, a person, a pole or a tree standing at a depth."""
    kind = str(rng.choice(["car", "person", "pole", "tree"], p=(0.4, 0.25, 0.15, 0.2)))
    aside = rng.uniform(-0.9, 0.9) if kind == "car" else rng.choice([-1, 1]) * rng.uniform(1.0, 1.4)
    y, x = _at(eye, easel.shape[0], aside * spread, depth)
    scale = spread * depth
    if kind == "car":
        _car(rng, easel, y, x, scale * rng.uniform(0.4, 0.55))
    elif kind == "person":
        _person(rng, easel, y, x, scale * rng.uniform(0.45, 0.6))
    elif kind == "pole":
        tall, thick = scale * rng.uniform(1.2, 2.5), max(1.2, scale * 0.03)
        where = easel.window(y - tall / 2, x, tall / 2 + 2, thick + 3)
        if where is not None:
            corners = [(y, x - thick), (y, x + thick), (y - tall, x + thick), (y - tall, x - thick)]
            easel.thing(where, polygon(where, np.array(corners, np.float32)), pick(rng, PAVINGS, 0.1))
    else:
        radius = scale * rng.uniform(0.4, 0.9)
        where = easel.window(y - radius * 1.6, x, radius * 1.8)
        if where is not None:
            share, tone = crown(
                rng, where, y - radius * 1.8, x, max(radius, 3.0), rng.uniform(-2.5, -0.6), pick(rng, LEAVES)
            )
            trunk = [(y, x - radius * 0.1), (y, x + radius * 0.1), (y - radius * 1.2, x + radius * 0.1)]
            trunk += [(y - radius * 1.2, x - radius * 0.1)]
            stem = polygon(where, np.array(trunk, np.float32)) * (1 - share)
            easel.thing(where, np.maximum(share, stem), np.where((stem > share)[..., None], np.float32(0.25), tone))


def _car(rng: Rng, easel: Easel, y: float, x: float, wide: float) -> None:
    """A car from behind or before: body, cabin, window, lamps, tyres, shadow."""
    tall = wide * rng.uniform(0.75, 1.1)
    where = easel.window(y - tall / 2, x, tall * 0.7 + 2, wide * 0.8 + 2)
    if where is None:
        return
    rows, cols = where.grid()
    u, v = (cols - x) / np.float32(wide / 2), (y - rows) / np.float32(tall)
    taper = np.float32(1) - np.clip(v - 0.5, 0, 1) * np.float32(rng.uniform(0.2, 0.8))
    edge = np.minimum((taper - np.abs(u)) * wide / 2, np.minimum(v - 0.06, 1 - v) * tall)
    paint = pick(rng, CAR_COLOURS, 0.08) * (0.8 + 0.3 * np.clip(v, 0, 1))[..., None] * (1 - 0.15 * u * u)[..., None]
    paint = np.where(((np.abs(u) < 0.78 * taper) & (v > 0.55) & (v < 0.92))[..., None], rng.uniform(0.05, 0.4), paint)
    lamp = (np.abs(np.abs(u) - 0.8) < 0.15) & (np.abs(v - 0.42) < 0.06)
    paint = np.where(lamp[..., None], np.array(((0.8, 0.1, 0.1), (0.95, 0.95, 0.8))[int(rng.integers(2))]), paint)
    paint = np.where(((v < 0.2) & (np.abs(u) < 0.95))[..., None], paint * 0.3, paint)
    tyres = np.minimum(0.14 - np.abs(np.abs(u) - 0.78), 0.25 - np.abs(v - 0.1)) * wide / 2
    easel.dim(where, np.clip(1 - (u / 1.1) ** 2 - (v / 0.12) ** 2, 0, 1).astype(np.float32), 0.3)
    share = np.clip(np.maximum(edge, tyres) + 0.5, 0, 1).astype(np.float32)
    easel.thing(where, share, np.where((tyres > edge)[..., None], 0.05, paint).astype(np.float32))


def _person(rng: Rng, easel: Easel, y: float, x: float, tall: float) -> None:
    """Somebody upright: head, coat, legs."""
    where = easel.window(y - tall / 2, x, tall * 0.55 + 2, tall * 0.3 + 2)
    if where is None:
        return
    rows, cols = where.grid()
    u, v = (cols - x) / np.float32(tall), (y - rows) / np.float32(tall)
    head = 0.07 - np.hypot(u, v - 0.92)
    coat = np.minimum(0.14 - 0.06 * np.abs(v - 0.6) - np.abs(u), 0.24 - np.abs(v - 0.63))
    stride = rng.uniform(0.02, 0.1)
    legs = np.minimum(0.045 - np.abs(np.abs(u) - stride * (1 - v / 0.45)), 0.23 - np.abs(v - 0.23))
    share = np.clip(np.maximum(np.maximum(head, coat), legs) * tall + 0.5, 0, 1).astype(np.float32)
    skin, cloth, trousers = (
        vary(rng, np.array([0.7, 0.52, 0.42], np.float32), 0.1),
        pick(rng, NATURAL),
        pick(rng, NATURAL),
    )
    tone = np.where((v > 0.85)[..., None], skin, np.where((v > 0.42)[..., None], cloth, trousers))
    light = (
        1
        + np.float32(0.15) * cloud(rng, where.shape, max(2.0, tall / 10), 2)
        + np.float32(0.03) * noise(rng, where.shape, 1)
    )
    easel.thing(where, share, np.asarray(tone * light[..., None], np.float32))
