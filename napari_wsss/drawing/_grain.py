"""Textures and colours that the drawn scenes are made of: planes of about -1 to 1 and the colours laid through them."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_wsss.types import Float

Rng = np.random.Generator
Shape = tuple[int, int]
Colour = NDArray[np.float32]  # (3,) or (k, 3), 0 to 1

_CUBIC_SPREAD = 0.91  # standard deviation of Pillow's bicubic interpolation between unit normal knots

NATURAL = (
    (0.52, 0.36, 0.24), (0.66, 0.50, 0.36), (0.36, 0.26, 0.19), (0.80, 0.70, 0.55), (0.30, 0.38, 0.20),
    (0.42, 0.52, 0.26), (0.20, 0.27, 0.15), (0.60, 0.60, 0.58), (0.35, 0.35, 0.36), (0.86, 0.86, 0.84),
    (0.12, 0.12, 0.13), (0.70, 0.36, 0.20), (0.24, 0.30, 0.38), (0.55, 0.62, 0.68), (0.90, 0.82, 0.66),
)  # fmt: skip


def between(rng: Rng, low: float, high: float) -> float:
    """A number drawn evenly on the scale of ratios: as many between 5 and 10 as between 10 and 20."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# --------------------------------------------------------------------------- planes


def noise(rng: Rng, shape: Shape, cell: float, angle: float = 0.0, stretch: float = 1.0) -> Float:
    """Smooth noise of unit spread with knots every ``cell`` pixels, ``stretch`` times longer along ``angle``."""
    h, w = shape
    if cell < 1.3 and stretch == 1.0:
        return rng.standard_normal(shape, dtype=np.float32)
    cell = max(cell, 1.0)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    long = cell * stretch
    reach_u = (abs(cos) * w + abs(sin) * h) / (2 * long)
    reach_v = (abs(sin) * w + abs(cos) * h) / (2 * cell)
    cols, rows = int(np.ceil(2 * reach_u)) + 5, int(np.ceil(2 * reach_v)) + 5
    knots = Image.fromarray(rng.standard_normal((rows, cols), dtype=np.float32))
    du, dv = cols / 2 + rng.uniform(-0.5, 0.5), rows / 2 + rng.uniform(-0.5, 0.5)
    a, b, d, e = cos / long, sin / long, -sin / cell, cos / cell
    place = (a, b, du - a * w / 2 - b * h / 2, d, e, dv - d * w / 2 - e * h / 2)
    drawn = knots.transform((w, h), Image.Transform.AFFINE, place, Image.Resampling.BICUBIC)
    return np.asarray(np.asarray(drawn, np.float32) / np.float32(_CUBIC_SPREAD), np.float32)


def cloud(
    rng: Rng, shape: Shape, cell: float, octaves: int = 3, gain: float = 0.55, angle: float = 0.0, stretch: float = 1.0
) -> Float:
    """Noise of several octaves, unit spread; finer ones are ``gain`` times as strong."""
    total, power = np.zeros(shape, np.float32), 0.0
    for k in range(octaves):
        if k and cell / 2**k < 0.8:
            break
        total += np.float32(gain**k) * noise(rng, shape, cell / 2**k, angle, stretch)
        power += gain ** (2 * k)
    return total / np.float32(np.sqrt(power))


def slope(shape: Shape, angle: float) -> Float:
    """Pixels along a direction, 0 in the middle."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    along = np.cos(angle) * (x - shape[1] / 2) + np.sin(angle) * (y - shape[0] / 2)
    return np.asarray(along, np.float32)


def stripes(rng: Rng, shape: Shape, period: float, angle: float, warp: float = 0.0) -> Float:
    """Waves across ``angle``, pushed by up to about ``warp`` periods."""
    phase = slope(shape, angle) * np.float32(2 * np.pi / period) + np.float32(rng.uniform(0, 6.28))
    if warp > 0:
        phase += np.float32(6.28 * warp) * noise(rng, shape, period * rng.uniform(2, 8))
    return np.asarray(np.sin(phase), np.float32)


def checks(rng: Rng, shape: Shape, period: float, angle: float) -> Float:
    """Squares of two values, or a plaid of soft bands."""
    a, b = stripes(rng, shape, period, angle), stripes(rng, shape, period * between(rng, 0.7, 1.4), angle + np.pi / 2)
    if rng.random() < 0.5:
        return np.asarray(np.sign(a * b), np.float32)
    return np.asarray(0.6 * (np.sign(a - 0.3) + np.sign(b - 0.3)), np.float32)


def wood(rng: Rng, shape: Shape, period: float, angle: float) -> Float:
    """Rings cut lengthwise: stretched noise folded into bands."""
    base = noise(rng, shape, period * 2.5, angle, between(rng, 6, 25))
    fine = noise(rng, shape, max(period / 4, 1.0), angle, 12.0)
    return np.asarray(0.8 * np.sin(base * np.float32(rng.uniform(2, 6))) + 0.3 * fine, np.float32)


def fur(rng: Rng, shape: Shape, cell: float, angle: float) -> Float:
    """Hair: thin stretched noise in two sizes."""
    stretch = between(rng, 3, 9)
    fine, coarse = noise(rng, shape, cell, angle, stretch), noise(rng, shape, cell * 2.2, angle + 0.2, stretch)
    return np.float32(0.7) * fine + np.float32(0.5) * coarse


def specks(rng: Rng, shape: Shape, cell: float) -> Float:
    """Sparse dots of either sign on a flat ground."""
    rough = noise(rng, shape, cell)
    return np.asarray(np.sign(rough) * np.clip(np.abs(rough) - 1.2, 0, 1) * 1.6, np.float32)


def cells(rng: Rng, shape: Shape, size: float) -> tuple[NDArray[np.intp], Float]:
    """Voronoi cells about ``size`` pixels wide: index of the cell, and the distance to its seed in pixels."""
    h, w = shape
    count = max(3, round(h * w / size**2))
    seeds = np.ones(shape, bool)
    seeds[rng.integers(0, h, count), rng.integers(0, w, count)] = False
    reach, nearest = ndimage.distance_transform_edt(seeds, return_indices=True)
    order = np.cumsum(~seeds.ravel()) - 1
    return order[nearest[0] * w + nearest[1]].astype(np.intp), reach.astype(np.float32)


def mosaic(rng: Rng, shape: Shape, size: float) -> Float:
    """Stones or leaves: flat Voronoi cells with darker joints."""
    index, reach = cells(rng, shape, size)
    values = rng.uniform(-1, 1, int(index.max()) + 1).astype(np.float32)
    return values[index] - np.float32(0.5) * (reach / np.float32(size)) ** 2


def pattern(rng: Rng, shape: Shape, scale: float, kind: str | None = None, angle: float | None = None) -> Float:
    """One of the textures above at a typical ``scale`` in pixels, about -1 to 1; kind and direction drawn if None."""
    angle = rng.uniform(0, np.pi) if angle is None else angle
    name = kind or str(rng.choice(PATTERNS, p=_ODDS))
    if name == "cloud":
        return cloud(rng, shape, scale, int(rng.integers(1, 5)), rng.uniform(0.4, 0.8)) * np.float32(0.6)
    if name == "stripes":
        wave = stripes(rng, shape, scale, angle, rng.choice([0.0, 0.1, 0.3]))
        return np.asarray(np.sign(wave - np.float32(rng.uniform(-0.5, 0.7))) if rng.random() < 0.4 else wave)
    if name == "checks":
        return checks(rng, shape, scale, angle)
    if name == "wood":
        return wood(rng, shape, scale, angle)
    if name == "fur":
        return fur(rng, shape, max(scale / 6, 1.0), angle)
    if name == "specks":
        return specks(rng, shape, max(scale / 3, 1.0))
    if name == "mosaic":
        return mosaic(rng, shape, scale)
    if name == "streaks":
        return cloud(rng, shape, scale / 2, 3, 0.6, angle, between(rng, 2, 8)) * np.float32(0.6)
    return slope(shape, angle) * np.float32(2.0 / max(shape))


PATTERNS = ("cloud", "stripes", "checks", "wood", "fur", "specks", "mosaic", "streaks", "gradient")
_ODDS = (0.28, 0.12, 0.06, 0.08, 0.12, 0.1, 0.05, 0.12, 0.07)


# --------------------------------------------------------------------------- colours


def colour(rng: Rng) -> Colour:
    """Any colour: two in three near one that nature or a city has, the others anywhere."""
    if rng.random() < 0.65:
        base = np.array(NATURAL[int(rng.integers(len(NATURAL)))], np.float32)
        return vary(rng, base * np.float32(between(rng, 0.6, 1.25)), 0.05)
    hue, full, value = rng.random(), rng.beta(1.3, 1.8), rng.uniform(0.1, 1.0)
    return np.array(colorsys.hsv_to_rgb(hue, full, value), np.float32)


def vary(rng: Rng, base: Colour, spread: float) -> Colour:
    """A neighbour of a colour: lighter or darker, and a little in hue."""
    moved = base * np.float32(1 + rng.normal(0, 1.5 * spread)) + rng.normal(0, spread / 3, 3).astype(np.float32)
    return np.asarray(np.clip(moved, 0.01, 1.0), np.float32)


def pick(rng: Rng, choices: tuple[tuple[float, float, float], ...], spread: float = 0.05) -> Colour:
    """One of the given colours, varied."""
    return vary(rng, np.array(choices[int(rng.integers(len(choices)))], np.float32), spread)


def blend(a: Float, b: Float, share: Float) -> Float:
    """``a`` where ``share`` is 0 and ``b`` where it is 1; ``share`` has no colour axis."""
    return np.asarray(a + (b - a) * share[..., None], np.float32)


def through(plane: Float, dark: Colour, light: Colour) -> Float:
    """A plane of -1 to 1 as colours from ``dark`` to ``light``."""
    share = np.clip(np.float32(0.5) + np.float32(0.5) * plane, 0, 1)
    return blend(dark, light, share)


def surface(rng: Rng, shape: Shape, base: Colour | None = None, scale: float | None = None) -> Float:
    """A textured area, (h, w, 3): a strong pattern between two colours, a weaker one over it, and fine grain."""
    base = colour(rng) if base is None else base
    size = between(rng, 3, 60) if scale is None else scale
    contrast = between(rng, 0.02, 0.35)
    other = colour(rng) if rng.random() < 0.25 else vary(rng, base, contrast)
    area = through(pattern(rng, shape, size), base, other)
    if rng.random() < 0.6:
        area = area * (1 + np.float32(between(rng, 0.02, 0.2)) * pattern(rng, shape, between(rng, 3, 60)))[..., None]
    if rng.random() < 0.7:
        grain = np.float32(between(rng, 0.005, 0.06)) * noise(rng, shape, rng.choice([1.0, 1.6, 2.5]))
        area = area + grain[..., None]
    return np.clip(area, 0, 1).astype(np.float32)
