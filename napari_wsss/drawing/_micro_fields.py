"""Random fields that the microscopy scenes are textured with; each costs a few milliseconds a quarter megapixel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_wsss.types import Float

Shape = tuple[int, int]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A draw whose logarithm is uniform: sizes and strengths that span orders of magnitude."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in `share` of the draws."""
    return bool(rng.random() < share)


def white(rng: np.random.Generator, shape: Shape) -> Float:
    """Independent normal values, float32 (h, w)."""
    return rng.standard_normal(shape, dtype=np.float32)


def grain(rng: np.random.Generator, shape: Shape, scale: float) -> Float:
    """A Gaussian random field of mean 0 and deviation 1 whose grains measure about `scale` px (sigma)."""
    if scale < 1.5:
        field = ndimage.gaussian_filter(white(rng, shape), scale)
    else:
        down, across = (_bells(n, scale) for n in shape)
        field = down @ white(rng, (down.shape[1], across.shape[1])) @ across.T
    field -= field.mean()
    field /= max(float(field.std()), 1e-6)
    return np.asarray(field, np.float32)


def _bells(count: int, scale: float) -> Float:
    """Values of bell curves, one a knot (columns), at `count` pixels (rows)."""
    step = 0.8 * scale
    knots = np.arange(-2, int(np.ceil(count / step)) + 3, dtype=np.float32) * step
    pixels = np.arange(count, dtype=np.float32)
    return np.asarray(np.exp(-0.5 * ((pixels[:, None] - knots) / scale) ** 2), np.float32)


def clouds(rng: np.random.Generator, shape: Shape, scale: float, rough: float = 0.5, octaves: int = 4) -> Float:
    """Grain of several scales, each half the one before and `rough` times as strong; deviation about 1."""
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        size = scale / 2**octave
        if size < 0.6:
            break
        total += rough**octave * grain(rng, shape, size)
        weight += rough ** (2 * octave)
    return np.asarray(total / max(weight, 1e-6) ** 0.5, np.float32)


def fibres(rng: np.random.Generator, shape: Shape, width: float, length: float, wave: float) -> Float:
    """Wavy strands about `width` px wide and `length` long, bent by up to about `wave` px; deviation about 1."""
    turn = rng.uniform(0, np.pi)
    y, x = (np.asarray(a, np.float32) for a in np.indices(shape))
    reach = 0.35 * max(shape)
    y = y + wave * grain(rng, shape, reach * rng.uniform(0.15, 1.0))
    x = x + wave * grain(rng, shape, reach * rng.uniform(0.15, 1.0))
    along = (np.cos(turn) * x + np.sin(turn) * y) / (length / 3)
    athwart = (np.cos(turn) * y - np.sin(turn) * x) / (width / 1.5)
    table = grain(rng, (256, 128), 1.5)
    field = ndimage.map_coordinates(table, [athwart, along], order=1, mode="grid-wrap")
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def steps(field: Float, edge: float = 0.0, soft: float = 0.3) -> Float:
    """0 below `edge` and 1 above, with a ramp `soft` wide between."""
    return np.asarray(np.clip((field - edge) / soft + 0.5, 0, 1), np.float32)


def blurred(field: Float, sigma: float) -> Float:
    """Gaussian blur of each channel; wide blurs are made on a thinned copy, which nobody can tell."""
    if sigma < 0.2:
        return field
    if sigma < 6 or min(field.shape[:2]) < 32:
        spread = (sigma, sigma) + (0,) * (field.ndim - 2)
        return np.asarray(ndimage.gaussian_filter(field, spread), np.float32)
    thin = np.asarray(ndimage.gaussian_filter(field[::4, ::4], sigma / 4), np.float32)
    down, across = (_hats(n, m) for n, m in zip(field.shape, thin.shape))
    return np.asarray(down @ thin @ across.T, np.float32)


def _hats(count: int, knots: int) -> Float:
    """Linear interpolation from `knots` samples, four pixels apart, to `count` pixels."""
    place = np.minimum(np.arange(count, dtype=np.float32) / 4, knots - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(knots))), np.float32)


def texture(rng: np.random.Generator, shape: Shape, scale: float) -> Float:
    """One of many textures with grains of about `scale` px; mean about 0, deviation about 1."""
    kind = rng.integers(7)
    if kind == 0:
        field = grain(rng, shape, scale)
    elif kind == 1:
        field = clouds(rng, shape, 2 * scale, rng.uniform(0.4, 0.9))
    elif kind == 2:
        field = fibres(rng, shape, scale, scale * rng.uniform(4, 20), scale * rng.uniform(0, 4))
    elif kind == 3:  # a mesh: bright where the field is near its mean
        field = np.exp(-((grain(rng, shape, 1.5 * scale) / rng.uniform(0.2, 0.5)) ** 2))
    elif kind == 4:  # dots
        field = steps(grain(rng, shape, scale), rng.uniform(0.8, 1.6), 0.6)
    elif kind == 5:  # stripes
        phase = fibres(rng, shape, 6 * scale, 60 * scale, 4 * scale) + 2 * grain(rng, shape, 6 * scale)
        field = np.sin(2.5 * phase)
    else:  # crumbs
        field = np.abs(grain(rng, shape, 0.7 * scale)) + 0.5 * grain(rng, shape, 3 * scale)
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)
