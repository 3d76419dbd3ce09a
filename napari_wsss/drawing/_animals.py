"""Animals as a photograph shows them: bodies of blended limbs, coats of several colours, fur, light and a face."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_wsss.drawing._easel import Window
from napari_wsss.drawing._grain import Colour, Rng, between, blend, cloud, noise, pick, stripes, vary
from napari_wsss.types import Float

COATS = (
    (0.72, 0.50, 0.30), (0.55, 0.36, 0.22), (0.90, 0.87, 0.82), (0.10, 0.09, 0.09), (0.45, 0.43, 0.42),
    (0.82, 0.68, 0.48), (0.30, 0.22, 0.17), (0.66, 0.63, 0.60), (0.80, 0.45, 0.20), (0.95, 0.93, 0.90),
)  # fmt: skip
EYES = ((0.75, 0.60, 0.15), (0.35, 0.55, 0.25), (0.05, 0.04, 0.04), (0.30, 0.50, 0.70), (0.25, 0.14, 0.08))


@dataclass(slots=True)
class Limb:
    """A tapered stroke of a body: two ends (row, column) with their radii in body units, and what it is."""

    start: tuple[float, float]
    end: tuple[float, float]
    thick: float
    thin: float
    role: str = "body"


@dataclass(slots=True)
class Body:
    """Limbs in body units (about 1 across), with the head's centre, radius and how far it faces the viewer."""

    limbs: list[Limb] = field(default_factory=list)
    head: tuple[float, float] = (0.0, 0.0)
    skull: float = 0.2
    facing: float = 0.0  # sideways shift of the face in skulls

    def add(self, start: tuple[float, float], end: tuple[float, float], thick: float, thin: float, role: str) -> None:
        self.limbs.append(Limb(start, end, thick, thin, role))


# --------------------------------------------------------------------------- poses


def _head(rng: Rng, body: Body, y: float, x: float, size: float, facing: float) -> None:
    """Skull, muzzle and ears: pointed, round or hanging."""
    body.head, body.skull, body.facing = (y, x), size, facing
    body.add((y, x - size * 0.1), (y, x + size * 0.1), size, size, "head")
    snout = rng.uniform(0.2, 0.9)
    body.add(
        (y + size * 0.25, x + facing * size * 0.4),
        (y + size * 0.45, x + facing * size * (0.5 + snout)),
        size * 0.55,
        size * 0.4,
        "head",
    )
    ear, wide = rng.uniform(0.5, 1.2) * size, rng.uniform(0.5, 0.85)
    style = rng.choice(["pointed", "hanging", "round"], p=(0.5, 0.3, 0.2))
    for side in (-1, 1):
        root = (y - size * 0.6, x + side * size * wide - facing * size * 0.25)
        if style == "pointed":
            body.add(
                root, (root[0] - ear, root[1] + side * ear * rng.uniform(0.0, 0.5)), size * 0.36, size * 0.06, "ear"
            )
        elif style == "hanging":
            body.add(root, (root[0] + ear * 1.1, root[1] + side * ear * 0.45), size * 0.25, size * 0.33, "ear")
        else:
            body.add(root, (root[0] - ear * 0.2, root[1] + side * ear * 0.1), size * 0.34, size * 0.34, "ear")


def standing(rng: Rng) -> Body:
    """A body on four legs seen from the side."""
    body, long, deep = Body(), rng.uniform(0.3, 0.5), rng.uniform(0.11, 0.2)
    leg = rng.uniform(0.1, 0.4)
    body.add((0, -long), (rng.normal(0, 0.03), long), deep * rng.uniform(0.85, 1.1), deep, "body")
    for x in (-long, -long + 0.12, long - 0.1, long + 0.02):
        foot, girth = x + rng.normal(0, 0.08), deep * rng.uniform(0.3, 0.5)
        body.add(
            (deep * 0.3, x), (deep * 0.5 + leg * 0.6, (x + foot) / 2 + rng.normal(0, 0.02)), girth * 1.5, girth, "leg"
        )
        body.add((deep * 0.5 + leg * 0.6, (x + foot) / 2), (deep + leg, foot), girth, girth * 0.8, "paw")
    lift, ahead = rng.uniform(-0.1, 0.4), rng.uniform(0.05, 0.25)
    body.add((-deep * 0.3, long), (-lift, long + ahead), deep * 0.8, deep * 0.6, "body")
    _head(rng, body, -lift - 0.05, long + ahead + 0.05, deep * rng.uniform(0.65, 1.1), rng.uniform(0.2, 1.1))
    _tail(rng, body, (-deep * 0.4, -long), rng.uniform(0.2, 0.6), deep * rng.uniform(0.15, 0.45))
    return body


def sitting(rng: Rng) -> Body:
    """A body upright on its haunches: chest over front legs, hips behind."""
    body, tall, wide = Body(), rng.uniform(0.3, 0.5), rng.uniform(0.14, 0.22)
    back = rng.uniform(-0.25, 0.25)
    body.add((tall * 0.55, back), (-tall * 0.7, 0), wide * 1.3, wide * 0.75, "body")
    body.add((tall * 0.75, back * 1.3 - wide * 0.5), (tall * 0.75, back + wide * 0.5), wide * 0.9, wide * 0.9, "body")
    body.add((-tall * 0.4, 0), (tall * 0.5, -back * 0.2), wide * 0.75, wide * 0.5, "body")
    for side in (-1, 1):
        x = side * wide * rng.uniform(0.25, 0.5) - back * 0.3
        body.add((-tall * 0.1, x * 0.7), (tall * 1.1, x), wide * 0.38, wide * 0.26, "leg")
        body.add((tall * 1.1, x), (tall * 1.15, x + rng.normal(0, 0.02)), wide * 0.3, wide * 0.3, "paw")
    _head(rng, body, -tall * 1.05, rng.normal(0, 0.06) - back * 0.2, wide * rng.uniform(0.8, 1.15), rng.normal(0, 0.5))
    if rng.random() < 0.6:
        _tail(
            rng,
            body,
            (tall * 0.9, back + np.sign(back + 0.01) * wide),
            rng.uniform(0.2, 0.5),
            wide * rng.uniform(0.15, 0.35),
        )
    return body


def lying(rng: Rng) -> Body:
    """A long low body with paws in front of it."""
    body, long, deep = Body(), rng.uniform(0.3, 0.5), rng.uniform(0.14, 0.24)
    body.add((0, -long), (rng.normal(-0.03, 0.05), long * 0.7), deep * 1.1, deep, "body")
    body.add((deep * 0.3, -long * 0.8), (deep * 0.5, -long * 0.5), deep, deep * 0.8, "body")
    for k in range(2):
        y = deep * rng.uniform(0.6, 0.9)
        body.add((y * 0.6, long * 0.6), (y, long * rng.uniform(0.9, 1.3) + 0.05 * k), deep * 0.42, deep * 0.33, "paw")
    size = deep * rng.uniform(0.7, 1.1)
    body.add((-deep * 0.2, long * 0.6), (-deep * 0.8, long * 0.9), deep * 0.8, size * 0.8, "body")
    _head(rng, body, -deep * rng.uniform(0.4, 1.5), long * rng.uniform(0.8, 1.1), size, rng.normal(0.2, 0.5))
    _tail(rng, body, (deep * 0.4, -long * 1.1), rng.uniform(0.1, 0.5), deep * rng.uniform(0.15, 0.35))
    return body


def portrait(rng: Rng) -> Body:
    """A face close to the camera, with shoulders that leave the picture."""
    body, size = Body(), rng.uniform(0.25, 0.4)
    side = rng.uniform(-0.5, 0.5)
    body.add((size * 0.6, side * 0.3), (size * 2.6, side), size * 0.85, size * rng.uniform(1.1, 1.9), "body")
    if rng.random() < 0.4:
        body.add(
            (size * 1.5, side), (size * rng.uniform(1, 2), side + np.sign(side) * size * 3), size, size * 1.5, "body"
        )
    _head(rng, body, -0.05, 0.0, size, rng.normal(0, 0.3))
    return body


def creature(rng: Rng) -> Body:
    """Anything that lives: a chain of swellings with some limbs, as birds, fish, lizards or beetles have."""
    body, turn = Body(), rng.uniform(-0.8, 0.8)
    y, x, girth = 0.0, -0.4, rng.uniform(0.05, 0.2)
    for _ in range(int(rng.integers(2, 6))):
        turn += rng.normal(0, 0.5)
        step = rng.uniform(0.1, 0.3)
        ahead = (y + step * np.sin(turn), x + step * np.cos(turn))
        swell = girth * rng.uniform(0.5, 1.5)
        body.add((y, x), ahead, girth, swell, "body")
        if rng.random() < 0.5:
            limb = turn + rng.choice([-1, 1]) * rng.uniform(0.6, 2.2)
            reach = rng.uniform(0.1, 0.4)
            body.add((y, x), (y + reach * np.sin(limb), x + reach * np.cos(limb)), girth * 0.5, girth * 0.12, "leg")
        (y, x), girth = ahead, swell
    body.head, body.skull, body.facing = (y, x), max(girth, 0.06), 0.5
    body.add((y, x), (y, x), body.skull, body.skull, "head")
    return body


def _tail(rng: Rng, body: Body, root: tuple[float, float], length: float, girth: float) -> None:
    turn, (y, x) = rng.uniform(2.0, 5.0), root
    for k in range(4):
        turn += rng.normal(0, 0.5)
        ahead = (y + length / 4 * np.sin(turn), x + length / 4 * np.cos(turn))
        body.add((y, x), ahead, girth * (1 - 0.12 * k), girth * (0.9 - 0.12 * k), "tail")
        y, x = ahead


POSES = (standing, sitting, lying, portrait, creature)


# --------------------------------------------------------------------------- flesh


@dataclass(frozen=True, eq=False, slots=True)
class Flesh:
    """An animal on a window: share of every pixel, its colours, and the share of its head."""

    share: Float
    tone: Float
    head: Float


def _limb(rows: Float, cols: Float, limb: Limb) -> Float:
    """Distance inside a tapered stroke in body units; negative outside."""
    (y0, x0), (y1, x1) = limb.start, limb.end
    dy, dx = y1 - y0, x1 - x0
    along = ((rows - y0) * dy + (cols - x0) * dx) / max(dy * dy + dx * dx, 1e-6)
    t = np.clip(along, 0, 1)
    away = np.sqrt((rows - y0 - t * dy) ** 2 + (cols - x0 - t * dx) ** 2)
    return np.asarray(limb.thick + (limb.thin - limb.thick) * t - away, np.float32)


def _melt(parts: list[Float], soft: float) -> Float:
    """The union of distances with rounded joints (polynomial smooth maximum)."""
    total = parts[0]
    for part in parts[1:]:
        overlap = np.maximum(soft - np.abs(total - part), 0)
        total = np.maximum(total, part) + overlap * overlap / np.float32(4 * soft)
    return total


def paint(rng: Rng, where: Window, body: Body, y: float, x: float, size: float, turn: float, flip: bool) -> Flesh:
    """Draw a body of ``size`` pixels a unit at a place: outline with hair, coat, shape from light, and face."""
    rows, cols = where.grid()
    dy, dx = (rows - np.float32(y)) / np.float32(size), (cols - np.float32(x)) / np.float32(size)
    v, u = (
        dy * np.float32(np.cos(turn)) - dx * np.float32(np.sin(turn)),
        dx * np.float32(np.cos(turn)) + dy * np.float32(np.sin(turn)),
    )
    if flip:
        u = -u
    distances: dict[str, list[Float]] = {role: [] for role in ("body", "head", "ear", "leg", "paw", "tail")}
    for limb in body.limbs:
        distances[limb.role].append(_limb(v, u, limb))
    soft = rng.uniform(0.02, 0.07)
    roles = {role: _melt(parts, soft) for role, parts in distances.items() if parts}
    whole = _melt(list(roles.values()), soft)
    hair = np.float32(rng.uniform(0, 1.6) / size) * noise(
        rng, where.shape, between(rng, 1.2, 3), rng.uniform(0.8, 2.3), 2.5
    )
    edge = (whole + hair) * np.float32(size)
    share = np.clip(edge + 0.5, 0, 1).astype(np.float32)
    head = _melt([roles["head"], *([roles["ear"]] if "ear" in roles else [])], soft)
    tone = _coat(rng, where, roles, v, u, size)
    tone = tone * _light(rng, roles, whole, size)[..., None]
    _face(rng, tone, body, v, u)
    return Flesh(
        share, np.clip(tone, 0, 1).astype(np.float32), np.clip(head * np.float32(size) + 0.5, 0, 1) * (share > 0.5)
    )


def _coat(rng: Rng, where: Window, roles: dict[str, Float], v: Float, u: Float, size: float) -> Float:
    """Colours of the coat before light: base, patches or stripes or spots, pale belly, dark points, hair."""
    shape, base, second = where.shape, pick(rng, COATS, 0.06), pick(rng, COATS, 0.06)
    tone = np.broadcast_to(base, (*shape, 3))
    kind = rng.random()
    if kind < 0.3:  # patches
        patch = cloud(rng, shape, size * rng.uniform(0.12, 0.45), 3, 0.4) - np.float32(rng.uniform(-0.6, 0.8))
        tone = blend(tone, second, np.clip(patch * np.float32(between(rng, 1.5, 12)) + 0.5, 0, 1))
    elif kind < 0.5:  # stripes
        wave = stripes(rng, shape, max(3.0, size * between(rng, 0.03, 0.12)), rng.uniform(0, 3.14), 0.25)
        tone = blend(tone, vary(rng, base * np.float32(0.55), 0.08), np.clip(wave * 2 * rng.uniform(0.3, 1), 0, 1))
    elif kind < 0.62:  # spots
        spot = noise(rng, shape, max(2.0, size * between(rng, 0.02, 0.08))) - np.float32(rng.uniform(0.5, 1.3))
        tone = blend(tone, second, np.clip(spot * 4, 0, 1))
    if rng.random() < 0.5:  # a pale belly or a dark back
        low = np.clip((v - np.float32(rng.uniform(-0.1, 0.15))) / np.float32(rng.uniform(0.05, 0.3)), 0, 1)
        tone = blend(
            tone,
            vary(rng, np.minimum(base * 1.5 + 0.1, 1).astype(np.float32), 0.05),
            low * np.float32(rng.uniform(0.3, 1)),
        )
    for role in ("ear", "paw", "tail", "head"):
        if role in roles and rng.random() < 0.3:
            inside = np.clip(roles[role] * np.float32(size * 0.3) + 0.5, 0, 1)
            tone = blend(tone, pick(rng, COATS, 0.05), inside * np.float32(rng.uniform(0.3, 1)))
    angle, cell = rng.uniform(0, 3.14), max(1.0, size * between(rng, 0.004, 0.02))
    flow = cloud(rng, shape, cell, 2, 0.8, angle, between(rng, 1.5, 6))
    tufts = cloud(rng, shape, max(3.0, size * 0.06), 2, 0.6)
    light = 1 + np.float32(between(rng, 0.02, 0.2)) * flow + np.float32(rng.uniform(0, 0.12)) * tufts
    return np.asarray(tone * light[..., None], np.float32)


def _light(rng: Rng, roles: dict[str, Float], whole: Float, size: float) -> Float:
    """Roundness: bright towards the light, dark towards the rim and where limbs overlap the body."""
    round_off = np.sqrt(np.clip(whole, 0, 0.15) / np.float32(0.15))
    gy, gx = np.gradient(round_off)
    sun = rng.uniform(-3.14, 0.0) if rng.random() < 0.8 else rng.uniform(0, 6.28)
    tilt = -(gy * np.float32(np.sin(sun)) + gx * np.float32(np.cos(sun))) * np.float32(size * 0.12)
    light = rng.uniform(0.6, 0.95) + np.float32(rng.uniform(0.05, 0.35)) * round_off
    light = light + np.float32(rng.uniform(0.1, 0.6)) * np.clip(tilt, -0.8, 0.8)
    for role in ("head", "leg", "paw", "ear"):
        if role in roles:
            crease = np.exp(-((roles[role] + 0.01) ** 2) / np.float32(0.0006))
            light = light * (1 - np.float32(rng.uniform(0, 0.3)) * crease)
    return np.asarray(np.clip(light, 0.1, 1.8), np.float32)


def _dot(v: Float, u: Float, y: float, x: float, tall: float, wide: float) -> Float:
    return np.asarray(np.clip((1 - ((v - y) / tall) ** 2 - ((u - x) / wide) ** 2) * 6, 0, 1), np.float32)


def _face(rng: Rng, tone: Float, body: Body, v: Float, u: Float) -> None:
    """Eyes with a glint, a nose and a mouth; the far eye hides as the head turns."""
    (y, x), size, facing = body.head, body.skull, body.facing
    iris, dark = pick(rng, EYES, 0.05), np.array([0.04, 0.03, 0.03], np.float32)
    big = size * rng.uniform(0.1, 0.2)
    for side in (-1, 1):
        if abs(facing) > 0.7 and side * facing < 0:
            continue
        ex, ey = x + side * size * 0.4 + facing * size * 0.45, y - size * rng.uniform(0.02, 0.1)
        for colour, scale in ((dark, 1.25), (iris, 1.0), (dark, rng.uniform(0.4, 0.8))):
            tone[:] = blend(tone, colour, _dot(v, u, ey, ex, big * scale * 0.9, big * scale))
        tone[:] = blend(
            tone, np.ones(3, np.float32), _dot(v, u, ey - big * 0.3, ex + big * 0.3, big * 0.22, big * 0.22)
        )
    nose: Colour = dark if rng.random() < 0.6 else np.array([0.75, 0.45, 0.42], np.float32)
    ny, nx = y + size * 0.42, x + facing * size * 1.1
    tone[:] = blend(tone, nose, _dot(v, u, ny, nx, size * 0.13, size * 0.18))
    tone[:] = blend(tone, dark, _dot(v, u, ny + size * 0.28, nx, size * 0.03, size * 0.3) * np.float32(0.6))
