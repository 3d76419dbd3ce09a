"""Icons of one family, in the theme's colour."""

from __future__ import annotations

from functools import cache

from napari.utils.theme import get_theme
from qtpy.QtCore import QByteArray, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer

from napari_wsss._resources import resource

_SIDE = 48


@cache
def icon(name: str, theme: str) -> QIcon:
    """The icon of this name; faint where its button is disabled, on the highlight where it is chosen."""
    colours = get_theme(theme)
    made = QIcon()
    made.addPixmap(_drawn(name, colours.icon.as_hex(format="long")), QIcon.Mode.Normal)
    made.addPixmap(_drawn(name, colours.primary.as_hex(format="long")), QIcon.Mode.Disabled)
    chosen = _drawn(name, colours.text.as_hex(format="long"), colours.current.as_hex(format="long"))
    made.addPixmap(chosen, QIcon.Mode.Normal, QIcon.State.On)
    return made


def _drawn(name: str, colour: str, behind: str = "") -> QPixmap:
    text = resource("icons", f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    if behind:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(behind))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(0, 0, _SIDE, _SIDE, 8, 8)
    QSvgRenderer(QByteArray(text.encode())).render(painter, QRectF(0, 0, _SIDE, _SIDE))
    painter.end()
    return pixmap


def swatch(colour: str, side: int = 14) -> QIcon:
    """A square of a class's colour."""
    pixmap = QPixmap(side, side)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
