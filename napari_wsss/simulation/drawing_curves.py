"""Learning curves as SVG and PNG, from the same shapes: axes, ticks, a line and a band a strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image as Picture
from PIL import ImageDraw

from napari_wsss.simulation.curve import CEILING, Budget, Summary

_SIZE = (640, 400)
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 20, 190, 48
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c")
_TICKS = 5
_NAMES = {"pixels": "labelled pixels", "questions": "questions", "seconds": "modelled seconds"}


@dataclass(frozen=True, slots=True)
class _Axes:
    """Budget and mIoU to pixels of the picture."""

    low: float
    high: float
    bottom: float
    top: float

    def x(self, budget: float) -> float:
        width = _SIZE[0] - _LEFT - _RIGHT
        return _LEFT + width * (budget - self.low) / max(self.high - self.low, 1e-9)

    def y(self, miou: float) -> float:
        height = _SIZE[1] - _TOP - _BOTTOM
        return _TOP + height * (1 - (miou - self.bottom) / (self.top - self.bottom))


def draw_curves(curves: Sequence[Summary], budget: Budget, file: Path) -> None:
    """Write ``file`` with the ending .svg and the same picture beside it as .png.

    The ceiling is a dashed line over the whole width. Bands are one standard deviation over seeds.
    """
    shown = [c for c in curves if c.strategy != CEILING and min(c.budgets[budget]) > 0]
    ceiling = next((c.miou[-1] for c in curves if c.strategy == CEILING), None)
    if not shown:
        raise ValueError("no curve to draw")
    axes = _axes(shown, ceiling, budget)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".svg").write_text(_svg(shown, ceiling, budget, axes), encoding="utf-8")
    _png(shown, ceiling, budget, axes).save(file.with_suffix(".png"))


def _axes(curves: Sequence[Summary], ceiling: float | None, budget: Budget) -> _Axes:
    budgets = [b for c in curves for b in c.budgets[budget]]
    values = [v + s for c in curves for v, s in zip(c.miou, c.spread)] + ([] if ceiling is None else [ceiling])
    lowest = min(v - s for c in curves for v, s in zip(c.miou, c.spread))
    bottom, top = math.floor(10 * lowest) / 10, math.ceil(10 * max(values)) / 10
    return _Axes(min(budgets), max(budgets), bottom, max(top, bottom + 0.1))


def _points(curve: Summary, budget: Budget, axes: _Axes, sign: int = 0) -> list[tuple[float, float]]:
    return [(axes.x(b), axes.y(v + sign * s)) for b, v, s in zip(curve.budgets[budget], curve.miou, curve.spread)]


def _ticks(axes: _Axes) -> tuple[list[float], list[float]]:
    """Budgets and mIoUs, evenly."""
    across = [axes.low + i * (axes.high - axes.low) / (_TICKS - 1) for i in range(_TICKS)]
    across = across if axes.high > axes.low else [axes.low]
    up = [axes.bottom + i * (axes.top - axes.bottom) / (_TICKS - 1) for i in range(_TICKS)]
    return across, up


def _svg(curves: Sequence[Summary], ceiling: float | None, budget: Budget, axes: _Axes) -> str:
    width, height = _SIZE
    right, bottom = width - _RIGHT, height - _BOTTOM
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
    ]
    across, up = _ticks(axes)
    out += [f'<text x="{axes.x(b):.1f}" y="{bottom + 18}" text-anchor="middle">{b:,.0f}</text>' for b in across]
    out += [f'<text x="{_LEFT - 6}" y="{axes.y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>' for v in up]
    out.append(f'<text x="{(_LEFT + right) / 2}" y="{height - 8}" text-anchor="middle">{_NAMES[budget]}</text>')
    out.append(f'<text x="8" y="{_TOP - 6}">mIoU</text>')
    if ceiling is not None:
        out.append(f'<path d="M{_LEFT} {axes.y(ceiling):.1f}H{right}" stroke="black" stroke-dasharray="5 4"/>')
        out.append(f'<text x="{_LEFT + 8}" y="{axes.y(ceiling) - 5:.1f}">every mask</text>')
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        band = _points(curve, budget, axes, 1) + _points(curve, budget, axes, -1)[::-1]
        out.append(f'<polygon points="{_text(band)}" fill="{colour}" opacity="0.15"/>')
        line = _text(_points(curve, budget, axes))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _TOP + 40 + 18 * number
        out.append(f'<text x="{right + 8}" y="{y}" fill="{colour}">{escape(_named(curve))}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _png(curves: Sequence[Summary], ceiling: float | None, budget: Budget, axes: _Axes) -> Picture.Image:
    width, height = _SIZE
    right, bottom = width - _RIGHT, height - _BOTTOM
    picture = Picture.new("RGB", _SIZE, "white")
    pen = ImageDraw.Draw(picture, "RGBA")
    pen.line([(_LEFT, _TOP), (_LEFT, bottom), (right, bottom)], fill="black")
    across, up = _ticks(axes)
    for b in across:
        pen.text((axes.x(b), bottom + 6), f"{b:,.0f}", fill="black", anchor="ma")
    for v in up:
        pen.text((_LEFT - 6, axes.y(v)), f"{v:.2f}", fill="black", anchor="rm")
    pen.text(((_LEFT + right) / 2, height - 20), _NAMES[budget], fill="black", anchor="ma")
    pen.text((8, 4), "mIoU", fill="black")
    if ceiling is not None:
        for x in range(_LEFT, right, 9):
            pen.line([(x, axes.y(ceiling)), (min(x + 5, right), axes.y(ceiling))], fill="black")
        pen.text((_LEFT + 8, axes.y(ceiling) - 3), "every mask", fill="black", anchor="lb")
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        band = _points(curve, budget, axes, 1) + _points(curve, budget, axes, -1)[::-1]
        if len(band) > 2:
            pen.polygon(band, fill=colour + "26")
        pen.line(_points(curve, budget, axes), fill=colour, width=2)
        pen.text((right + 8, _TOP + 30 + 18 * number), _named(curve), fill=colour)
    return picture


def _named(curve: Summary) -> str:
    area = "" if curve.area is None else f" ({curve.area:.3f})"
    return f"{curve.strategy}, {curve.labels}{area}"


def _text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
