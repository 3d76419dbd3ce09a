"""What is behind the objects of an everyday photograph: rooms, lawns, cloths, walls, blurred lights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from napari_wsss.drawing._grain import (
    Rng,
    Shape,
    between,
    blend,
    cells,
    checks,
    cloud,
    colour,
    noise,
    pattern,
    pick,
    slope,
    surface,
    vary,
    wood,
)
from napari_wsss.drawing._growth import GRASSES, LEAVES, soil
from napari_wsss.types import Float

Backdrop = Callable[[Rng, Shape], Float]

WOODS = ((0.55, 0.33, 0.18), (0.72, 0.50, 0.30), (0.36, 0.22, 0.14), (0.62, 0.55, 0.48), (0.80, 0.62, 0.40))


def plain(rng: Rng, shape: Shape) -> Float:
    """A wall or a studio sheet: one colour with a slope of light."""
    base = np.array([1, 1, 1], np.float32) * rng.uniform(0.85, 1) if rng.random() < 0.25 else colour(rng)
    light = 1 + np.float32(rng.uniform(0, 0.4)) * slope(shape, rng.uniform(0, 6.28)) / np.float32(max(shape))
    light = light + np.float32(rng.uniform(0, 0.03)) * cloud(rng, shape, between(rng, 2, 60), 3)
    return np.asarray(base * light[..., None], np.float32)


def lights(rng: Rng, shape: Shape) -> Float:
    """Things far behind the focus: soft discs and blocks of any colour."""
    h, w = shape
    small = (h // 4 + 2, w // 4 + 2)
    area = plain(rng, small) * np.float32(rng.uniform(0.3, 1.0))
    y, x = np.ogrid[: small[0], : small[1]]
    for _ in range(int(rng.integers(3, 30))):
        cy, cx, size = rng.uniform(0, small[0]), rng.uniform(0, small[1]), between(rng, 1.5, small[0] / 3)
        if rng.random() < 0.6:
            inside = (y - cy) ** 2 + (x - cx) ** 2 < size**2
        else:
            inside = (np.abs(y - cy) < size * rng.uniform(0.3, 2)) & (np.abs(x - cx) < size * rng.uniform(0.3, 1))
        area = blend(area, colour(rng), inside * np.float32(rng.uniform(0.3, 1)))
    sigma = between(rng, 0.6, 6)
    area = ndimage.gaussian_filter(area, (sigma, sigma, 0), truncate=2.5)
    return _enlarge(area, shape)


def _enlarge(area: Float, shape: Shape) -> Float:
    """Four times as large, linearly."""
    big = ndimage.zoom(area, (4, 4, 1), order=1, grid_mode=True, mode="nearest")
    return np.asarray(big[: shape[0], : shape[1]], np.float32)


def lawn(rng: Rng, shape: Shape) -> Float:
    """Grass, leaves and herbs: blades of several sizes, lighter tips, bare spots."""
    base, leaf = pick(rng, GRASSES, 0.07), pick(rng, LEAVES, 0.07)
    cell, lean = between(rng, 1.2, 4), np.pi / 2 + rng.normal(0, 0.4)
    blades = noise(rng, shape, cell, lean, between(rng, 2, 7)) + noise(
        rng, shape, cell * 1.7, lean + rng.normal(0, 0.5), 4.0
    )
    light = 1 + np.float32(between(rng, 0.06, 0.35)) * blades
    clumps = np.clip(0.5 + 0.5 * cloud(rng, shape, between(rng, 10, 80), 4, 0.6), 0, 1)
    area = blend(np.broadcast_to(base, (*shape, 3)), leaf, clumps) * np.clip(light, 0.2, 2)[..., None]
    return np.asarray(area, np.float32)


def boards(rng: Rng, shape: Shape) -> Float:
    """Planks with grain and joints."""
    angle, width, base = rng.uniform(0, np.pi), between(rng, 12, 80), pick(rng, WOODS, 0.06)
    grain = wood(rng, shape, between(rng, 3, 12), angle)
    across = (slope(shape, angle + np.pi / 2) + 1000) / np.float32(width)
    plank, inside = np.floor(across).astype(np.int32), across - np.floor(across)
    each = rng.normal(0, 0.1, 4000 // int(width) + 40).astype(np.float32)[plank % (4000 // int(width) + 40)]
    light = 1 + np.float32(between(rng, 0.03, 0.2)) * grain + each
    light = light * np.where(inside * width < 1.5, np.float32(rng.uniform(0.3, 0.9)), 1)
    return np.asarray(base * light[..., None], np.float32)


def cloth(rng: Rng, shape: Shape) -> Float:
    """A blanket or carpet: weave, plaid or printed motifs, with folds."""
    base = colour(rng)
    area = np.broadcast_to(base, (*shape, 3))
    for _ in range(int(rng.integers(0, 3))):
        motif = pattern(rng, shape, between(rng, 6, 60))
        area = blend(area, colour(rng), np.clip(motif * np.float32(between(rng, 1, 6)) - 0.2, 0, 1))
    if rng.random() < 0.3:
        area = blend(
            area, colour(rng), np.clip(checks(rng, shape, between(rng, 8, 60), rng.uniform(0, 3.14)), 0, 1) * 0.7
        )
    folds = cloud(rng, shape, between(rng, 15, 90), 2, 0.5, rng.uniform(0, 3.14), between(rng, 1, 6))
    light = (
        1
        + np.float32(rng.uniform(0, 0.3)) * folds
        + np.float32(rng.uniform(0.01, 0.15)) * noise(rng, shape, between(rng, 1, 3))
    )
    return np.asarray(area * np.clip(light, 0.2, 2)[..., None], np.float32)


def bricks(rng: Rng, shape: Shape) -> Float:
    """A wall of courses, or stones."""
    base = colour(rng)
    if rng.random() < 0.4:
        index, _ = cells(rng, shape, between(rng, 8, 45))
        light = 1 + rng.normal(0, 0.15, int(index.max()) + 1).astype(np.float32)[index]
        joint = np.zeros(shape, bool)
        joint[:, 1:] |= index[:, 1:] != index[:, :-1]
        joint[1:] |= index[1:] != index[:-1]
    else:
        tall, long, angle = between(rng, 4, 25), rng.uniform(1.5, 3), rng.normal(0, 0.1)
        v, u = (
            (slope(shape, angle + np.pi / 2) + 999) / np.float32(tall),
            (slope(shape, angle) + 999) / np.float32(tall * long),
        )
        row = np.floor(v).astype(np.int32)
        u = u + np.float32(0.5) * (row % 2)
        column = np.floor(u).astype(np.int32)
        joint = ((v - row) * tall < 1.2) | ((u - column) * tall * long < 1.2)
        light = 1 + rng.normal(0, 0.12, 997).astype(np.float32)[(row * 31 + column * 7) % 997]
    light = light + np.float32(0.06) * cloud(rng, shape, 6, 3)
    area = base * light[..., None]
    return np.asarray(np.where(joint[..., None], vary(rng, base, 0.2), area), np.float32)


def horizon(rng: Rng, shape: Shape) -> Float:
    """Something above something else: sky over land, wall over floor."""
    h, w = shape
    upper = (sky if rng.random() < 0.5 else plain)(rng, shape) if rng.random() < 0.7 else lights(rng, shape)
    lower = _SINGLE[int(rng.integers(len(_SINGLE)))](rng, shape)
    line = h * rng.uniform(0.2, 0.8) + slope((1, w), 0.0)[0] * np.float32(rng.normal(0, 0.08))
    if rng.random() < 0.5:
        line = line + np.float32(rng.uniform(0, 12)) * cloud(rng, (1, w), between(rng, 5, 60), 3)[0]
    y = np.arange(h, dtype=np.float32)[:, None]
    return blend(upper, lower, np.clip((y - line[None, :]) / np.float32(between(rng, 1, 10)) + 0.5, 0, 1))


def sky(rng: Rng, shape: Shape) -> Float:
    """Blue or grey, paler below, with clouds."""
    base = np.array([0.35, 0.55, 0.85], np.float32) if rng.random() < 0.6 else np.array([0.75, 0.77, 0.8], np.float32)
    fall = np.clip(slope(shape, np.pi / 2) / np.float32(shape[0]) + 0.5, 0, 1)
    area = blend(
        np.broadcast_to(vary(rng, base, 0.08), (*shape, 3)),
        np.full(3, 0.92, np.float32),
        fall * np.float32(rng.uniform(0, 1)),
    )
    puffs = np.clip(
        cloud(rng, shape, between(rng, 20, 120), 5, 0.6, 0.0, 2.0) - np.float32(rng.uniform(-0.5, 1.5)), 0, 1
    )
    return blend(area, np.full(3, 0.95, np.float32), puffs * np.float32(rng.uniform(0, 0.9)))


_SINGLE: tuple[Backdrop, ...] = (plain, lights, lawn, boards, cloth, bricks, soil, surface)


def backdrop(rng: Rng, shape: Shape) -> Float:
    """Any of the above; some with a lamp or a shadow over all."""
    pick_one = int(rng.integers(len(_SINGLE) + 3))
    area = horizon(rng, shape) if pick_one >= len(_SINGLE) else _SINGLE[pick_one](rng, shape)
    if rng.random() < 0.3:
        lamp = 1 + np.float32(rng.uniform(0.1, 0.5)) * noise(rng, shape, max(shape) / 2)
        area = area * np.clip(lamp, 0.2, 1.6)[..., None]
    if rng.random() < 0.25:
        sigma = between(rng, 0.5, 3)
        area = ndimage.gaussian_filter(area, (sigma, sigma, 0), truncate=2.0)
    return np.clip(area, 0, 1).astype(np.float32)
