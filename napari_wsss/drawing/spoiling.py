"""What a camera, a microscope or a file does to a picture: the degradations of training."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_wsss.drawing._grain import between, noise, slope
from napari_wsss.types import Float

Rng = np.random.Generator
Spoiler = Callable[[Rng, Float, float], Float]

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


def spoil(rng: Rng, picture: Float) -> Float:
    """A picture as a worse camera gives it: a random subset of the degradations below, mostly mild.

    Parameters
    ----------
    rng : Generator
        The only source of randomness.
    picture : float32 (h, w, 3)
        0 to 1; left as it is.

    Returns
    -------
    float32 (h, w, 3)
        0 to 1.
    """
    seen = np.array(picture, np.float32)
    force = 1.0 if rng.random() < 0.15 else rng.beta(1.2, 3.0)
    for odds, change in _CHAIN:
        if rng.random() < odds * (0.5 + force):
            seen = change(rng, seen, force)
            np.clip(seen, 0, 1, out=seen)
    return seen


# --------------------------------------------------------------------------- light and colour


def _tone(rng: Rng, seen: Float, force: float) -> Float:
    """Gamma, then contrast about the mean."""
    if rng.random() < 0.6:
        gamma = np.exp(rng.normal(0, 0.15 + 0.3 * force))
        seen = np.maximum(seen, np.float32(1e-4)) ** np.float32(np.clip(gamma, 0.35, 2.8))
    gain = np.clip(np.exp(rng.normal(-0.1, 0.15 + 0.35 * force)), 0.2, 1.8)
    middle = np.float32(seen.mean())
    goal = middle if gain > 1 else np.float32(rng.uniform(0.5 * middle, 0.5 * middle + 0.5))
    return (seen - middle) * np.float32(gain) + goal


def _lamp(rng: Rng, seen: Float, force: float) -> Float:
    """Light that differs over the picture: smooth blobs, a slope or a vignette."""
    shape = (seen.shape[0], seen.shape[1])
    depth = np.float32(rng.uniform(0.05, 0.2 + 0.5 * force))
    kind = rng.random()
    if kind < 0.4:
        plane = noise(rng, shape, max(shape) / rng.uniform(1, 4)) * np.float32(0.6)
    elif kind < 0.7:
        plane = slope(shape, rng.uniform(0, 6.28)) * np.float32(2 / max(shape))
    else:
        y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        plane = np.asarray(-(y**2 + x**2), np.float32)
    return np.asarray(seen * np.clip(1 + depth * plane, 0.15, 1.8)[..., None], np.float32)


def _balance(rng: Rng, seen: Float, force: float) -> Float:
    """A tint, more or less colour, or another order of the channels."""
    kind = rng.random()
    if kind < 0.25:
        return seen[..., rng.permutation(3)]
    if kind < 0.6:
        grey = (seen @ _WEIGHTS)[..., None]
        return np.asarray(grey + (seen - grey) * np.float32(rng.uniform(0.1, 1.7)), np.float32)
    return seen * rng.normal(1, 0.05 + 0.15 * force, 3).astype(np.float32)


def _grey(rng: Rng, seen: Float, force: float) -> Float:
    """One channel for all: luminance or any mixture."""
    mixture = _WEIGHTS if rng.random() < 0.5 else rng.dirichlet((1.0, 1.0, 1.0)).astype(np.float32)
    return np.repeat((seen @ mixture)[..., None], 3, axis=2)


def _negative(rng: Rng, seen: Float, force: float) -> Float:
    return 1 - seen


# --------------------------------------------------------------------------- sharpness


def _gaussian(rng: Rng, seen: Float, force: float) -> Float:
    sigma = between(rng, 0.4, 0.8 + 1.8 * force)
    return np.asarray(ndimage.gaussian_filter(seen, (sigma, sigma, 0), truncate=2.5), np.float32)


def _defocus(rng: Rng, seen: Float, force: float) -> Float:
    """Two box means, close to a disc."""
    size = int(rng.integers(2, 4 + round(3 * force)))
    once = ndimage.uniform_filter1d(seen, size, axis=0)
    return np.asarray(ndimage.uniform_filter1d(once, size, axis=1), np.float32)


def _motion(rng: Rng, seen: Float, force: float) -> Float:
    """The mean of shifted copies along a line."""
    length, angle = rng.uniform(1.5, 3 + 6 * force), rng.uniform(0, np.pi)
    steps = np.linspace(-length / 2, length / 2, int(length) + 2)
    moves = {(round(s * np.sin(angle)), round(s * np.cos(angle))) for s in steps}
    reach = max(max(abs(y), abs(x)) for y, x in moves)
    wide = np.pad(seen, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    h, w = seen.shape[:2]
    total = np.zeros_like(seen)
    for y, x in sorted(moves):
        total += wide[reach + y : reach + y + h, reach + x : reach + x + w]
    return total / np.float32(len(moves))


def _coarse(rng: Rng, seen: Float, force: float) -> Float:
    """Sampled coarsely and brought back to size."""
    h, w = seen.shape[:2]
    factor = rng.uniform(1.2, 1.6 + 2.2 * force)
    small = (max(2, round(w / factor)), max(2, round(h / factor)))
    down = Image.Resampling.BOX if rng.random() < 0.6 else Image.Resampling.NEAREST
    up = Image.Resampling.BILINEAR if rng.random() < 0.7 else Image.Resampling.NEAREST
    return _unpacked(_packed(seen).resize(small, down).resize((w, h), up))


# --------------------------------------------------------------------------- noise and files


def _sensor(rng: Rng, seen: Float, force: float) -> Float:
    """Shot noise that grows with light, read noise that does not; of one plane or of each channel."""
    shot, read = between(rng, 0.005, 0.03 + 0.13 * force), between(rng, 0.002, 0.01 + 0.06 * force)
    channels = 1 if rng.random() < 0.4 else 3
    grain = rng.standard_normal((*seen.shape[:2], channels), dtype=np.float32)
    if rng.random() < 0.25:
        grain = np.asarray(ndimage.uniform_filter(grain, (2, 2, 1)), np.float32) * np.float32(1.7)
    return seen + grain * (np.sqrt(seen) * np.float32(shot) + np.float32(read))


def _salt(rng: Rng, seen: Float, force: float) -> Float:
    """Dead and hot pixels."""
    h, w = seen.shape[:2]
    count = int(h * w * between(rng, 0.0003, 0.002 + 0.02 * force))
    seen[rng.integers(0, h, count), rng.integers(0, w, count)] = rng.integers(0, 2, (count, 1))
    return seen


def _jpeg(rng: Rng, seen: Float, force: float) -> Float:
    quality = int(rng.uniform(75 - 55 * force, 95))
    file = io.BytesIO()
    _packed(seen).save(file, "JPEG", quality=quality, subsampling=int(rng.choice([0, 2])))
    return _unpacked(Image.open(file))


def _steps(rng: Rng, seen: Float, force: float) -> Float:
    """Few grey levels."""
    levels = np.float32(round(between(rng, 12 if force > 0.5 else 32, 128)))
    return np.asarray(np.round(seen * levels) / levels, np.float32)


def _packed(seen: Float) -> Image.Image:
    return Image.fromarray((seen * np.float32(255) + np.float32(0.5)).astype(np.uint8))


def _unpacked(image: Image.Image) -> Float:
    return np.asarray(image, np.float32) / np.float32(255)


_CHAIN: tuple[tuple[float, Spoiler], ...] = (
    (0.35, _lamp),
    (0.40, _balance),
    (0.12, _grey),
    (0.18, _gaussian),
    (0.06, _defocus),
    (0.07, _motion),
    (0.20, _coarse),
    (0.50, _tone),
    (0.08, _negative),
    (0.40, _sensor),
    (0.03, _salt),
    (0.05, _steps),
    (0.30, _jpeg),
)
"""Odds at middling force, in the order of a camera: light, lens, sensor, file."""
