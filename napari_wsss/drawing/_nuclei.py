"""Drawn fluorescence: bright bodies on a dark ground, from specks to a few large textured nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss.drawing._blobs import Breed, Crowd, Form, Patch, blob, how_many, over, places
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, fibres, grain, log_uniform, steps
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float


@dataclass(frozen=True, eq=False, slots=True)
class _Chromatin:
    """The looks that the nuclei of a scene share."""

    coarse: Float
    fine: Float
    specks: Float
    dome: float
    rim: float
    soft: float
    uneven: float
    blend: str

    @classmethod
    def drawn(cls, rng: np.random.Generator, shape: Shape, size: float) -> _Chromatin:
        strength = log_uniform(rng, 0.02, 0.35)
        specks = steps(grain(rng, shape, max(0.8, size * rng.uniform(0.03, 0.09))), rng.uniform(1.2, 2.2), 0.5)
        sign = rng.choice([-0.5, 0.0, 0.6, 1.5])
        return cls(
            coarse=strength * clouds(rng, shape, max(1.0, size * rng.uniform(0.06, 0.25)), 0.6, 3),
            fine=strength * rng.uniform(0, 0.8) * grain(rng, shape, max(0.6, 0.03 * size)),
            specks=np.float32(sign) * specks,
            dome=rng.uniform(0, 0.6),
            rim=rng.uniform(-0.2, 0.3),
            soft=float(np.clip(size * log_uniform(rng, 0.02, 0.25), 0.7, 10)),
            uneven=rng.choice([0.08, 0.25, 0.5, 0.8]),
            blend=str(rng.choice(["over", "sum"], p=[0.7, 0.3])),
        )

    def paint(self, rng: np.random.Generator, light: Float, patch: Patch, level: float) -> None:
        """Put one nucleus of brightness `level` onto the light (h, w), in place."""
        w = patch.window
        body = 1 + self.coarse[w] + self.fine[w] + self.specks[w] - self.dome * np.minimum(patch.rho, 1.2) ** 2
        body += self.rim * np.exp(-((patch.depth / (0.15 * patch.radius)) ** 2))
        bright = np.asarray(np.maximum(body, 0.25) * level, np.float32)
        cover = patch.cover(self.soft * rng.uniform(0.6, 1.6))
        if self.blend == "over":
            over(light, patch, cover, bright)
        else:
            light[w] += cover * bright


def fluorescent_nuclei(rng: np.random.Generator, shape: Shape) -> Scene:
    """Nuclei of any size and number, touching or overlapping, with dividing and dying ones among them."""
    size = min(log_uniform(rng, 8, 110), 0.6 * min(shape))
    return _nuclei(rng, shape, size, how_many(rng, shape, size))


def crowded_nuclei(rng: np.random.Generator, shape: Shape) -> Scene:
    """As many nuclei as there is room for, side by side and over each other."""
    size = min(log_uniform(rng, 9, 48), 0.4 * min(shape))
    room = shape[0] * shape[1] / (size * size)
    return _nuclei(rng, shape, size, int(np.clip(room * rng.uniform(1.0, 2.5), 4, 190)), crowded=True)


def _nuclei(rng: np.random.Generator, shape: Shape, size: float, count: int, crowded: bool = False) -> Scene:
    breed = Breed.drawn(rng, size, rng.choice([1.4, 2.0, 3.5]))
    look = _Chromatin.drawn(rng, shape, size)
    odd = rng.choice([0.0, 0.05, 0.2])
    bearable = rng.choice([0.02, 0.15, 0.4]) if not crowded else rng.uniform(0.1, 0.4)
    light, crowd = _ground(rng, shape, size), Crowd(shape)
    for centre in places(rng, shape, count, size):
        form, level = breed.form(rng), float(np.clip(np.exp(rng.normal(0, look.uneven)), 0.2, 6))
        if chance(rng, odd):
            _odd(rng, shape, centre, form, crowd, light, look)
            continue
        patch = blob(rng, shape, centre, form, margin=look.soft + 2)
        if crowd.settle(patch, bearable):
            look.paint(rng, light, patch, level)
    light = blurred(light, rng.uniform(0, max(0.4, min(1.8, size / 14))))
    if chance(rng, 0.5):
        light += np.float32(rng.uniform(0.05, 0.5)) * blurred(light, size * rng.uniform(0.5, 2))
    return Scene(coloured(rng, shown(rng, light), shape, size), (crowd.labels(),))


def _odd(
    rng: np.random.Generator, shape: Shape, centre: tuple[float, float], form: Form, crowd: Crowd, light: Float,
    look: _Chromatin,
) -> None:  # fmt: skip
    """A dividing nucleus (bar, or two bars), a shrunken bright one or one in crumbs."""
    level, kind = rng.uniform(1.3, 3.5), rng.integers(4)
    small = form.short
    if kind == 0:
        parts = [(centre, Form(1.1 * small, 0.4 * small, form.turn, 0.15))]
    elif kind == 1:
        away = np.array([-np.cos(form.turn), np.sin(form.turn)]) * 0.7 * small
        half = Form(0.95 * small, 0.35 * small, form.turn, 0.12)
        parts = [((centre[0] + s * away[0], centre[1] + s * away[1]), half) for s in (-1, 1)]
    elif kind == 2:
        parts = [(centre, Form(0.6 * small, 0.55 * small, 0, 0.1))]
    else:
        spots = np.array(centre) + rng.normal(0, 0.6 * small, (int(rng.integers(2, 7)), 2))
        parts = [((float(y), float(x)), _dot(small * rng.uniform(0.15, 0.4))) for y, x in spots]
    for spot, part in parts:
        clipped = Form(max(part.long, 2.0), max(part.short, 2.0), part.turn, part.bumps)
        patch = blob(rng, shape, spot, clipped, margin=look.soft + 2)
        if crowd.settle(patch, 0.1):
            look.paint(rng, light, patch, level)


def _dot(radius: float) -> Form:
    return Form(radius, radius)


def _ground(rng: np.random.Generator, shape: Shape, size: float) -> Float:
    """What lies behind the nuclei: darkness, uneven haze, nuclei out of focus, the cells' bodies, fibres, debris."""
    light = np.full(shape, rng.uniform(0, 0.08), np.float32)
    if chance(rng, 0.5):
        light += np.float32(rng.uniform(0.01, 0.12)) * (1 + 0.5 * grain(rng, shape, 0.4 * max(shape)))
    if chance(rng, 0.25):
        light += np.float32(rng.uniform(0.01, 0.08)) * np.abs(fibres(rng, shape, 0.3 * size, 3 * size, size))
    if chance(rng, 0.35):
        far = np.zeros(shape, np.float32)
        for _ in range(int(rng.integers(1, 14))):
            spot = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
            patch = blob(rng, shape, spot, Form(size * rng.uniform(0.4, 0.8), size * rng.uniform(0.3, 0.6)))
            over(far, patch, patch.cover(2), rng.uniform(0.1, 0.5))
        light += blurred(far, size * rng.uniform(0.15, 0.5))
    if chance(rng, 0.2):
        light += np.float32(0.15) * steps(grain(rng, shape, rng.uniform(0.6, 1.2)), 3.2, 0.4)
    return np.maximum(light, 0)


def shown(rng: np.random.Generator, light: Float) -> Float:
    """Light as the microscopist displays it: 0 to 1, some overexposed, some with the dark parts lifted."""
    top = float(np.quantile(light[::3, ::3], rng.choice([0.9995, 0.995, 0.97]))) * rng.uniform(0.95, 1.6)
    scaled = np.clip(light / max(top, 1e-3), 0, 1) ** np.float32(rng.choice([1.0, 1.0, 0.7, 0.5, 1.3]))
    floor = rng.choice([0.0, 0.0, 0.04, 0.15])
    gain = rng.choice([1.0, 0.6, 0.3], p=[0.75, 0.15, 0.1])
    return np.asarray((floor + (1 - floor) * scaled) * gain, np.float32)


def coloured(rng: np.random.Generator, light: Float, shape: Shape, size: float) -> Float:
    """Grey in most scenes, else one dye's colour, at times beside a second dye in the cells around."""
    if chance(rng, 0.75):
        return np.repeat(light[..., None], 3, 2)
    dye = rng.choice([0.0, 0.15, 0.5, 0.9], 3)
    dye[rng.integers(3)] = 1.0
    picture = light[..., None] * dye.astype(np.float32)
    if chance(rng, 0.4):
        other = rng.uniform(0, 0.35, 3).astype(np.float32) * (1 - 0.8 * dye.astype(np.float32))
        picture = picture + np.maximum(clouds(rng, shape, size), 0)[..., None] * other
    return np.asarray(np.clip(picture, 0, 1), np.float32)
