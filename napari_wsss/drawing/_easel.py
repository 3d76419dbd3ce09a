"""Where a scene is painted: the picture and, under every stroke, the map of what is visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_wsss.drawing.scene import Scene
from napari_wsss.types import Float, Labels

LEAST = 24
"""Pixels of the smallest object that a scene keeps."""

_FINE = 3  # a polygon is drawn this many times finer and averaged, for soft edges


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the picture: half-open rows and columns, inside it."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def at(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grid(self) -> tuple[Float, Float]:
        """Row (h, 1) and column (1, w) of every pixel of the window."""
        rows = np.arange(self.top, self.bottom, dtype=np.float32)[:, None]
        return rows, np.arange(self.left, self.right, dtype=np.float32)[None, :]


class Easel:
    """A picture being painted from back to front.

    Parameters
    ----------
    ground : float32 (h, w, 3)
        What is behind everything; painted over.
    levels : int
        Maps of objects. What is laid at level k hides what lies above k in the same pixels and leaves lower levels:
        a panel (1) is on a roof (0), a tree (0) hides both.
    """

    def __init__(self, ground: Float, levels: int = 1) -> None:
        self.picture = np.array(ground, np.float32)
        self.maps: list[Labels] = [np.zeros(ground.shape[:2], np.uint16) for _ in range(levels)]
        self._count = 0

    @property
    def shape(self) -> tuple[int, int]:
        h, w = self.picture.shape[:2]
        return h, w

    def window(self, y: float, x: float, reach_y: float, reach_x: float | None = None) -> Window | None:
        """The pixels within reach of a place; None where these are none of the picture's."""
        h, w = self.shape
        reach_x = reach_y if reach_x is None else reach_x
        top, bottom = max(0, int(y - reach_y)), min(h, int(y + reach_y) + 2)
        left, right = max(0, int(x - reach_x)), min(w, int(x + reach_x) + 2)
        return Window(top, bottom, left, right) if bottom - top > 1 and right - left > 1 else None

    def around(self, corners: Float) -> Window | None:
        """The part of the picture that holds a polygon (n, 2)."""
        (top, left), (bottom, right) = corners.min(0) - 1, corners.max(0) + 1
        return self.window((top + bottom) / 2, (left + right) / 2, (bottom - top) / 2, (right - left) / 2)

    def whole(self) -> Window:
        return Window(0, self.shape[0], 0, self.shape[1])

    def tint(self, where: Window, share: Float, colour: Float) -> None:
        """Paint without changing what is what: marks, stains, light. ``share`` (h, w) is 0 to 1."""
        part = self.picture[where.at]
        part += (colour - part) * share[..., None]

    def dim(self, where: Window, share: Float, light: Float | float) -> None:
        """A shadow: multiply by ``light`` where ``share`` is 1."""
        self.picture[where.at] *= 1 - share[..., None] * (1 - np.asarray(light, np.float32))

    def cover(self, where: Window, share: Float, colour: Float) -> None:
        """Paint something that is no object itself and hides the objects behind it."""
        self.tint(where, share, colour)
        for ids in self.maps:
            ids[where.at][share > 0.5] = 0

    def thing(self, where: Window, share: Float, colour: Float, level: int = 0) -> int:
        """Paint a new object; its pixels are those it covers by more than half. Returns its id for now."""
        self.tint(where, share, colour)
        return self.claim(where, share, level)

    def soften(self, rng: np.random.Generator) -> None:
        """The lens: nothing in a photograph is as sharp as a drawing."""
        if rng.random() < 0.8:
            sigma = rng.uniform(0.35, 1.0)
            self.picture = np.asarray(
                ndimage.gaussian_filter(self.picture, (sigma, sigma, 0), truncate=2.5), np.float32
            )

    def claim(self, where: Window, share: Float, level: int = 0) -> int:
        """Make the pixels covered by more than half a new object of a level, painted already."""
        self._count += 1
        mask = share > 0.5
        self.maps[level][where.at][mask] = self._count
        for ids in self.maps[level + 1 :]:
            ids[where.at][mask] = 0
        return self._count

    def scene(self, least: int = LEAST) -> Scene:
        """The finished scene: ids from 1 without gaps in each map, objects under ``least`` pixels dropped."""
        maps = tuple(compact(ids, least) for ids in self.maps)
        return Scene(np.clip(self.picture, 0, 1).astype(np.float32), maps)


def compact(ids: Labels, least: int = LEAST) -> Labels:
    """The same objects numbered from 1 without gaps; those with fewer than ``least`` pixels become 0."""
    sizes = np.bincount(ids.ravel())
    kept = sizes >= least
    kept[0] = False
    table = np.where(kept, np.cumsum(kept), 0).astype(np.uint16)
    return table[ids]


def moved(share: Float, dy: float, dx: float) -> Float:
    """The same shape whole pixels further down and right in its window; what leaves it is lost."""
    (h, w), y, x = share.shape, round(dy), round(dx)
    out = np.zeros_like(share)
    if abs(y) < h and abs(x) < w:
        out[max(y, 0) : h + min(y, 0), max(x, 0) : w + min(x, 0)] = share[
            max(-y, 0) : h + min(-y, 0), max(-x, 0) : w + min(-x, 0)
        ]
    return out


def polygon(where: Window, corners: Float) -> Float:
    """Share of every pixel of a window inside a polygon, 0 to 1; corners (n, 2) as row, column."""
    h, w = where.shape
    drawn = Image.new("L", (w * _FINE, h * _FINE))
    at = (np.asarray(corners) - (where.top - 0.5, where.left - 0.5)) * _FINE - 0.5
    ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for y, x in at], fill=255)
    return np.asarray(np.asarray(drawn.reduce(_FINE), np.float32) / 255, np.float32)


def stroke(where: Window, points: Float, width: float) -> Float:
    """Share of every pixel of a window on a line through points (n, 2), rounded at its joints."""
    h, w = where.shape
    drawn = Image.new("L", (w * _FINE, h * _FINE))
    at = (np.asarray(points) - (where.top - 0.5, where.left - 0.5)) * _FINE - 0.5
    pen, thick = ImageDraw.Draw(drawn), max(1, round(width * _FINE))
    pen.line([(float(x), float(y)) for y, x in at], fill=255, width=thick, joint="curve")
    if thick > 3:
        radius = thick / 2
        for y, x in (at[0], at[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(np.asarray(drawn.reduce(_FINE), np.float32) / 255, np.float32)


def smooth_line(knots: Float, each: int = 8) -> Float:
    """A Catmull-Rom curve through knots (n, 2), ``each`` points a span."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, each, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = a[:, None], b[:, None], c[:, None], d[:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.reshape(-1, 2), knots[-1:]]).astype(np.float32)
