"""The accepted objects of the image, one a row, and what can be done with the chosen ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from qtpy.QtCore import QAbstractItemModel, QItemSelectionModel, Qt
from qtpy.QtWidgets import QAbstractItemView, QGridLayout, QPushButton, QTableWidgetItem, QVBoxLayout, QWidget

from napari_wsss.session.counts import Item
from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.keys import actions, shown
from napari_wsss.widgets.icons import icon, swatch
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import fit_height, table

_ROW = 20
_MOST = 2000  # rows; a table of more is no help to anybody
_ROWS = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
_BUTTONS = {
    "merge_objects": ("merge", "Merge", "The chosen objects become one (Shift+click adds to the choice)"),
    "split_object": ("split", "Split", "Between the points on it; else draw a line, or click once in each part"),
    "relabel_object": ("class", "To class", "Give the chosen objects the class that is chosen above"),
    "delete_object": ("delete", "Delete", "The chosen objects are accepted no more; their clicks and strokes go, too"),
}


class ObjectList(QWidget):
    """A row an object; choosing rows chooses objects, and the other way round."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self._items: list[Item] = []
        self._filling = False
        self.table = table(["class", "number", "area"], None, headed=True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSortingEnabled(True)
        self.table.setToolTip("Click a row to see its object; Ctrl or Shift chooses several")
        self.table.itemSelectionChanged.connect(self._on_rows)
        self.buttons: dict[str, QPushButton] = {}
        do = actions(binding)
        grid = QGridLayout()
        grid.setSpacing(3)
        for place, (name, (_, text, tip)) in enumerate(_BUTTONS.items()):
            button = QPushButton(f"{text}  {shown(name)}")
            button.setToolTip(tip)
            button.clicked.connect(_calls(do[name]))
            self.buttons[name] = button
            grid.addWidget(button, place // 2, place % 2)
        self.separate = QPushButton("One object a point")
        self.separate.setToolTip("Every clicked object of the image gets its own number; touching ones are divided")
        self.separate.clicked.connect(self._session.reshaping.separate)
        grid.addWidget(self.separate, 2, 0, 1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.table)
        column.addLayout(grid)
        listen(self, self._session.chosen_changed, self._on_chosen)
        listen(self, self._session.image_opened, self._enable)
        self.restyle()
        self.show_items([], "px")

    def restyle(self) -> None:
        """The theme changed."""
        theme = str(self._binding.viewer.theme)
        for name, button in self.buttons.items():
            button.setIcon(icon(_BUTTONS[name][0], theme))
        self.separate.setIcon(icon("separate", theme))

    def show_items(self, items: list[Item], unit: str) -> None:
        """Fill the table."""
        self._items = items[:_MOST]
        colours = {c.id: (c.name, c.colour) for c in self._session.classes}
        self._filling = True
        self.table.setSortingEnabled(False)
        self.table.setHorizontalHeaderLabels(["class", "number", f"area [{unit}]"])
        self.table.setRowCount(len(self._items))
        for row, item in enumerate(self._items):
            name, colour = colours.get(item.class_id, ("?", "#ff00ff"))
            first = QTableWidgetItem(swatch(colour, 12), name)
            first.setData(Qt.ItemDataRole.UserRole, row)
            self.table.setItem(row, 0, first)
            for column, value in ((1, item.instance or "region"), (2, item.area)):
                cell = QTableWidgetItem()
                cell.setData(Qt.ItemDataRole.DisplayRole, value)
                cell.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, cell)
            self.table.setRowHeight(row, _ROW)
        self.table.setSortingEnabled(True)
        fit_height(self.table, _ROW, least=1, most=5)
        self._filling = False
        self._enable()
        self._on_chosen()

    def _enable(self, *_: Any) -> None:
        for button in (*self.buttons.values(), self.separate):
            button.setEnabled(self._session.opened is not None and bool(self._items))

    def _on_rows(self) -> None:
        """Rows were chosen: so are their objects, and the last one comes into sight."""
        if self._filling:
            return
        rows = [index.row() for index in self._model.selectedRows()]
        wanted = [self._items[self._index(row)] for row in rows]
        self._filling = True
        self._session.reshaping.choose_numbered([(i.class_id, i.instance, i.place) for i in wanted])
        self._filling = False
        if wanted:
            self._binding.look_at(*wanted[-1].place)

    def _on_chosen(self, *_: Any) -> None:
        """Objects were chosen in the image: so are their rows."""
        if self._filling:
            return
        self._filling = True
        self.table.clearSelection()
        chosen = self._session.reshaping.chosen
        for row in range(self.table.rowCount() if chosen else 0):
            item = self._items[self._index(row)]
            alike = [t for t in chosen if (t.class_id, t.instance) == (item.class_id, item.instance)]
            if any(t.holds(*item.place) for t in alike):
                self._model.select(cast("QAbstractItemModel", self.table.model()).index(row, 0), _ROWS)
                self.table.scrollToItem(self.table.item(row, 0))
        self._filling = False

    def _index(self, row: int) -> int:
        """Of the table's row in the list of objects: the person may have sorted the table."""
        return int(cast("QTableWidgetItem", self.table.item(row, 0)).data(Qt.ItemDataRole.UserRole))

    @property
    def _model(self) -> QItemSelectionModel:
        return cast("QItemSelectionModel", self.table.selectionModel())


def _calls(what: Callable[[], Any]) -> Callable[[], None]:
    def on_click() -> None:
        what()

    return on_click
