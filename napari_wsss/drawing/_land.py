"""Land from above: fields, circles of irrigation, waters, regions of land cover, roads and tree crowns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.drawing._easel import Easel, Window, compact, smooth_line, stroke
from napari_wsss.drawing._grain import Colour, Rng, Shape, between, blend, cloud, noise, pick, slope, stripes, vary
from napari_wsss.drawing._growth import CAR_COLOURS, GRASSES, LEAVES, PAVINGS, SOILS, car, ground, plant, soil
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float, Labels

CROPS = (*GRASSES, (0.66, 0.58, 0.38), (0.56, 0.44, 0.33), (0.75, 0.68, 0.50), (0.26, 0.40, 0.22), (0.45, 0.40, 0.36))
WATERS = (
    (0.06, 0.09, 0.11),
    (0.10, 0.20, 0.22),
    (0.14, 0.28, 0.20),
    (0.30, 0.32, 0.26),
    (0.16, 0.30, 0.42),
    (0.03, 0.04, 0.05),
    (0.42, 0.50, 0.50),
)
_CROSS = np.ones((3, 3), bool)


# --------------------------------------------------------------------------- parcels


def _parcels(rng: Rng, shape: Shape, size: float) -> NDArray[np.int32]:
    """Parcels as a map of numbers: bent Voronoi cells, or strips of unequal widths cut across."""
    h, w = shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    bend = np.float32(size * rng.choice([0.0, 0.05, 0.2]))
    if bend > 0:
        y, x = y + bend * noise(rng, shape, size), x + bend * noise(rng, shape, size)
    angle, squeeze = rng.uniform(0, np.pi), between(rng, 1, 5)
    u = (x * np.cos(angle) + y * np.sin(angle)) / np.float32(squeeze)
    v = y * np.cos(angle) - x * np.sin(angle)
    if rng.random() < 0.4:
        return _nearest(rng, u, v, size)
    reach = float(max(h, w)) * 1.5
    cuts = np.cumsum(rng.uniform(0.4, 1.6, int(3 * reach / size) + 4) * size) - reach
    row = np.searchsorted(cuts, v).astype(np.int32)
    shift = rng.uniform(0, size * 3, len(cuts) + 1).astype(np.float32)
    along = rng.uniform(0.5, 2.5, len(cuts) + 1).astype(np.float32) * np.float32(size)
    column = np.floor((u + shift[row] / np.float32(squeeze)) / along[row])
    return np.asarray(row * 1000 + column + 500, np.int32)


def _nearest(rng: Rng, u: Float, v: Float, size: float) -> NDArray[np.int32]:
    """Number of the nearest of random places, by blocks of a jittered grid."""
    gu, gv = np.floor(u / size).astype(np.int32), np.floor(v / size).astype(np.int32)
    gu, gv = gu - gu.min() + 1, gv - gv.min() + 1
    du, dv = u / np.float32(size), v / np.float32(size)
    du, dv = du - np.float32(np.floor(du.min())) + 1, dv - np.float32(np.floor(dv.min())) + 1
    jitter = rng.uniform(0, 1, (2, gv.max() + 3, gu.max() + 3)).astype(np.float32)
    best, number = np.full(u.shape, np.inf, np.float32), np.zeros(u.shape, np.int32)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            a, b = gv + i, gu + j
            far = (a + jitter[0][a, b] - dv) ** 2 + (b + jitter[1][a, b] - du) ** 2
            number = np.where(far < best, a * 5000 + b, number)
            best = np.minimum(best, far)
    return number


def fields(rng: Rng, shape: Shape) -> Scene:
    """Parcels with crops, bare soil and furrows; neighbours may be alike but for a track or the furrows' direction."""
    size = between(rng, 14, 130)
    _, flat = np.unique(_parcels(rng, shape, size), return_inverse=True)
    ids = flat.reshape(shape).astype(np.int32)
    base = pick(rng, CROPS)
    spread, alike = between(rng, 0.04, 0.25), rng.random() < 0.3
    easel = Easel(soil(rng, shape, base))
    boxes = ndimage.find_objects(ids + 1)
    for number, box in enumerate(boxes):
        where = Window(box[0].start, box[0].stop, box[1].start, box[1].stop)
        share = (ids[box] == number).astype(np.float32)
        tone = vary(rng, base, spread) if alike or rng.random() < 0.3 else pick(rng, CROPS, 0.06)
        easel.thing(where, share, _crop(rng, where.shape, tone, size))
    _borders(rng, easel, ids, size, must=alike)
    _scatter(rng, easel, size)
    easel.soften(rng)
    return easel.scene()


def _crop(rng: Rng, shape: Shape, base: Colour, size: float) -> Float:
    light = 1 + np.float32(between(rng, 0.02, 0.12)) * cloud(rng, shape, between(rng, 3, size), 4, 0.7)
    if rng.random() < 0.6:
        light += np.float32(between(rng, 0.02, 0.18)) * stripes(
            rng, shape, between(rng, 2.2, max(3, size / 5)), rng.uniform(0, 3.14), 0.05
        )
    light += np.float32(rng.uniform(0.0, 0.08)) * noise(rng, shape, 1.0)
    return np.clip(base * light[..., None], 0, 1).astype(np.float32)


def _borders(rng: Rng, easel: Easel, ids: NDArray[np.int32], size: float, must: bool) -> None:
    """Tracks, ditches or hedges between parcels; they belong to none."""
    if not must and rng.random() < 0.4:
        return
    line = np.zeros(ids.shape, bool)
    line[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    line[1:] |= ids[1:] != ids[:-1]
    width = rng.uniform(0.7, min(5.0, 1 + size / 12))
    away = ndimage.distance_transform_edt(~line).astype(np.float32)
    tone = pick(rng, LEAVES if rng.random() < 0.4 else SOILS, 0.08)
    uneven = 1 + np.float32(0.2) * noise(rng, ids.shape, 3.0)
    easel.cover(easel.whole(), np.clip(width - away + 0.5, 0, 1), tone * uneven[..., None])


def _scatter(rng: Rng, easel: Easel, size: float) -> None:
    """A few single trees."""
    leaf, sun = pick(rng, LEAVES), rng.uniform(0, 6.28)
    for _ in range(int(rng.choice([0, 0, 2, 6]))):
        y, x = rng.uniform(0, 1, 2) * easel.shape
        plant(rng, easel, y, x, np.clip(size * rng.uniform(0.05, 0.3), 3, 20), sun, vary(rng, leaf, 0.04))


def pivots(rng: Rng, shape: Shape) -> Scene:
    """Circles watered by a turning arm, with sectors, on drier land."""
    size = between(rng, 14, 80)
    easel = Easel(ground(rng, shape))
    pitch = size * rng.uniform(2.02, 3.0)
    offset = rng.uniform(0, np.minimum(pitch, shape))
    for y in np.arange(-pitch, shape[0] + pitch, pitch) + offset[0]:
        for x in np.arange(-pitch, shape[1] + pitch, pitch) + offset[1]:
            radius, first = size * rng.uniform(0.7, 1.0), (y, x) == tuple(offset)
            where = easel.window(y, x, radius + 1) if first or rng.random() < 0.85 else None
            if where is None:
                continue
            rows, cols = where.grid()
            away, turn = np.hypot(rows - y, cols - x), np.arctan2(rows - y, cols - x)
            tone = _crop(rng, where.shape, pick(rng, CROPS, 0.06), size)
            rings = 1 + np.float32(rng.uniform(0, 0.1)) * np.sin(away * np.float32(6.28 / between(rng, 2.5, size / 3)))
            start = rng.uniform(-3, 2)
            sector = (turn > start) & (turn < start + rng.uniform(0.5, 3))
            tone = tone * (rings * (1 + np.float32(rng.normal(0, 0.15)) * sector))[..., None]
            easel.thing(where, np.clip(radius - away + 0.5, 0, 1).astype(np.float32), tone)
    easel.soften(rng)
    return easel.scene()


# --------------------------------------------------------------------------- water and regions


def _water(rng: Rng, shape: Shape, depth: Float) -> Float:
    """Water darker where it is deeper (pixels from the shore), with ripples and glints."""
    base = pick(rng, WATERS, 0.04)
    shallow = np.exp(-depth / np.float32(between(rng, 2, 30)))[..., None] * np.float32(rng.uniform(0, 0.5))
    ripple = cloud(rng, shape, between(rng, 2, 12), 2, 0.6, rng.uniform(0, 3.14), between(rng, 1, 5))
    light = 1 + np.float32(between(rng, 0.01, 0.25)) * ripple + np.float32(0.15) * cloud(rng, shape, 60, 2)
    glint = np.clip(ripple - np.float32(rng.choice([2.0, 3.0, 5.0])), 0, 1)[..., None] * np.float32(0.4)
    return np.asarray(base * light[..., None] * (1 - shallow) + pick(rng, SOILS) * shallow + glint, np.float32)


def waters(rng: Rng, shape: Shape) -> Scene:
    """A coast, lakes, islands or a river; every water and every piece of land is an object."""
    kind = rng.random()
    easel = Easel(soil(rng, shape) if rng.random() < 0.7 else ground(rng, shape))
    if kind < 0.4:
        width = between(rng, 5, 60)
        wet = stroke(easel.whole(), _course(rng, shape, int(rng.integers(3, 7))), width) + 0.05 * cloud(
            rng, shape, width, 3
        )
    elif kind < 0.7:
        wet = slope(shape, rng.uniform(0, 6.28)) / np.float32(between(rng, 20, 90)) + 0.5 * cloud(
            rng, shape, 70, 5, 0.5
        )
        wet = wet - np.float32(rng.uniform(-1, 1)) + 0.5
    else:
        wet = (
            cloud(rng, shape, between(rng, 25, 120), 4, rng.uniform(0.2, 0.5))
            - np.float32(rng.uniform(-0.6, 1.0))
            + 0.5
        )
    mask = wet > 0.5
    mask = ndimage.binary_opening(mask, _CROSS, iterations=1)
    depth = ndimage.distance_transform_edt(mask).astype(np.float32)
    inland = ndimage.distance_transform_edt(~mask).astype(np.float32)
    shore = np.exp(-inland / np.float32(between(rng, 1, 8)))
    if rng.random() < 0.6:
        easel.tint(easel.whole(), shore * np.float32(rng.uniform(0.2, 0.8)), pick(rng, SOILS))
    soft = np.clip((depth - inland) * 0.5 + 0.5, 0, 1).astype(np.float32)
    easel.tint(easel.whole(), soft, _water(rng, shape, depth))
    if rng.random() < 0.3:
        foam = np.exp(-((depth - 1.5) ** 2) / 4) * mask * np.clip(0.7 + 0.5 * noise(rng, shape, 6), 0, 1)
        easel.tint(easel.whole(), foam.astype(np.float32) * 0.7, np.array([0.9, 0.92, 0.92], np.float32))
    _name_regions(easel, mask.astype(np.int32))
    if rng.random() < 0.4:
        _boats(rng, easel, mask)
    easel.soften(rng)
    return easel.scene(40)


def _boats(rng: Rng, easel: Easel, mask: NDArray[np.bool_]) -> None:
    """A few hulls on the water."""
    for _ in range(int(rng.integers(1, 6))):
        y, x = (rng.uniform(0, 1, 2) * easel.shape).astype(int)
        where = easel.window(y, x, 20) if mask[y, x] else None
        if where is None:
            continue
        long, angle = between(rng, 5, 16), rng.uniform(0, 3.14)
        rows, cols = where.grid()
        u, v = (
            (cols - x) * np.cos(angle) + (rows - y) * np.sin(angle),
            (rows - y) * np.cos(angle) - (cols - x) * np.sin(angle),
        )
        share = np.clip((1 - (u / long) ** 2 - (v / (long * 0.35)) ** 2) * long * 0.4 + 0.5, 0, 1)
        easel.thing(where, share.astype(np.float32), pick(rng, CAR_COLOURS))


def _name_regions(easel: Easel, classes: NDArray[np.int32], least: int = 60) -> None:
    """Every connected piece of every class becomes an object of the first map."""
    for value in np.unique(classes):
        parts, count = ndimage.label(classes == value)
        sizes = np.bincount(parts.ravel())
        for number, box in enumerate(ndimage.find_objects(parts, count), 1):
            if sizes[number] >= least:
                where = Window(box[0].start, box[0].stop, box[1].start, box[1].stop)
                easel.claim(where, (parts[box] == number).astype(np.float32))


def zones(rng: Rng, shape: Shape) -> Scene:
    """Land cover in patches: two to five classes with textures of their own, borders sharp or ragged."""
    count = int(rng.integers(2, 6))
    size = between(rng, 25, 140)
    classes = _classes(rng, shape, count, size)
    area = np.zeros((*shape, 3), np.float32)
    for value in range(count):
        inside = (classes == value).astype(np.float32)
        if rng.random() < 0.3:
            inside = ndimage.gaussian_filter(inside, rng.uniform(0.3, 1.2))
        area = blend(area, _cover(rng, shape, size), inside)
    easel = Easel(area)
    _name_regions(easel, classes, 80)
    if rng.random() < 0.3:
        where = easel.whole()
        width = between(rng, 2, 14)
        share = stroke(where, _course(rng, shape, 3), width)
        easel.thing(where, share, soil(rng, shape, pick(rng, PAVINGS)))
    easel.soften(rng)
    return easel.scene(60)


def _classes(rng: Rng, shape: Shape, count: int, size: float) -> NDArray[np.int32]:
    """A class for every pixel: the highest of some hills, or parcels that share classes."""
    if rng.random() < 0.4:
        _, flat = np.unique(_parcels(rng, shape, size), return_inverse=True)
        return rng.integers(0, count, int(flat.max()) + 1).astype(np.int32)[flat.reshape(shape)]
    rough = rng.uniform(0.25, 0.6)
    heights = np.stack([cloud(rng, shape, size, 4, rough) for _ in range(count)])
    return np.asarray(ndimage.median_filter(heights.argmax(0).astype(np.uint8), 5), np.int32)


def _cover(rng: Rng, shape: Shape, size: float) -> Float:
    """One kind of land: ground, wood, water or crop."""
    kind = rng.random()
    if kind < 0.4:
        return soil(rng, shape)
    if kind < 0.6:
        return _wood(rng, shape, between(rng, 2, 10))
    if kind < 0.8:
        return _crop(rng, shape, pick(rng, CROPS, 0.08), size)
    return _water(rng, shape, np.full(shape, 30, np.float32))


def _wood(rng: Rng, shape: Shape, clump: float) -> Float:
    """A wood seen from far: dark tufts lit from one side."""
    tufts = cloud(rng, shape, clump, 3, 0.7)
    lit = tufts - np.roll(tufts, (1, 1), (0, 1))
    light = 1 + np.float32(0.25) * tufts + np.float32(0.4) * lit
    return np.asarray(np.clip(pick(rng, LEAVES, 0.05) * np.clip(light, 0.2, 2)[..., None], 0, 1), np.float32)


# --------------------------------------------------------------------------- lines and crowns


def _course(rng: Rng, shape: Shape, bends: int) -> Float:
    """A bent line from border to border, (n, 2)."""
    h, w = shape
    angle, reach = rng.uniform(0, 6.28), np.hypot(h, w) * 0.7
    along = np.linspace(-reach, reach, bends)
    aside = rng.normal(0, rng.choice([0.01, 0.12]) * reach, bends)
    y = h / 2 + rng.normal(0, h / 6) + along * np.sin(angle) + aside * np.cos(angle)
    x = w / 2 + rng.normal(0, w / 6) + along * np.cos(angle) - aside * np.sin(angle)
    return smooth_line(np.stack([y, x], 1).astype(np.float32))


def roads(rng: Rng, shape: Shape) -> Scene:
    """A net of roads with markings and cars; the net is an object, the blocks between are others, cars lie above."""
    easel, width = Easel(ground(rng, shape), levels=2), between(rng, 4, 34)
    where = easel.whole()
    net, marks = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        course, wide = _course(rng, shape, 4), width * rng.uniform(0.5, 1.0)
        net = np.maximum(net, stroke(where, course, wide))
        if wide > 8 and rng.random() < 0.7:
            marks = np.maximum(marks, stroke(where, course, rng.choice([0.7, 1.3])))
    if rng.random() < 0.3:
        net = np.maximum(net, _ring(rng, where, width))
    for block in _blocks(net):
        if rng.random() < 0.85:
            easel.tint(where, block.astype(np.float32), soil(rng, shape))
    verge = np.clip(ndimage.grey_dilation(net, 5) - net, 0, 1)
    easel.tint(where, verge * np.float32(rng.uniform(0, 0.9)), pick(rng, SOILS + PAVINGS))
    easel.tint(where, net, soil(rng, shape, pick(rng, PAVINGS + SOILS[:2], 0.05)))
    _name_regions(easel, (net > 0.5).astype(np.int32), 60)
    dash = np.clip(2 * stripes(rng, shape, between(rng, 8, 30), rng.uniform(0, 3.14)) + rng.choice([0, 2]), 0, 1)
    easel.tint(where, marks * dash, np.array([0.9, 0.9, 0.85], np.float32))
    _drive(rng, easel, net, width)
    _scatter(rng, easel, 40)
    easel.soften(rng)
    return easel.scene(40)


def _ring(rng: Rng, where: Window, width: float) -> Float:
    """A roundabout."""
    y, x = rng.uniform(0.2, 0.8, 2) * where.shape
    rows, cols = where.grid()
    away = np.abs(np.hypot(rows - y, cols - x) - width * rng.uniform(1.5, 3))
    return np.asarray(np.clip(width / 2 - away + 0.5, 0, 1), np.float32)


def _blocks(net: Float) -> list[NDArray[np.bool_]]:
    parts, count = ndimage.label(net < 0.5)
    return [parts == k for k in range(1, min(count, 5) + 1)]


def _drive(rng: Rng, easel: Easel, net: Float, width: float) -> None:
    """Cars on the road, in the map above it."""
    if width < 10:
        return
    for _ in range(int(rng.integers(0, 10))):
        y, x = rng.uniform(0, 1, 2) * easel.shape
        if net[int(y), int(x)] > 0.9:
            car(rng, easel, y, x, np.clip(width * 0.45, 7, 40), rng.uniform(0, 3.14), 1.0, level=1)


def crowns(rng: Rng, shape: Shape) -> Scene:
    """Trees alone, in rows or closed to a wood: every crown is an object, a closed patch another in the second map."""
    size = between(rng, 4.5, 55)
    easel, sun, leaf = Easel(ground(rng, shape)), rng.uniform(0, 6.28), pick(rng, LEAVES, 0.05)
    dense, spread = rng.uniform(0.2, 1.3), between(rng, 0.02, 0.1)
    count = int(np.clip(dense * shape[0] * shape[1] / (size * size * 3), 3, 70))
    where_dense = cloud(rng, shape, 90, 2) + np.float32(rng.uniform(-0.5, 2))
    for _ in range(count):
        y, x = rng.uniform(0, 1, 2) * easel.shape
        if where_dense[int(y), int(x)] > 0:
            plant(rng, easel, y, x, size * rng.uniform(0.55, 1.2), sun, vary(rng, leaf, spread))
    middle = rng.uniform(0.3, 0.7, 2) * shape
    plant(rng, easel, middle[0], middle[1], size, sun, leaf)
    easel.soften(rng)
    scene = easel.scene()
    return Scene(scene.picture, (*scene.objects, _stands(scene.objects[0])))


def _stands(ids: Labels) -> Labels:
    """Closed patches of crowns that hold more than one."""
    parts, _ = ndimage.label(ndimage.binary_closing(ids > 0, _CROSS, iterations=2) | (ids > 0))
    parts[ids == 0] = 0
    pairs = np.unique(np.stack([parts[ids > 0], ids[ids > 0]]), axis=1)[0]
    several = np.bincount(pairs, minlength=int(parts.max()) + 1) > 1
    several[0] = False
    return compact((parts * several[parts]).astype(np.uint16), 100)
