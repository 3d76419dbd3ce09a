"""The classes: key, colour, name, what they look like in words, and whether this image has them (tags)."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QHBoxLayout,
    QLineEdit,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.errors import WsssError
from napari_wsss.models.knowledge import load_knowledge
from napari_wsss.viewer.binding import Binding
from napari_wsss.widgets.icons import swatch
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import fit_height, table, tool_button

_KEY, _NAME, _TAG = range(3)
_ROW = 24
_TAGS = {None: ("tag", "nothing said"), True: ("✓ here", "in this image"), False: ("✗ not", "not in this image")}


class ClassTable(QWidget):
    """Rows of classes. Click a row or press its key to choose; double-click a name to change it."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self._filling = False
        self.table = table(["key", "class", "tag"], _NAME, headed=False)
        self.table.setColumnWidth(_KEY, 26)
        self.table.setColumnWidth(_TAG, 64)
        self.table.cellClicked.connect(self._clicked)
        self.table.itemChanged.connect(self._renamed)
        self.complete = QCheckBox("list complete")
        self.complete.setToolTip("No other class than those tagged as here is in this image")
        self.complete.clicked.connect(self._session.labelling.set_complete)
        self.colour_button = tool_button("Colour…", "Another colour for the chosen class")
        self.colour_button.clicked.connect(self._recolour)
        self.add_button = tool_button("+ class", "A new class at the end; double-click its name to change it")
        self.add_button.clicked.connect(self._add)
        self.words = QLineEdit()
        self.words.setClearButtonEnabled(True)
        self.words.editingFinished.connect(self._describe)
        row = QHBoxLayout()
        row.addWidget(self.complete, 1)
        row.addWidget(self.colour_button)
        row.addWidget(self.add_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.table)
        column.addWidget(self.words)
        column.addLayout(row)
        for signal in (
            self._session.project_changed, self._session.classes_changed, self._session.image_opened,
            self._session.tags_changed,
        ):  # fmt: skip
            listen(self, signal, self.refresh)
        listen(self, self._session.class_changed, self._select)
        self.refresh()

    def refresh(self) -> None:
        """Show the project's classes and the image's tags."""
        classes = self._session.classes
        opened = self._session.opened
        self._filling = True
        self.table.setRowCount(len(classes))
        for row, c in enumerate(classes):
            self.table.setRowHeight(row, _ROW)
            self._put(row, _KEY, str(c.id) if c.id < 10 else "", f"key {c.id}" if c.id < 10 else "no key")
            self._put(row, _NAME, c.name, "double-click to rename", editable=True).setIcon(swatch(c.colour))
            tag = self._put(row, _TAG, *self._tag(c.id))
            if tag.text() == _TAGS[None][0]:
                tag.setForeground(QColor("#80868f"))
        fit_height(self.table, _ROW, least=2)
        self.complete.setChecked(opened is not None and opened.tags.complete)
        self._filling = False
        for widget in (self.complete, self.colour_button, self.add_button, self.words):
            widget.setEnabled(bool(classes))
        self._select()

    def _put(self, row: int, column: int, text: str, tip: str, editable: bool = False) -> QTableWidgetItem:
        item = QTableWidgetItem(text)
        item.setToolTip(tip)
        if not editable:
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
        self.table.setItem(row, column, item)
        return item

    def _tag(self, class_id: int) -> tuple[str, str]:
        opened = self._session.opened
        said = None
        if opened is not None:
            said = True if class_id in opened.tags.present else False if class_id in opened.tags.absent else None
        text, meaning = _TAGS[said]
        return text, f"{meaning}; click to change"

    def _select(self) -> None:
        if not self.table.rowCount():
            self.words.setPlaceholderText("")
            return
        self.table.selectRow(self._session.class_id - 1)
        chosen = self._session.classes[self._session.class_id - 1]
        self.words.setText(", ".join(chosen.phrases))
        self.words.setPlaceholderText(f"in words: {', '.join(self._known(chosen.name)[:3])}")
        self.words.setToolTip(
            f"What {chosen.name} looks like, for maps made from text; phrases separated by commas. "
            "Empty: what is shown in grey, from the knowledge base"
        )

    def _known(self, name: str) -> tuple[str, ...]:
        """What describes a class without words of its own."""
        own = self._session.the_project().folder / "knowledge.toml"
        try:
            known = load_knowledge(own if own.is_file() else None).of(name)
        except WsssError as error:
            self._session.failed.emit(str(error))
            return (name,)
        return tuple(dict.fromkeys((name, *known.synonyms, *known.phrases)))

    def _describe(self) -> None:
        """The words of the chosen class were edited."""
        if not self._session.classes:
            return
        old = self._session.classes[self._session.class_id - 1]
        phrases = tuple(dict.fromkeys(p for part in self.words.text().split(",") if (p := part.strip())))
        self._session.describing.change("words", replace(old, phrases=phrases))

    def _clicked(self, row: int, column: int) -> None:
        if column != _TAG:
            self._session.choose_class(row + 1)
            return
        opened = self._session.opened
        if opened is not None:
            k = row + 1
            said = False if k in opened.tags.present else None if k in opened.tags.absent else True
            self._session.labelling.set_tag(k, said)

    def _renamed(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.column() == _NAME:
            old = self._session.classes[item.row()]
            self._session.describing.change("rename class", replace(old, name=item.text().strip()))
            self.refresh()  # the old name, where the project does not allow the new one

    def _recolour(self) -> None:
        old = self._session.classes[self._session.class_id - 1]
        colour = QColorDialog.getColor(QColor(old.colour), self, f"Colour of {old.name}")
        if colour.isValid():
            self._session.describing.change("colour", replace(old, colour=colour.name()))

    def _add(self) -> None:
        made = self._session.describing.add()
        self.table.editItem(self.table.item(made.id - 1, _NAME))
