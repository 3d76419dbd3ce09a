"""Drawn stained tissue: light absorbed by dyes in nuclei, fibres and cell bodies; glands, holes, smears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_wsss.drawing._blobs import Breed, Crowd, Form, Patch, blob, how_many, places, tidy
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, fibres, grain, log_uniform, steps
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Bool, Float, Labels

# Absorbance (red, green, blue) of dyes as they look in slides: what marks nuclei, and what marks the rest.
_NUCLEAR = ((0.65, 0.70, 0.29), (0.80, 0.62, 0.20), (0.60, 0.75, 0.10), (0.75, 0.55, 0.45), (0.27, 0.57, 0.78),
            (0.85, 0.45, 0.25), (0.35, 0.80, 0.30), (0.60, 0.60, 0.60), (0.80, 0.30, 0.50))  # fmt: skip
_BODY = ((0.07, 0.90, 0.35), (0.10, 0.60, 0.12), (0.35, 0.42, 0.12), (0.25, 0.55, 0.25), (0.75, 0.45, 0.10),
         (0.20, 0.35, 0.70), (0.70, 0.30, 0.45), (0.35, 0.33, 0.33), (0.65, 0.70, 0.29))  # fmt: skip
_RED_CELL = (0.05, 0.95, 0.75)


@dataclass(frozen=True, eq=False, slots=True)
class _Stain:
    """Dyes of one slide and how its nuclei look."""

    nuclear: Float
    body: Float
    lamp: Float
    strength: float
    coarse: Float
    specks: Float
    rim: float
    soft: float
    uneven: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, shape: Shape, size: float) -> _Stain:
        pick, body = int(rng.integers(len(_NUCLEAR))), int(rng.integers(len(_BODY)))
        if chance(rng, 0.55):  # haematoxylin, alone or with eosin: most slides by far
            pick, body = int(rng.integers(3)), int(rng.integers(3))
        specks = steps(grain(rng, shape, max(0.7, size * rng.uniform(0.025, 0.06))), rng.uniform(0.9, 1.7), 0.6)
        return cls(
            nuclear=_shifted(rng, _NUCLEAR[pick]),
            body=_shifted(rng, _BODY[body]),
            lamp=rng.uniform(0.85, 1.0, 3).astype(np.float32) * np.float32(rng.uniform(0.85, 1.0)),
            strength=log_uniform(rng, 0.45, 2.2),
            coarse=np.float32(rng.uniform(0.05, 0.35))
            * clouds(rng, shape, max(1.2, size * rng.uniform(0.08, 0.2)), 0.8),
            specks=np.float32(rng.uniform(0, 0.9)) * specks,
            rim=rng.uniform(0, 0.6),
            soft=float(np.clip(size * log_uniform(rng, 0.03, 0.15), 0.8, 7)),
            uneven=rng.choice([0.1, 0.25, 0.45]),
        )

    def paint(self, rng: np.random.Generator, dye: Float, patch: Patch, level: float) -> None:
        """Put one nucleus into the nuclear dye (h, w), in place; where two overlap, both absorb a little."""
        w = patch.window
        edge = np.exp(-((patch.depth / max(1.0, 0.12 * patch.radius)) ** 2))
        body = np.maximum(1 + self.coarse[w] + self.specks[w] + self.rim * edge, 0.3) * level
        cover = patch.cover(self.soft * rng.choice([0.7, 1.0, 1.8, 3.5], p=[0.3, 0.4, 0.2, 0.1]))
        mixed = np.maximum(dye[w] * 0.5, 0) * cover
        dye[w] = dye[w] * (1 - cover) + cover * body + 0.5 * mixed

    def picture(self, nuclear: Float, body: Float, extra: Float | None = None) -> Float:
        """What the lamp leaves (Beer and Lambert); `extra` absorbance (h, w, 3) comes on top."""
        absorbed = self.strength * nuclear[..., None] * self.nuclear + body[..., None] * self.body
        if extra is not None:
            absorbed = absorbed + extra
        return np.asarray(np.clip(self.lamp * np.exp(-absorbed), 0, 1), np.float32)


def _shifted(rng: np.random.Generator, dye: Sequence[float]) -> Float:
    return np.asarray(np.clip(np.array(dye) + rng.normal(0, 0.08, 3), 0.02, 1.1), np.float32)


def _stroma(rng: np.random.Generator, shape: Shape, size: float) -> Float:
    """Density of the ground: smooth, cloudy, fibrous, or a mesh."""
    base, kind = log_uniform(rng, 0.1, 0.9), rng.integers(4)
    field = np.float32(rng.uniform(0.02, 0.15)) * clouds(rng, shape, size * rng.uniform(0.3, 2))
    if kind >= 1:
        width, wave = max(1.2, size * log_uniform(rng, 0.04, 0.3)), size * log_uniform(rng, 0.08, 0.8)
        strands = fibres(rng, shape, width, width * rng.uniform(6, 25), wave)
        strands = strands * np.clip(1 + 0.6 * grain(rng, shape, 2 * size), 0, 2)
        field += np.float32(log_uniform(rng, 0.04, 0.3)) * strands
        field += np.float32(rng.uniform(0, 0.12)) * clouds(rng, shape, max(2.0, 0.2 * size), 0.9, 3)
    if kind == 3:
        field += np.float32(rng.uniform(0.1, 0.5)) * np.exp(-((grain(rng, shape, 0.5 * size) / 0.25) ** 2))
    field += np.float32(0.03) * grain(rng, shape, rng.uniform(0.6, 1.5))
    return np.asarray(np.maximum(base * (1 + field), 0.01), np.float32)


def _holes(rng: np.random.Generator, shape: Shape, size: float, share: float) -> Bool:
    """Where the section has torn or a vessel runs; about `share` of the picture."""
    field = clouds(rng, shape, size * log_uniform(rng, 0.6, 3), rng.uniform(0.2, 0.5), 3)
    return np.asarray(field > np.quantile(field[::4, ::4], 1 - share))


def stained_tissue(rng: np.random.Generator, shape: Shape) -> Scene:
    """Nuclei in stroma, with holes, sheets and red cells; map 1 nuclei, map 2 holes and red cells."""
    size = min(log_uniform(rng, 9, 90), 0.5 * min(shape))
    stain, body = _Stain.drawn(rng, shape, size), _stroma(rng, shape, size)
    crowd, nuclear = Crowd(shape), _ghosts(rng, shape, size)
    nuclear += np.float32(rng.choice([0.0, 0.05, 0.15])) * body
    holes = _holes(rng, shape, size, rng.uniform(0.04, 0.3)) if chance(rng, 0.45) else np.zeros(shape, bool)
    extra, discs = _red_cells(rng, shape, size) if chance(rng, 0.2) else (None, np.zeros(shape, np.uint16))
    _hollow(rng, holes, nuclear, body)
    breed = Breed.drawn(rng, size, rng.choice([1.5, 2.5, 5.0]))
    bearable = rng.choice([0.05, 0.2, 0.45])
    for centre in places(rng, shape, max(3, how_many(rng, shape, size, full=2.0)), size):
        patch = blob(rng, shape, centre, breed.form(rng), margin=stain.soft + 2)
        if (holes[patch.window] & patch.inside).any() or (discs[patch.window][patch.inside] > 0).any():
            continue
        if crowd.settle(patch, bearable):
            stain.paint(rng, nuclear, patch, _level(rng, stain))
    parts = ndimage.label(holes)[0]
    others = np.where(discs > 0, discs + np.uint16(parts.max()), parts)
    others[crowd.ids > 0] = 0
    picture = blurred(stain.picture(nuclear, body, extra), rng.uniform(0, 1.0))
    return Scene(picture, (crowd.labels(), tidy(others, 40)))


def _level(rng: np.random.Generator, stain: _Stain) -> float:
    return float(np.clip(np.exp(rng.normal(0, stain.uneven)), 0.35, 2.5))


def _ghosts(rng: np.random.Generator, shape: Shape, size: float) -> Float:
    """Nuclear dye of nuclei out of focus."""
    dye = np.zeros(shape, np.float32)
    if chance(rng, 0.4):
        for _ in range(int(rng.integers(1, 10))):
            spot = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
            patch = blob(rng, shape, spot, Breed.drawn(rng, size).form(rng))
            part = dye[patch.window]
            np.maximum(part, patch.cover(2) * np.float32(rng.uniform(0.1, 0.5)), out=part)
        dye = blurred(dye, size * rng.uniform(0.1, 0.3))
    return dye


def _hollow(rng: np.random.Generator, holes: Bool, nuclear: Float, body: Float) -> None:
    """Take the dyes out of the holes, in place; their edge is often a thin dark line."""
    if not holes.any():
        return
    soft = blurred(holes.astype(np.float32), rng.uniform(0.6, 1.5))
    edge = soft * (1 - soft) * 4
    nuclear *= 1 - soft
    body *= 1 - soft * np.float32(rng.uniform(0.6, 1.0))
    body += np.float32(rng.uniform(0, 0.25)) * edge


def _red_cells(rng: np.random.Generator, shape: Shape, size: float) -> tuple[Float, Labels]:
    """Absorbance (h, w, 3) and ids of red blood cells: discs, pale in the middle."""
    crowd, dye = Crowd(shape), np.zeros(shape, np.float32)
    breed = Breed(size * rng.uniform(0.6, 1.0), 0.08, (1.0, 1.3), 0.05, 2.0, 0.0, None, 0.0)
    pale, strength = rng.uniform(0, 0.7), rng.uniform(0.4, 1.0)
    for centre in places(rng, shape, int(rng.integers(3, 40)), size):
        patch = blob(rng, shape, centre, breed.form(rng))
        if crowd.settle(patch, 0.05):
            part = dye[patch.window]
            np.maximum(part, patch.cover(1.5) * strength * (1 - pale * np.exp(-((patch.rho / 0.5) ** 2))), out=part)
    return np.asarray(dye[..., None] * _shifted(rng, _RED_CELL), np.float32), crowd.ids


def glands(rng: np.random.Generator, shape: Shape) -> Scene:
    """Rings of nuclei around pale lumens in stroma: map 1 nuclei, map 2 glands, map 3 lumens."""
    size = min(log_uniform(rng, 8, 34), 0.15 * min(shape))
    stain, body = _Stain.drawn(rng, shape, size), _stroma(rng, shape, size)
    nuclear, nuclei, whole = _ghosts(rng, shape, size), Crowd(shape), Crowd(shape)
    lumens = np.zeros(shape, np.uint16)
    stretch, pale, inner = rng.uniform(1.0, 2.2), rng.uniform(0.05, 0.8), rng.uniform(0.2, 0.7)
    dense = rng.uniform(0.5, 1.6)
    for centre in places(rng, shape, int(rng.integers(1, 14)), 6 * size):
        radius = size * rng.uniform(1.8, 4.5)
        form = Form(radius * rng.uniform(1, stretch), radius, rng.uniform(0, np.pi), 0.08)
        patch = blob(rng, shape, centre, form)
        if not whole.settle(patch, 0.0, gap=2):
            continue
        w, inside = patch.window, patch.cover(1.5)
        body[w] += inside * (dense * body[w].mean() - body[w])
        hollow = np.clip(0.5 + (inner - patch.rho) * patch.radius / 2, 0, 1)
        body[w] *= 1 - (1 - pale * 0.5) * hollow
        lumens[w][patch.rho < inner] = whole.count
        _line_up(rng, shape, patch, form, (inner, size), stain, nuclear, nuclei)
    breed = Breed.drawn(rng, size, 4.0)
    for centre in places(rng, shape, how_many(rng, shape, size, 60, 0.4), size):
        patch = blob(rng, shape, centre, breed.form(rng), margin=stain.soft + 2)
        if not whole.ids[patch.window][patch.inside].any() and nuclei.settle(patch, 0.1):
            stain.paint(rng, nuclear, patch, _level(rng, stain))
    lumens[nuclei.ids > 0] = 0
    picture = blurred(stain.picture(nuclear, body), rng.uniform(0, 0.9))
    return Scene(picture, (nuclei.labels(), tidy(whole.ids, 60), tidy(lumens, 30)))


def _line_up(
    rng: np.random.Generator, shape: Shape, gland: Patch, form: Form, ring: tuple[float, float], stain: _Stain,
    nuclear: Float, nuclei: Crowd,
) -> None:  # fmt: skip
    """Stand nuclei upright along the wall of a gland whose lumen ends at the share `ring[0]` of its radius."""
    inner, size = ring
    where = rng.uniform(0.5, 0.85) * (1 - inner) + inner
    thin = rng.uniform(1.1, 2.4)
    for angle in np.arange(0, 2 * np.pi, rng.uniform(0.8, 1.3) * size / thin**0.5 / (where * form.long)):
        u, v = where * form.long * np.cos(angle), where * form.short * np.sin(angle)
        cos, sin = np.cos(form.turn), np.sin(form.turn)
        y, x = gland.centre[0] + sin * u + cos * v, gland.centre[1] + cos * u - sin * v
        if not (-size / 2 < y < shape[0] + size / 2 and -size / 2 < x < shape[1] + size / 2):
            continue
        heading = np.arctan2(y - gland.centre[0], x - gland.centre[1]) + rng.normal(0, 0.2)
        middle = 0.45 * size * np.exp(rng.normal(0, 0.12))
        patch = blob(rng, shape, (y, x), Form(middle * thin**0.5, middle / thin**0.5, heading, 0.06), stain.soft + 2)
        if nuclei.settle(patch, 0.3):
            stain.paint(rng, nuclear, patch, _level(rng, stain))


def smear(rng: np.random.Generator, shape: Shape) -> Scene:
    """Loose stained cells on a bright slide: map 1 nuclei, map 2 whole cells (nucleus and pale body)."""
    size = min(log_uniform(rng, 12, 110), 0.6 * min(shape))
    stain = _Stain.drawn(rng, shape, size)
    body = np.full(shape, rng.uniform(0, 0.15), np.float32) * (1 + np.float32(0.3) * clouds(rng, shape, 2 * size))
    nuclear, nuclei, cells = np.zeros(shape, np.float32), Crowd(shape), Crowd(shape)
    breed, share, density = Breed.drawn(rng, size, 1.6), rng.uniform(0.35, 0.8), rng.uniform(0.15, 0.9)
    lobes, wrinkles = rng.choice([1, 1, 2, 4]), np.float32(rng.uniform(0.05, 0.3)) * clouds(rng, shape, 0.15 * size)
    for centre in places(rng, shape, how_many(rng, shape, size, 90), size):
        form = breed.form(rng)
        cell = blob(rng, shape, centre, form)
        if not cells.settle(cell, 0.15):
            continue
        w, cover = cell.window, cell.cover(1.5)
        rim = rng.uniform(0, 0.4) * np.exp(-((cell.depth / 1.5) ** 2))
        body[w] += cover * (density * (1 + wrinkles[w] + rim) - body[w])
        nuclear[w] *= 1 - cover
        nuclei.ids[w][cell.inside] = 0
        _nucleus(rng, shape, cell, form, share, int(lobes), stain, nuclear, nuclei)
    picture = blurred(stain.picture(nuclear, body), rng.uniform(0, 1.0))
    return Scene(picture, (nuclei.labels(), cells.labels()))


def _nucleus(
    rng: np.random.Generator, shape: Shape, cell: Patch, form: Form, share: float, lobes: int, stain: _Stain,
    nuclear: Float, nuclei: Crowd,
) -> None:  # fmt: skip
    """The nucleus of a smeared cell, of one or several lobes that count as one object."""
    level, number = _level(rng, stain), nuclei.count + 1
    for lobe in range(lobes):
        away = 0.0 if lobes == 1 else 0.45 * form.short
        angle = 2 * np.pi * lobe / lobes * rng.uniform(0.6, 0.9)
        spot = (cell.centre[0] + away * np.sin(angle), cell.centre[1] + away * np.cos(angle))
        radius = max(2.2, form.short * share / lobes**0.4)
        part = blob(rng, shape, spot, Form(1.15 * radius, radius, rng.uniform(0, 3.1), 0.08), stain.soft + 2)
        nuclei.ids[part.window][part.inside] = number
        stain.paint(rng, nuclear, part, level)
    nuclei.count = number
