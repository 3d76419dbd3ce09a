"""Small parts that several widgets of the dock are made of."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QToolButton

from napari_wsss import registry


def tool_button(text: str = "", tip: str = "", checkable: bool = False, side: int = 16) -> QToolButton:
    """A flat button with a text, or for an icon of so many pixels."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    button.setIconSize(QSize(side, side))
    return button


def table(titles: list[str], stretched: int | None, headed: bool) -> QTableWidget:
    """A table of rows to choose from; the stretched column takes what room there is (None: the first, others fit)."""
    made = QTableWidget(0, len(titles))
    made.setHorizontalHeaderLabels(titles)
    made.setShowGrid(False)
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    cast("QHeaderView", made.verticalHeader()).hide()
    header = cast("QHeaderView", made.horizontalHeader())
    header.setVisible(headed)
    if stretched is None:
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    else:
        header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
    return made


def fit_height(made: QTableWidget, row: int, least: int = 0, most: int = 6) -> None:
    """Make a table as high as its rows, within bounds."""
    header = cast("QHeaderView", made.horizontalHeader())
    head = 0 if header.isHidden() else header.sizeHint().height()
    made.setFixedHeight(min(max(made.rowCount(), least), most) * row + head + 4)


def method_combo(kind: str, *first: str) -> QComboBox:
    """The methods of a kind, each with its line as a tooltip; before them what else can be chosen."""
    made = QComboBox()
    made.addItems(first)
    for name in registry.names(kind):
        made.addItem(name)
        made.setItemData(made.count() - 1, registry.summary(kind, name), 3)  # tooltip
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(7)
    return made
