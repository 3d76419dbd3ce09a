"""Drawn electron micrographs: processes between dark membranes, mitochondria, vesicles, synapses, whole cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from napari_wsss.drawing._blobs import Crowd, Form, Patch, Tiling, blob, over, tidy, tile
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, fibres, grain, log_uniform, steps, white
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Bool, Float


@dataclass(frozen=True, slots=True)
class _Grey:
    """Grey levels of a micrograph, 0 black, and the widths in px that its magnification gives."""

    pale: float
    membrane: float
    matrix: float
    glia: float
    line: float
    noise: float
    noise_size: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: float) -> _Grey:
        pale = rng.uniform(0.5, 0.85)
        membrane = pale * rng.uniform(0.15, 0.55)
        return cls(
            pale=pale,
            membrane=membrane,
            matrix=membrane + (pale - membrane) * rng.uniform(0.1, 0.6),
            glia=membrane + (pale - membrane) * rng.uniform(0.2, 0.9),
            line=float(np.clip(size * rng.uniform(0.015, 0.05), 0.7, 5)),
            noise=rng.choice([0.02, 0.06, 0.1]),
            noise_size=rng.uniform(0.4, 1.0),
        )


def neuropil(rng: np.random.Generator, shape: Shape) -> Scene:
    """Nerve tissue cut thin: map 1 whole processes, map 2 mitochondria (and nothing else)."""
    size = min(log_uniform(rng, 24, 180), 0.8 * min(shape))
    grey, tiling = _Grey.drawn(rng, size), _processes(rng, shape, size)
    line = grey.line * (1 + 0.25 * grain(rng, shape, 0.3 * size))
    gap = rng.uniform(0.5, 3.0) * grey.line if chance(rng, 0.6) else 1e3
    between = tiling.own < -gap
    inside = (tiling.border > line) & ~between & (tiling.owner > 0)
    picture = _cytoplasm(rng, shape, grey, tiling, size)
    picture += _grains(rng, shape, grey, tiling, size)
    edge = np.minimum(tiling.border, np.abs(tiling.own + gap))
    picture = np.where(between, grey.glia * (1 + 0.12 * clouds(rng, shape, 4 * grey.line)), picture)
    dark = np.exp(-((edge / line) ** 2) * 1.2) * steps(grain(rng, shape, 0.4 * size), -1.6, 1.5)
    picture = picture + dark * (grey.membrane - picture)
    picture = _synapses(rng, picture, edge, grey, size)
    organelles = Crowd(shape)
    _fill(rng, picture, np.where(inside, tiling.owner, 0), organelles, grey, size)
    processes = tidy(np.where(inside, tiling.owner, 0), 24)
    return Scene(_finished(rng, picture, grey), (processes, organelles.labels()))


def _processes(rng: np.random.Generator, shape: Shape, size: float) -> Tiling:
    """Bodies of very different size pressed against each other, round or drawn out, with wavy borders."""
    h, w = shape
    wave = size * rng.uniform(0.02, 0.2)
    y, x = (np.asarray(a, np.float32) for a in np.indices(shape))
    grid = (y + wave * clouds(rng, shape, 0.35 * size, 0.5, 3), x + wave * clouds(rng, shape, 0.35 * size, 0.5, 3))
    spread, stretch = rng.uniform(0.25, 0.75), rng.uniform(1.3, 6)
    count = int(np.clip(2.2 * h * w / (0.6 * size * size), 8, 140))
    radii = np.sort(np.clip(0.42 * size * np.exp(rng.normal(0, spread, count)), 4, 1.2 * size))[::-1]
    taken, patches = np.full((count, 3), -1e6), list[Patch]()
    for radius in radii:
        for _ in range(8):
            spot = rng.uniform((-0.2 * size, -0.2 * size), (h + 0.2 * size, w + 0.2 * size))
            n = len(patches)
            near = np.hypot(*(taken[:n, :2] - spot).T) < 0.8 * (taken[:n, 2] + radius)
            if not near.any():
                break
        else:
            continue
        taken[n] = *spot, radius
        long = rng.uniform(1, stretch) ** 0.5
        form = Form(radius * long, radius / long, rng.uniform(0, np.pi), 0.1)
        patches.append(blob(rng, shape, (float(spot[0]), float(spot[1])), form, 0.7 * size + 3 * wave, grid))
    return tile(shape, patches)


def _cytoplasm(rng: np.random.Generator, shape: Shape, grey: _Grey, tiling: Tiling, size: float) -> Float:
    levels = grey.pale * (1 + rng.choice([0.02, 0.06, 0.15]) * rng.normal(0, 1, int(tiling.owner.max()) + 1))
    levels = levels * np.where(rng.random(len(levels)) < rng.choice([0.0, 0.15]), 0.72, 1.0)
    texture = np.float32(rng.uniform(0.01, 0.05)) * clouds(rng, shape, max(2.0, 0.1 * size), 0.9, 4)
    texture += np.float32(0.03) * grain(rng, shape, 0.5 * size)
    return np.asarray(np.clip(levels, 0.35, 0.95).astype(np.float32)[tiling.owner] + texture, np.float32)


def _grains(rng: np.random.Generator, shape: Shape, grey: _Grey, tiling: Tiling, size: float) -> Float:
    """Vesicles (rings) and dark dots, dense in some processes and absent in others; to be added."""
    total = np.zeros(shape, np.float32)
    scale = float(np.clip(size * rng.uniform(0.015, 0.045), 1.2, 6))
    for ring in (True, False):
        dense = np.maximum(rng.normal(-0.3, 1, int(tiling.owner.max()) + 1), 0)[tiling.owner]
        dense = dense * np.maximum(1 + grain(rng, shape, 0.3 * size), 0) * (tiling.border > 1.5 * scale + grey.line)
        seeds = rng.random(shape, dtype=np.float32) < np.minimum(dense * 0.09 / scale**2, 0.3 / scale**2)
        reach = int(2.5 * scale) + 1
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        far = np.hypot(y, x)
        if ring:
            kernel = -np.exp(-(((far - scale) / (0.35 * scale + 0.3)) ** 2)) + 0.25 * (far < 0.6 * scale)
        else:
            kernel = -np.exp(-((far / (0.6 * scale)) ** 2))
        strength = rng.uniform(0.1, 0.5) * (grey.pale - grey.membrane)
        stamped = signal.fftconvolve(seeds * rng.uniform(0.5, 1.2, shape).astype(np.float32), kernel, mode="same")
        total += strength * np.clip(stamped, -1.2, 0.4).astype(np.float32)
    return total


def _synapses(rng: np.random.Generator, picture: Float, edge: Float, grey: _Grey, size: float) -> Float:
    """Dark smears on membranes and, at times, membranes cut aslant."""
    shape = (picture.shape[0], picture.shape[1])
    smear = steps(grain(rng, shape, size * rng.uniform(0.06, 0.15)), rng.uniform(1.5, 2.4), 0.8)
    reach = size * rng.uniform(0.03, 0.1) + grey.line
    weight = smear * np.exp(-((edge / reach) ** 2)) * np.float32(rng.uniform(0.3, 0.9))
    aslant = np.float32(rng.choice([0.0, 0.35])) * steps(grain(rng, shape, 0.35 * size), 1.2, 0.8)
    weight = np.maximum(weight, aslant * np.exp(-((edge / (3 * grey.line + 0.05 * size)) ** 2)))
    return np.asarray(picture + weight * (0.8 * grey.membrane - picture), np.float32)


def _fill(
    rng: np.random.Generator, picture: Float, room: NDArray[np.integer], crowd: Crowd, grey: _Grey, size: float
) -> None:
    """Mitochondria where a process (ids in `room`) is wide enough for them, painted in place."""
    shape = (picture.shape[0], picture.shape[1])
    wide = size * rng.uniform(0.12, 0.4)
    style = _Crista.drawn(rng, shape, grey, wide)
    spots = np.argwhere(room > 0)
    if not len(spots):
        return
    stretch = rng.uniform(1.1, 4)
    for y, x in spots[rng.integers(len(spots), size=int(rng.integers(30, 180)))]:
        short = float(np.clip(wide * np.exp(rng.normal(0, 0.35)), 3.5, 0.45 * min(shape)))
        form = Form(short * rng.uniform(1, stretch), short, rng.uniform(0, np.pi), 0.06, 2.0, rng.uniform(-0.25, 0.25))
        if not _wide_enough(room, y, x, short):
            continue
        patch = blob(rng, shape, (float(y), float(x)), form, 2)
        own = room[patch.window] == room[y, x]
        if np.count_nonzero(own & patch.inside) < 0.97 * np.count_nonzero(patch.inside):
            continue
        if crowd.settle(Patch(patch.window, np.where(own, patch.rho, 2).astype(np.float32), short, patch.centre), 0, 2):
            style.paint(rng, picture, patch, own, form.turn)


def _wide_enough(room: NDArray[np.integer], y: int, x: int, radius: float) -> bool:
    """Whether the same process is found a radius away on all four sides (or the picture ends there)."""
    (h, w), away = room.shape, int(radius)
    sides = ((max(y - away, 0), x), (min(y + away, h - 1), x), (y, max(x - away, 0)), (y, min(x + away, w - 1)))
    return all(room[side] == room[y, x] for side in sides)


@dataclass(frozen=True, eq=False, slots=True)
class _Crista:
    """How the mitochondria of a micrograph look inside."""

    grey: _Grey
    bend: Float
    period: float
    contrast: float
    membrane: float
    kind: int
    light: bool
    crumbs: Float

    @classmethod
    def drawn(cls, rng: np.random.Generator, shape: Shape, grey: _Grey, wide: float) -> _Crista:
        period = float(np.clip(wide * rng.uniform(0.15, 0.6), 2.5, 14))
        return cls(
            grey=grey,
            bend=np.float32(rng.uniform(0.2, 0.8) * period) * clouds(rng, shape, 2.5 * period, 0.6, 3),
            period=period,
            contrast=rng.uniform(0.1, 0.9) * rng.choice([1.0, -0.6], p=[0.75, 0.25]),
            membrane=float(np.clip(0.09 * wide, 0.7, 3.5)),
            kind=int(rng.integers(4)),
            light=chance(rng, 0.3),
            crumbs=np.float32(rng.uniform(0.01, 0.07)) * clouds(rng, shape, max(1.2, 0.15 * wide), 0.8, 3),
        )

    def paint(self, rng: np.random.Generator, picture: Float, patch: Patch, own: Bool, turn: float) -> None:
        w, grey = patch.window, self.grey
        heading = turn + (np.pi / 2 if self.kind == 0 else rng.uniform(0, np.pi))
        phase = patch.depth if self.kind == 2 else patch.along(heading) + (self.bend[w] if self.kind < 3 else 0)
        wave = np.sin(2 * np.pi * (phase + self.bend[w]) / self.period)
        pale = grey.matrix + (grey.pale - grey.matrix) * self.contrast
        bright = np.clip(wave * 1.5 - rng.uniform(0.1, 0.8), 0, 1) * steps(self.bend[w] / self.period, -0.1, 0.4)
        body = grey.matrix + (pale - grey.matrix) * bright * np.clip((patch.depth - 2 * self.membrane) / 2, 0, 1)
        body = body + rng.normal(0, 0.03) + self.crumbs[w]
        line = np.exp(-(((patch.depth - self.membrane) / self.membrane) ** 2))
        inner = 0.5 * np.exp(-(((patch.depth - 3.2 * self.membrane) / (0.7 * self.membrane)) ** 2))
        lean = body + line * (grey.membrane - body) + (inner * (pale - body) if self.light else 0)
        over(picture, patch, patch.cover(1.2) * own, np.asarray(lean, np.float32))


def whole_cell(rng: np.random.Generator, shape: Shape) -> Scene:
    """Cells full of organelles: map 1 nuclei and cells' lumps, map 2 mitochondria, droplets and vacuoles."""
    size = min(log_uniform(rng, 40, 200), min(shape))
    grey = _Grey.drawn(rng, 0.6 * size)
    picture = np.full(shape, grey.pale, np.float32) * (1 + 0.05 * clouds(rng, shape, 0.1 * size, 0.8))
    sheets = fibres(rng, shape, max(2.0, size * rng.uniform(0.02, 0.05)), size, 0.15 * size)
    where = steps(grain(rng, shape, 0.3 * size), rng.uniform(-0.5, 1.0), 0.8)
    picture -= where * steps(sheets, 0.5, 0.6) * np.float32(rng.uniform(0.2, 0.8) * (grey.pale - grey.membrane))
    large, small = Crowd(shape), Crowd(shape)
    for _ in range(int(rng.integers(0, 4))):
        spot = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
        radius = size * rng.uniform(0.25, 0.5)
        patch = blob(rng, shape, spot, Form(radius * rng.uniform(1, 1.5), radius, rng.uniform(0, 3.1), 0.08))
        if large.settle(patch, 0, 2):
            _nucleus(rng, picture, patch, grey)
    room = np.where(large.ids > 0, 0, 1)
    _fill(rng, picture, room, small, grey, size * rng.uniform(0.4, 1.0))
    _droplets(rng, picture, room, small, grey, size)
    return Scene(_finished(rng, picture, grey), (large.labels(), small.labels()))


def _nucleus(rng: np.random.Generator, picture: Float, patch: Patch, grey: _Grey) -> None:
    """A cell's nucleus: clumped chromatin, darkest below the envelope."""
    shape = patch.rho.shape
    clumps = steps(clouds(rng, (shape[0], shape[1]), 0.12 * patch.radius + 1, 0.6, 3), rng.uniform(0, 1), 0.6)
    rim = np.exp(-((patch.depth / (0.12 * patch.radius)) ** 2))
    dark = np.clip(clumps * rng.uniform(0.2, 0.7) + rim * rng.uniform(0.1, 0.8), 0, 1)
    body = grey.pale * rng.uniform(0.8, 1.1) - dark * (grey.pale - grey.membrane) * 0.8
    line = np.exp(-((patch.depth / max(grey.line, 0.8)) ** 2))
    over(picture, patch, patch.cover(1.5), np.asarray(body + line * (grey.membrane - body), np.float32))


def _droplets(
    rng: np.random.Generator, picture: Float, room: NDArray[np.integer], crowd: Crowd, grey: _Grey, size: float
) -> None:
    """Round dark, bright or ringed bodies: fat, lysosomes, vacuoles."""
    shape = (picture.shape[0], picture.shape[1])
    kind, radius = rng.integers(3), size * rng.uniform(0.03, 0.12)
    for _ in range(int(rng.integers(0, 30))):
        spot = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
        short = max(3.0, radius * np.exp(rng.normal(0, 0.4)))
        patch = blob(rng, shape, spot, Form(short * rng.uniform(1, 1.3), short, rng.uniform(0, 3.1), 0.04))
        if not room[patch.window][patch.inside].all() or not crowd.settle(patch, 0, 1):
            continue
        level = (grey.membrane * 0.8, min(1.0, grey.pale * 1.25), grey.pale)[kind] + rng.normal(0, 0.03)
        line = np.exp(-((patch.depth / max(grey.line, 0.8)) ** 2)) * (0.2 if kind == 0 else 0.9)
        over(picture, patch, patch.cover(1.2), np.asarray(level + line * (grey.membrane - level), np.float32))


def _finished(rng: np.random.Generator, picture: Float, grey: _Grey) -> Float:
    """The micrograph with uneven staining and the grain of its film, as three equal channels."""
    shape = (picture.shape[0], picture.shape[1])
    noise = ndimage.gaussian_filter(white(rng, shape), grey.noise_size)
    noise *= np.float32(grey.noise / max(float(noise.std()), 1e-6))
    stained = picture * (1 + np.float32(rng.uniform(0, 0.06)) * grain(rng, shape, 0.3 * max(shape)))
    seen = np.clip(blurred(np.asarray(stained, np.float32), rng.uniform(0.2, 0.9)) + noise, 0, 1)
    return np.repeat(np.asarray(seen, np.float32)[..., None], 3, 2)
