"""A part of the dock that can be folded away."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_wsss.widgets.parts import tool_button


class Section(QWidget):
    """A title that shows and hides what is below it."""

    def __init__(self, title: str, content: QWidget, unfolded: bool = False) -> None:
        super().__init__()
        self.title = tool_button(title, checkable=True)
        self.title.setChecked(unfolded)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.title.setAutoRaise(True)
        self.title.toggled.connect(self._fold)
        self._content = content
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.title)
        column.addWidget(content)
        self._fold(unfolded)

    def _fold(self, on: bool) -> None:
        self.title.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self._content.setVisible(on)
