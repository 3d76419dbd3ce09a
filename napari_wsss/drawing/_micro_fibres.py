"""Drawn thin things: filaments, neurites, bacteria, rings, stars, and specks."""

from __future__ import annotations

import numpy as np

from napari_wsss.drawing._blobs import Breed, Crowd, Form, Patch, Points, blob, how_many, over, places, stroke
from napari_wsss.drawing._micro_fields import Shape, blurred, chance, clouds, grain, log_uniform, texture
from napari_wsss.drawing._nuclei import coloured, shown
from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float


def _walk(rng: np.random.Generator, start: tuple[float, float], length: float, curl: float, turn: float) -> Points:
    """A smooth path of about a point a pixel; `curl` = radians that the heading drifts by per hundred px."""
    count = max(3, int(length))
    drift = np.cumsum(rng.normal(0, 1, count)) / count**0.5
    heading = turn + min(curl * length / 100, 4.0) * (drift + rng.normal(0, 0.7) * np.linspace(0, 1, count))
    moves = np.stack([np.sin(heading), np.cos(heading)], 1)
    path = np.cumsum(moves, 0)
    return np.asarray(np.array(start) + path - path[count // 2])


def _scene(rng: np.random.Generator, shape: Shape, width: float) -> tuple[Float, float, bool]:
    """An empty picture, the level of the things to come, and whether their light adds up."""
    if chance(rng, 0.6):
        light = np.full(shape, rng.uniform(0, 0.15), np.float32)
        light += np.float32(rng.uniform(0, 0.06)) * clouds(rng, shape, 10 * width)
        return light, rng.uniform(0.4, 1.0), chance(rng, 0.5)
    light = np.full(shape, rng.uniform(0.4, 0.9), np.float32)
    light += np.float32(rng.uniform(0, 0.08)) * texture(rng, shape, 3 * width)
    return light, float(light.mean()) * rng.uniform(0.1, 0.7), False


def filaments(rng: np.random.Generator, shape: Shape) -> Scene:
    """Curved lines that cross: two maps, so that a line stays whole where another runs over it."""
    width = log_uniform(rng, 2.2, 14)
    light, level, adds = _scene(rng, shape, width)
    maps, curl = (Crowd(shape), Crowd(shape)), log_uniform(rng, 0.2, 6)
    length = min(max(shape) * 1.3, width * rng.uniform(8, 90))
    heading = rng.uniform(0, np.pi) if chance(rng, 0.4) else None
    beads = np.float32(rng.uniform(0, 0.5)) * grain(rng, shape, width * rng.uniform(0.4, 2))
    hollow, uneven = rng.uniform(0, 0.8) if chance(rng, 0.25) else 0.0, rng.uniform(0.05, 0.5)
    for _ in range(int(np.clip(shape[0] * shape[1] * log_uniform(rng, 0.03, 0.5) / (width * length), 1, 70))):
        turn = rng.uniform(0, 2 * np.pi) if heading is None else heading + rng.normal(0, 0.25)
        start = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
        path = _walk(rng, start, length * rng.uniform(0.4, 1.2), curl, turn)
        patch = stroke(shape, path, max(2.0, width * np.exp(rng.normal(0, 0.15))))
        if not any(crowd.settle(patch, 0.04) for crowd in maps):
            continue
        body = level * np.exp(rng.normal(0, uneven)) * (1 + beads[patch.window])
        body = np.maximum(body, 0.3 * level) * (1 - hollow * np.clip(1.3 - 1.6 * patch.rho, 0, 1))
        if adds:
            light[patch.window] += patch.cover(1.5) * body
        else:
            over(light, patch, patch.cover(1.2), body)
    light = blurred(light, rng.uniform(0.2, 0.9))
    return Scene(_seen(rng, light, level, 10 * width), tuple(crowd.labels() for crowd in maps))


def _seen(rng: np.random.Generator, light: Float, level: float, size: float) -> Float:
    """Dark-field light is displayed like fluorescence, bright-field light as it is, in the lamp's colour."""
    if float(np.median(light)) < level:
        return coloured(rng, shown(rng, light), (light.shape[0], light.shape[1]), size)
    cast = np.ones(3) if chance(rng, 0.6) else rng.uniform(0.6, 1.0, 3)
    return np.asarray(np.clip(light[..., None] * cast.astype(np.float32), 0, 1), np.float32)


def neurites(rng: np.random.Generator, shape: Shape) -> Scene:
    """Cells with branching arms: map 1 whole cells with their arms, map 2 cell bodies."""
    size = min(log_uniform(rng, 12, 70), 0.3 * min(shape))
    light, level, _ = _scene(rng, shape, 0.2 * size)
    whole, bodies = Crowd(shape), Crowd(shape)
    mottle = np.float32(rng.uniform(0, 0.35)) * clouds(rng, shape, 0.2 * size)
    arms, curl, reach = int(rng.integers(2, 8)), log_uniform(rng, 0.2, 2), rng.uniform(1.5, 8)
    for centre in places(rng, shape, int(rng.integers(1, 13)), 4 * size):
        body = blob(rng, shape, centre, Form(0.5 * size * rng.uniform(1, 1.6), 0.5 * size, rng.uniform(0, 3.1), 0.1))
        if not bodies.settle(body, 0.0, 3):
            continue
        whole.count += 1
        bright = level * np.exp(rng.normal(0, 0.25))
        for patch in _arms(rng, shape, centre, size, arms, curl, reach * size):
            free = patch.inside & (whole.ids[patch.window] == 0)
            whole.ids[patch.window][free] = whole.count
            mine = whole.ids[patch.window]
            cover = patch.cover(1.5) * ((mine == 0) | (mine == whole.count))  # it passes below its neighbours
            over(light, patch, cover, np.maximum(bright * (1 + mottle[patch.window]), 0.3 * level))
        over(light, body, body.cover(1.5), np.maximum(bright * (1 + mottle[body.window]), 0.3 * level))
        whole.ids[body.window][body.inside] = whole.count
    light = blurred(light, rng.uniform(0.2, 0.9))
    return Scene(_seen(rng, light, level, size), (whole.labels(), bodies.labels()))


def _arms(
    rng: np.random.Generator, shape: Shape, centre: tuple[float, float], size: float, count: int, curl: float,
    length: float,
) -> list[Patch]:  # fmt: skip
    """Arms that leave a cell body and thin out, some with a branch."""
    found = []
    thick = max(2.2, size * rng.uniform(0.1, 0.25))
    for turn in rng.uniform(0, 2 * np.pi, count):
        path = _walk(rng, (0, 0), length * rng.uniform(0.4, 1.2), curl, turn)
        path = path - path[0] + np.array(centre)
        found.append(stroke(shape, path[: len(path) // 2 + 1], thick))
        found.append(stroke(shape, path[len(path) // 2 :], max(2.0, 0.6 * thick)))
        if chance(rng, 0.4):
            branch = _walk(rng, (0, 0), 0.4 * length, curl, turn + rng.choice([-0.8, 0.8]))
            found.append(stroke(shape, branch - branch[0] + path[len(path) // 2], max(2.0, 0.6 * thick)))
    return found


def rods(rng: np.random.Generator, shape: Shape) -> Scene:
    """Bacteria: rods, commas, cocci or chains, single, in chains or packed side by side."""
    width = log_uniform(rng, 4, 26)
    light, level, adds = _scene(rng, shape, width)
    crowd, ratio, curl = Crowd(shape), rng.uniform(1.2, 9), rng.choice([0.0, 3.0, 20.0]) / width
    heading = rng.uniform(0, np.pi) if chance(rng, 0.4) else None
    rim, uneven = rng.uniform(-0.6, 0.6), rng.uniform(0.03, 0.3)
    halo = rng.uniform(0, 0.25) * (1 if chance(rng, 0.4) else 0)
    mottle = np.float32(rng.uniform(0, 0.3)) * grain(rng, shape, 0.4 * width)
    count = how_many(rng, shape, width * ratio**0.5, 150, 1.3)
    for centre in places(rng, shape, count, width * ratio**0.5):
        turn = rng.uniform(0, np.pi) if heading is None else heading + rng.normal(0, 0.2)
        length = width * max(0.3, ratio * rng.uniform(0.6, 1.3) - 1)
        path = _walk(rng, centre, length, curl, turn)
        patch = stroke(shape, path, width * np.exp(rng.normal(0, 0.06)), margin=2 + (0.5 * width if halo else 0))
        if not crowd.settle(patch, 0.03 if not adds else 0.15):
            continue
        body = level * np.exp(rng.normal(0, uneven)) * (1 + mottle[patch.window] + rim * np.clip(patch.rho, 0, 1) ** 4)
        light[patch.window] += np.float32(halo) * np.exp(-((patch.depth / (0.4 * width)) ** 2)) * (patch.depth < 0)
        over(light, patch, patch.cover(1.5), np.maximum(body, 0.3 * level))
    light = blurred(light, rng.uniform(0.2, min(1.5, width / 7)))
    return Scene(_seen(rng, light, level, 6 * width), (crowd.labels(),))


def rings_and_stars(rng: np.random.Generator, shape: Shape) -> Scene:
    """Rings, stars, pollen with spines, crystals; rings count with what they enclose in map 1, holes in map 2."""
    size = min(log_uniform(rng, 14, 150), 0.7 * min(shape))
    light, level, adds = _scene(rng, shape, 0.2 * size)
    crowd, holes = Crowd(shape), Crowd(shape)
    points, spikes = int(rng.integers(3, 18)), rng.uniform(0.08, 0.35)
    ring = rng.uniform(0.4, 0.85) if chance(rng, 0.5) else 0.0
    body_texture = np.float32(rng.uniform(0, 0.35)) * texture(rng, shape, max(1.0, size * rng.uniform(0.03, 0.1)))
    square = rng.choice([2.0, 2.0, 5.0, 1.2])
    for centre in places(rng, shape, how_many(rng, shape, size, 100, 0.8), size):
        radius = 0.5 * size * float(np.exp(rng.normal(0, 0.2)))
        sharp = chance(rng, 0.5)
        form = Form(radius * rng.uniform(1, 1.3), radius, rng.uniform(0, 3.1), 0.03, square, 0, 0,
                    points if sharp else 0, spikes if sharp else 0)  # fmt: skip
        patch = blob(rng, shape, centre, form)
        if not crowd.settle(patch, 0.1 if adds else 0.02):
            continue
        holes.ids[patch.window][patch.inside] = 0
        body = level * (1 + body_texture[patch.window]) * np.exp(rng.normal(0, 0.15))
        cover = patch.cover(1.5)
        if ring:
            cover = cover * np.clip(0.5 + (patch.rho - ring) * radius / 1.5, 0, 1)
            holes.count += 1
            holes.ids[patch.window][patch.rho < ring] = holes.count
        over(light, patch, cover, np.maximum(body, 0.2 * level))
    light = blurred(light, rng.uniform(0.2, 1.0))
    picture = _seen(rng, light, level, size)
    return Scene(picture, (crowd.labels(), holes.labels()))


def specks(rng: np.random.Generator, shape: Shape) -> Scene:
    """Many small things: vesicles, spores, beads, particles of 5 to 14 px."""
    size = log_uniform(rng, 5, 14)
    light, level, _ = _scene(rng, shape, size)
    crowd, breed = Crowd(shape), Breed.drawn(rng, size, rng.choice([1.1, 1.6, 2.5]))
    uneven, rim = rng.uniform(0.05, 0.5), rng.uniform(-0.5, 0.5)
    for centre in places(rng, shape, int(log_uniform(rng, 8, 190)), size * rng.uniform(1, 3)):
        patch = blob(rng, shape, centre, breed.form(rng))
        if crowd.settle(patch, 0.1):
            body = level * np.exp(rng.normal(0, uneven)) * (1 + rim * np.clip(patch.rho, 0, 1) ** 3)
            over(light, patch, patch.cover(rng.uniform(1, 2.5)), body)
    light = blurred(light, rng.uniform(0, 0.9))
    return Scene(_seen(rng, light, level, 4 * size), (crowd.labels(),))
