"""The tools that the mouse may hold."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QGridLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_wsss.viewer.binding import Binding, Tool
from napari_wsss.viewer.keys import shown
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import tool_button

TOOLS: dict[Tool, tuple[str, str]] = {
    "point": ("Point", "Click an object: its mask appears. Right click or Shift+click: not this."),
    "negative": ("Not", "Click where the object is not; right click or Shift+click adds to it."),
    "scribble": ("Stroke", "Draw strokes of the chosen class, for the stages to learn from."),
    "box": ("Box", "Draw a box around an object."),
    "block": ("Block", "Draw a rectangle that is wholly of the chosen class."),
    "paint": ("Paint", "Paint pixels into the proposed object."),
    "erase": ("Erase", "Erase pixels of the proposed object."),
    "object": ("Object", "Click an accepted object to choose it; Shift+click adds one. Then merge, split, delete it."),
    "split": ("Split", "Draw a line through an accepted object, or click once in each of its parts."),
}
_A_ROW = 5


class ToolRow(QWidget):
    """One button a tool, with its key."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding = binding
        self.buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        grid = QGridLayout()
        grid.setSpacing(2)
        for place, (name, (title, tip)) in enumerate(TOOLS.items()):
            button = tool_button(f"{title}\n{shown(name)}", tip, checkable=True, side=20)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            font = button.font()
            font.setPointSizeF(font.pointSizeF() - 0.8)
            button.setFont(font)
            button.setMinimumWidth(10)
            button.clicked.connect(lambda checked, tool=name: self._use(tool))
            self._group.addButton(button)
            self.buttons[name] = button
            grid.addWidget(button, place // _A_ROW, place % _A_ROW)
        self.preview = QCheckBox("outline what is under the mouse")
        self.preview.setToolTip(
            "With the point tool: what a click would bring, before it is made. Nothing is kept of it."
        )
        self.preview.setChecked(binding.session.hovering.on)
        self.preview.toggled.connect(binding.hover.switch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(grid)
        column.addWidget(self.preview)
        self.restyle()
        listen(self, binding.tool_changed, self.refresh)
        self.refresh()

    def restyle(self) -> None:
        """The theme changed."""
        for name, button in self.buttons.items():
            button.setIcon(icon(name, str(self._binding.viewer.theme)))

    def refresh(self) -> None:
        """Show which tool is in hand."""
        self.buttons[self._binding.tool].setChecked(True)

    def _use(self, tool: str) -> None:
        self._binding.use(cast("Tool", tool))
        self.refresh()
