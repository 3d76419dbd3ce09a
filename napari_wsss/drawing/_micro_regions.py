"""Drawn large things: organoids, colonies, areas that only their texture tells apart, scratched cell sheets."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_wsss.drawing._blobs import Crowd, Form, Patch, blob, over, places, tidy, tile
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, grain, log_uniform, steps, texture
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float


def _tint(rng: np.random.Generator, light: Float) -> Float:
    cast = np.ones(3) if chance(rng, 0.5) else rng.uniform(0.55, 1.0, 3)
    return np.asarray(np.clip(light[..., None] * cast.astype(np.float32), 0, 1), np.float32)


def organoids(rng: np.random.Generator, shape: Shape) -> Scene:
    """Bodies of many cells with a dark or bright wall: map 1 organoids, map 2 their hollows."""
    size = min(log_uniform(rng, 30, 220), 0.9 * min(shape))
    ground = rng.uniform(0.3, 0.8)
    light = np.full(shape, ground, np.float32) + np.float32(rng.uniform(0, 0.05)) * clouds(rng, shape, 0.4 * size)
    cellular = np.float32(rng.uniform(0.02, 0.12)) * texture(rng, shape, max(1.0, size * rng.uniform(0.02, 0.08)))
    level, wall = ground + rng.normal(0, 0.18), rng.normal(0, 0.3)
    thick, inner = rng.uniform(0.05, 0.2), rng.uniform(0.35, 0.75) if chance(rng, 0.6) else 0.0
    bumps, stretch = rng.uniform(0.02, 0.2), rng.uniform(1, 1.8)
    whole, hollow, halo = Crowd(shape), Crowd(shape), rng.normal(0, 0.1)
    for centre in places(rng, shape, int(rng.integers(1, 22)), size):
        radius = 0.5 * size * float(np.clip(np.exp(rng.normal(0, 0.4)), 0.25, 1.8))
        form = Form(radius * rng.uniform(1, stretch), radius, rng.uniform(0, 3.1), bumps)
        patch = blob(rng, shape, centre, form, margin=0.3 * radius)
        if not whole.settle(patch, rng.choice([0.0, 0.1])):
            continue
        w = patch.window
        body = level + cellular[w] + rng.normal(0, 0.04) + wall * np.exp(-(((patch.rho - 1 + thick) / thick) ** 2))
        light[w] += np.float32(halo) * np.exp(-(((patch.rho - 1) / 0.12) ** 2)) * (patch.rho > 1)
        over(light, patch, patch.cover(2), np.asarray(body, np.float32))
        hollow.ids[w][patch.inside] = 0
        if inner and radius > 12:
            _lumen(rng, light, patch, inner, ground, hollow)
    return Scene(_tint(rng, blurred(light, rng.uniform(0.3, 1.3))), (whole.labels(), hollow.labels()))


def _lumen(rng: np.random.Generator, light: Float, patch: Patch, inner: float, ground: float, hollow: Crowd) -> None:
    """Empty the middle of a body, as a further object."""
    share = inner * rng.uniform(0.8, 1.1)
    cover = np.clip(0.5 + (share - patch.rho) * patch.radius / 2, 0, 1)
    line = np.exp(-(((share - patch.rho) * patch.radius / 1.5) ** 2)) * rng.normal(0, 0.1)
    over(light, patch, np.asarray(cover, np.float32), ground + rng.normal(0, 0.08))
    light[patch.window] += line.astype(np.float32)
    hollow.count += 1
    hollow.ids[patch.window][patch.rho < share] = hollow.count


def colonies(rng: np.random.Generator, shape: Shape) -> Scene:
    """Colonies on agar: round or ragged, shaded, with rings and pale or dark middles."""
    size = min(log_uniform(rng, 10, 200), 0.8 * min(shape))
    hue = rng.choice([0.0, 0.08, 0.25])
    agar = np.clip(rng.uniform(0.15, 0.85) + rng.normal(0, hue, 3), 0.05, 0.95).astype(np.float32)
    step = log_uniform(rng, 0.06, 0.4) * rng.choice([-1, 1])
    tone = np.clip(agar + step + rng.normal(0, 0.5 * hue, 3), 0.03, 0.97).astype(np.float32)
    shade = 1 + np.float32(rng.uniform(0, 0.08)) * clouds(rng, shape, 0.5 * max(shape))
    picture = np.asarray(agar * shade[..., None], np.float32)
    crowd, bumps = Crowd(shape), rng.choice([0.01, 0.08, 0.25])
    ragged = np.float32(rng.choice([0.0, 0.05, 0.15])) * clouds(rng, shape, 0.1 * size, 0.7)
    relief, rings, turn = rng.uniform(0, 0.3), rng.uniform(0, 0.12), rng.uniform(0, 2 * np.pi)
    rough = np.float32(rng.uniform(0, 0.12)) * texture(rng, shape, max(1, 0.05 * size))
    for centre in places(rng, shape, int(np.clip(shape[0] * shape[1] / size**2 * rng.uniform(0.1, 1), 2, 120)), size):
        radius = max(4.0, 0.5 * size * float(np.clip(np.exp(rng.normal(0, 0.35)), 0.2, 2)))
        patch = blob(rng, shape, centre, Form(radius * rng.uniform(1, 1.2), radius, rng.uniform(0, 3.1), bumps))
        rho = np.asarray(patch.rho + ragged[patch.window], np.float32)
        patch = Patch(patch.window, rho, radius, patch.centre)
        if not crowd.settle(patch, 0.12):
            continue
        lit = 1 + relief * patch.along(turn) / radius * patch.rho**2 + rings * np.cos(patch.rho * 14)
        body = tone * (lit + rough[patch.window])[..., None] + rng.normal(0, 0.03, 3)
        part = picture[patch.window]
        part += patch.cover(2)[..., None] * (body - part)
    picture = blurred(picture, rng.uniform(0.2, 1.2))
    return Scene(np.asarray(np.clip(picture, 0, 1), np.float32), (crowd.labels(),))


def textured_areas(rng: np.random.Generator, shape: Shape) -> Scene:
    """Two to eight areas that share the plane and differ in texture, little or not in mean light."""
    h, w = shape
    size = min(shape) * rng.uniform(0.3, 0.9)
    wave = 0.25 * size * rng.uniform(0.1, 1)
    y, x = (np.asarray(a, np.float32) for a in np.indices(shape))
    grid = (y + wave * clouds(rng, shape, 0.4 * size, 0.4, 3), x + wave * clouds(rng, shape, 0.4 * size, 0.4, 3))
    patches = []
    for spot in rng.uniform((0, 0), (h, w), (int(rng.integers(2, 9)), 2)):
        radius = size * rng.uniform(0.3, 0.6)
        form = Form(radius * rng.uniform(1, 2), radius, rng.uniform(0, 3.1))
        patches.append(blob(rng, shape, (float(spot[0]), float(spot[1])), form, 3.0 * max(shape), grid))
    owner = tile(shape, patches).owner
    scale, base = log_uniform(rng, 1, 6), rng.uniform(0.35, 0.65)
    even = chance(rng, 0.5)
    picture = np.zeros((*shape, 3), np.float32)
    colour = np.full(3, base) if chance(rng, 0.5) else rng.uniform(0.3, 0.7, 3)
    for number in range(1, len(patches) + 1):
        field = texture(rng, shape, scale * rng.uniform(0.6, 1.8)) * np.float32(rng.uniform(0.03, 0.18))
        tone = colour + (0 if even else rng.normal(0, 0.07, 3) * (1 if np.ptp(colour) else 0) + rng.normal(0, 0.06))
        area = owner == number
        picture[area] = tone.astype(np.float32) + field[area][:, None]
    picture = blurred(np.clip(picture, 0, 1), rng.uniform(0, 0.7))
    return Scene(np.asarray(picture, np.float32), (tidy(owner, 150),))


def scratch(rng: np.random.Generator, shape: Shape) -> Scene:
    """A sheet of cells with gaps or islands: map 1 the sheets, map 2 the bare ground."""
    h, w = shape
    rows, columns = (np.asarray(a, np.float32) for a in np.indices(shape))
    ragged = min(shape) * rng.uniform(0.02, 0.12)
    if chance(rng, 0.5):  # one band
        turn, offset = rng.uniform(0, np.pi), rng.uniform(-0.2, 0.2) * min(shape)
        away = np.abs(np.cos(turn) * (columns - w / 2) + np.sin(turn) * (rows - h / 2) + offset)
        field = away - min(shape) * rng.uniform(0.1, 0.3)
    else:  # islands
        field = (
            min(shape) * 0.2 * (clouds(rng, shape, min(shape) * rng.uniform(0.12, 0.3), 0.4, 3) + rng.normal(0, 0.5))
        )
    sheet = field + ragged * clouds(rng, shape, 0.5 * ragged + 4, 0.6, 3) > 0
    base, scale = rng.uniform(0.35, 0.65), log_uniform(rng, 1.2, 7)
    strength = rng.uniform(0.06, 0.22)
    inner = texture(rng, shape, scale) + 0.6 * texture(rng, shape, 2 * scale)
    ground = np.float32(rng.uniform(0.01, 0.3) * strength) * clouds(rng, shape, rng.uniform(1, 6))
    soft = blurred(sheet.astype(np.float32), rng.uniform(0.5, 2))
    edge = np.float32(rng.normal(0, 0.1)) * 4 * soft * (1 - soft)
    picture = base + soft * (np.float32(strength) * inner + np.float32(rng.normal(0, 0.06)))
    picture = picture + (1 - soft) * ground + edge
    debris = steps(grain(rng, shape, 1.5), 3.0, 0.4) * np.float32(0.2)
    light = np.asarray(np.clip(picture + debris * (1 - soft), 0, 1), np.float32)
    maps = tuple(tidy(ndimage.label(m)[0], 120) for m in (sheet, ~sheet))
    return Scene(_tint(rng, blurred(light, rng.uniform(0, 0.8))), maps)
