"""Images that the project draws itself, with exact truth: fluorescent nuclei and land cover from above.

Everything is drawn from a seed, so that hints given by hand to a drawing stay where they belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.types import Bool, Instances, Labels

Plane = NDArray[np.float64]
Shape = tuple[int, int]

NUCLEI_CLASSES = ("background", "nucleus")
LAND_CLASSES = ("field", "forest", "water", "road", "roof")
FIELD, FOREST, WATER, ROAD, ROOF = range(1, 6)

_FIELDS = ((150, 168, 92), (120, 152, 78), (186, 176, 116), (168, 146, 104), (134, 160, 108), (196, 190, 138))
_ROOFS = ((176, 88, 66), (160, 74, 60), (190, 104, 76), (146, 96, 84))


@dataclass(frozen=True, eq=False, slots=True)
class Drawing:
    """A drawn image and its truth.

    Attributes
    ----------
    pixels : uint16 (h, w) or uint8 (h, w, 3)
    truth : uint16 (h, w)
        Class of every pixel, from 1.
    instances : uint32 (h, w) or None
        Object ids where the drawing has objects, 0 = none.
    """

    pixels: NDArray[Any]
    truth: Labels
    instances: Instances | None = None


# --------------------------------------------------------------------------- fluorescent nuclei


def nuclei(seed: int, count: int = 26, shape: Shape = (320, 320)) -> Drawing:
    """A field of stained nuclei as a 12-bit camera sees it: uneven light, haze, blur, shot noise; some overlap.

    Classes are those of :data:`NUCLEI_CLASSES`; where nuclei overlap, the later one owns the pixel.
    """
    rng = np.random.default_rng(seed)
    light, ids = np.zeros(shape), np.zeros(shape, np.uint32)
    for number in range(1, count + 1):
        inside = _nucleus(rng, ids)
        grain = _smooth_noise(rng, shape, 2.5)
        light += inside * rng.uniform(0.4, 1.0) * (0.8 + 0.12 * grain)
        ids[inside] = number
    haze = ndimage.gaussian_filter(light, 22)
    seen = (ndimage.gaussian_filter(light, 1.6) + 0.35 * haze + 0.05) * _lamp(rng, shape)
    photons = rng.poisson(seen * 220)
    counts = photons * 9.0 + rng.normal(120, 12, shape)
    pixels = np.clip(counts, 0, 4095).astype(np.uint16)
    return Drawing(pixels, np.where(ids > 0, 2, 1).astype(np.uint16), ids)


def _nucleus(rng: np.random.Generator, ids: Instances) -> Bool:
    """A bumpy ellipse; two in five may cover others with a quarter of their area. Empty where there was no room."""
    h, w = ids.shape
    for _ in range(60):
        y, x, turn = rng.uniform(0, h), rng.uniform(0, w), rng.uniform(0, np.pi)
        long = rng.uniform(13, 20)
        short = long * rng.uniform(0.62, 0.95)
        inside = _bumpy_ellipse(rng, ids.shape, (y, x), (long, short), turn)
        bearable = 0.25 * np.count_nonzero(inside) if rng.random() < 0.4 else 0
        if np.count_nonzero(inside & (ids > 0)) <= bearable:
            return inside
    return np.zeros(ids.shape, bool)


def _bumpy_ellipse(
    rng: np.random.Generator, shape: Shape, centre: tuple[float, float], axes: tuple[float, float], turn: float
) -> Bool:
    rows, columns = np.indices(shape, dtype=float)
    dy, dx = rows - centre[0], columns - centre[1]
    u = (np.cos(turn) * dx + np.sin(turn) * dy) / axes[0]
    v = (np.cos(turn) * dy - np.sin(turn) * dx) / axes[1]
    angle = np.arctan2(v, u)
    rim = 1.0 + sum(rng.normal(0, 0.05 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 4))
    inside: Bool = np.hypot(u, v) < rim
    return inside


def _lamp(rng: np.random.Generator, shape: Shape) -> Plane:
    """Illumination that falls off from a point beside the centre to about half."""
    h, w = shape
    y, x = rng.uniform(0.25, 0.75) * h, rng.uniform(0.25, 0.75) * w
    rows, columns = np.indices(shape, dtype=float)
    far = ((rows - y) / h) ** 2 + ((columns - x) / w) ** 2
    lamp: Plane = np.exp(-1.1 * far)
    return lamp


# --------------------------------------------------------------------------- land cover


def land(seed: int, shape: Shape = (384, 384), villages: int = 3) -> Drawing:
    """A landscape from above, 1 m a pixel: fields, forest, a river, roads with bridges, villages.

    Classes are those of :data:`LAND_CLASSES`; gardens count as field.
    """
    rng = np.random.default_rng(seed)
    truth = np.full(shape, FIELD, np.uint16)
    colour = _field_colours(rng, shape)
    forest = _smooth_noise(rng, shape, 30) > 0.75
    _paint(colour, truth, forest, _forest_colours(rng, shape), FOREST)
    water = _river(rng, shape)
    _paint(colour, truth, water, _flat((58, 88, 108), rng, shape, 3), WATER)
    centres = rng.uniform(0.15, 0.85, (villages, 2)) * shape
    centres = centres[centres[:, 0].argsort()]
    road = _roads(rng, shape, centres)
    _paint(colour, truth, road, _flat((184, 180, 172), rng, shape, 6), ROAD)
    for centre in centres:
        _village(rng, colour, truth, centre)
    light = 1 + 0.05 * _smooth_noise(rng, shape, 60)
    seen = ndimage.gaussian_filter(colour * light[..., None], (0.7, 0.7, 0)) + rng.normal(0, 4, (*shape, 3))
    return Drawing(np.clip(np.rint(seen), 0, 255).astype(np.uint8), truth)


def _field_colours(rng: np.random.Generator, shape: Shape) -> Plane:
    """Fields as cells around random points, each with its crop and its furrows."""
    n = max(4, shape[0] * shape[1] // 7000)
    points = rng.uniform(0, 1, (n, 2)) * shape
    rows, columns = np.indices(shape, dtype=float)
    turn = rng.uniform(0, np.pi)
    across, along = _turned(rows, columns, turn)
    px, py = _turned(points[:, 0], points[:, 1], turn)
    distance = np.abs(across[..., None] - px) + 1.6 * np.abs(along[..., None] - py)
    cell = distance.argmin(-1)
    crops = np.array(_FIELDS)[rng.integers(0, len(_FIELDS), n)] + rng.normal(0, 5, (n, 1))
    furrows = rng.uniform(0, 7, n)[cell] * np.sin(along * (2 * np.pi / rng.uniform(3.5, 7, n)[cell]))
    patchy = 5 * _smooth_noise(rng, shape, 6)
    return np.asarray(crops[cell] + (furrows + patchy)[..., None], float)


def _turned(rows: Plane, columns: Plane, turn: float) -> tuple[Plane, Plane]:
    return np.cos(turn) * columns + np.sin(turn) * rows, np.cos(turn) * rows - np.sin(turn) * columns


def _forest_colours(rng: np.random.Generator, shape: Shape) -> Plane:
    """Crowns: bright where the sun meets them, dark between."""
    crowns = _smooth_noise(rng, shape, 2.2)
    lit = crowns - np.roll(crowns, (2, 2), (0, 1))
    return np.array((58.0, 88.0, 52.0)) + (11 * crowns + 14 * lit)[..., None]


def _flat(colour: tuple[int, int, int], rng: np.random.Generator, shape: Shape, depth: float) -> Plane:
    return np.array(colour, float) + (depth * _smooth_noise(rng, shape, 5))[..., None]


def _river(rng: np.random.Generator, shape: Shape) -> Bool:
    h, w = shape
    rows, columns = np.indices(shape, dtype=float)
    middle = w * rng.uniform(0.3, 0.7) + rng.uniform(-0.3, 0.3) * (rows - h / 2)
    for wave in (1.3, 0.6):
        middle = middle + 0.07 * w * wave * np.sin(rows * 2 * np.pi / (wave * 0.8 * h) + rng.uniform(0, 6.3))
    half = 13 + 4 * np.sin(rows / 37 + rng.uniform(0, 6.3))
    y, x = rng.uniform(0.1, 0.9, 2) * shape
    lake = np.hypot((rows - y) / rng.uniform(18, 30), (columns - x) / rng.uniform(24, 42)) < 1
    water: Bool = (np.abs(columns - middle) < half) | lake
    return water


def _roads(rng: np.random.Generator, shape: Shape, centres: Plane) -> Bool:
    """Straight roads from village to village and on to the edges."""
    rows, columns = np.indices(shape, dtype=float)
    ends = [(0.0, rng.uniform(0, shape[1])), *map(tuple, centres), (float(shape[0]), rng.uniform(0, shape[1]))]
    road = np.zeros(shape, bool)
    for (y0, x0), (y1, x1) in pairwise(ends):
        length = max(float(np.hypot(y1 - y0, x1 - x0)), 1.0)
        along = np.clip(((rows - y0) * (y1 - y0) + (columns - x0) * (x1 - x0)) / length**2, 0, 1)
        road |= np.hypot(rows - y0 - along * (y1 - y0), columns - x0 - along * (x1 - x0)) < 4
    return road


def _village(rng: np.random.Generator, colour: Plane, truth: Labels, centre: Plane) -> None:
    """Houses on free ground around a centre, two-sided roofs, shadows to the lower right."""
    taken = ndimage.binary_dilation(np.isin(truth, (ROAD, WATER, ROOF)), iterations=3)
    rows, columns = np.indices(truth.shape, dtype=float)
    for _ in range(44):
        y, x = centre + rng.normal(0, 34, 2)
        turn, half = rng.choice((0.3, 0.3 + np.pi / 2)), rng.uniform((7, 5), (13, 8))
        across, along = _turned(rows - y, columns - x, turn)
        house = (np.abs(across) < half[0]) & (np.abs(along) < half[1])
        if not house.any() or (house & taken).any():
            continue
        shadow = np.roll(house, (3, 3), (0, 1)) & ~house
        colour[shadow] *= 0.62
        tile = np.array(_ROOFS[rng.integers(len(_ROOFS))]) * rng.uniform(0.9, 1.1)
        colour[house] = tile * np.where(along[house] < 0, 1.12, 0.86)[:, None]
        truth[house] = ROOF
        taken |= ndimage.binary_dilation(house, iterations=4)


def _paint(colour: Plane, truth: Labels, where: Bool, paint: Plane, class_id: int) -> None:
    colour[where], truth[where] = paint[where], class_id


def _smooth_noise(rng: np.random.Generator, shape: Shape, sigma: float) -> Plane:
    """Noise without detail finer than ``sigma``, mean 0, deviation 1."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std(), float)
