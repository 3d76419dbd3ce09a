"""The learning curve: losses, and mIoU on the held-out images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari.utils.theme import get_theme
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_wsss.session.curve import Curve, Point

LOSS, QUALITY = QColor("#d98a2b"), QColor("#3fae5a")
_HEIGHT = 104
_HEAD, _FOOT, _SIDE = 18, 14, 6  # pixels around the plot
_EMPTY = "the learning curve appears here"


class CurvePlot(QWidget):
    """Two lines over the steps: the loss from 0 to its largest, mIoU from 0 to 1."""

    def __init__(self, theme: str) -> None:
        super().__init__()
        self.curve = Curve()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Loss at each step (orange, lower is better); mIoU on held-out accepted images (green, 0 to 1)")
        self.restyle(theme)

    def restyle(self, theme: str) -> None:
        """The theme changed."""
        colours = get_theme(theme)
        self._ink, self._ground = QColor(colours.text.as_hex("long")), QColor(colours.foreground.as_hex("long"))
        self.update()

    def show_curve(self, curve: Curve) -> None:
        self.curve = curve
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        plot = QRectF(_SIDE, _HEAD, self.width() - 2 * _SIDE, self.height() - _HEAD - _FOOT)
        painter.fillRect(plot, self._ground)
        font = painter.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        painter.setFont(font)
        losses = means(self.curve.losses, int(plot.width()))
        if losses:
            top = max(value for _, value in losses)
            self._line(painter, plot, losses, top, LOSS)
            self._line(painter, plot, list(self.curve.held_out), 1.0, QUALITY, dots=True)
        self._words(painter, plot, bool(losses))
        painter.end()

    def _line(
        self, painter: QPainter, plot: QRectF, points: list[Point], top: float, colour: QColor, dots: bool = False
    ) -> None:
        last = max(1, self.curve.step)
        places = [
            QPointF(
                plot.left() + plot.width() * step / last,
                plot.bottom() - plot.height() * min(1.0, value / (top or 1.0)),
            )
            for step, value in points
        ]
        painter.setPen(QPen(colour, 1.6))
        painter.drawPolyline(QPolygonF(places))
        if dots:
            painter.setBrush(colour)
            for place in places:
                painter.drawEllipse(place, 2.2, 2.2)

    def _words(self, painter: QPainter, plot: QRectF, any_loss: bool) -> None:
        head = QRectF(plot.left(), 0, plot.width(), _HEAD)
        middle = Qt.AlignmentFlag.AlignVCenter
        if not any_loss:
            painter.setPen(self._ink)
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, _EMPTY)
            return
        painter.setPen(LOSS)
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft | middle, f"loss {self.curve.losses[-1][1]:.3f}")
        if self.curve.held_out:
            painter.setPen(QUALITY)
            painter.drawText(head, Qt.AlignmentFlag.AlignRight | middle, f"mIoU {self.curve.held_out[-1][1]:.2f}")
        painter.setPen(self._ink)
        foot = QRectF(plot.left(), plot.bottom(), plot.width(), _FOOT)
        painter.drawText(foot, Qt.AlignmentFlag.AlignRight | middle, f"step {self.curve.step}")


def means(points: Sequence[Point], columns: int) -> list[Point]:
    """At most so many points, each the mean of its neighbours; what is no finite number is left out."""
    kept = [(step, value) for step, value in points if math.isfinite(value)]
    width = max(1, -(-len(kept) // max(1, columns)))
    parts = [kept[i : i + width] for i in range(0, len(kept), width)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
