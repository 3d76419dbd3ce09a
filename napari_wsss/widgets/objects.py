"""How many objects of each class are accepted in this image, how large they are, and which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.compute import Job, Priority
from napari_wsss.session import counts
from napari_wsss.session.opened import Opened
from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.sight import single_shot
from napari_wsss.widgets.icons import swatch
from napari_wsss.widgets.listening import listen, while_alive
from napari_wsss.widgets.object_list import ObjectList
from napari_wsss.widgets.parts import fit_height, table

_ROW = 22


class Objects(QWidget):
    """A row a class, saved as CSV; a row an object. Counts while it can be seen only."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._session = session = binding.session
        self.list = ObjectList(binding)
        self.table = table(["class", "objects", "area", "share"], None, headed=True)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.save = QPushButton("Save as CSV…")
        self.save.clicked.connect(self._ask)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.list)
        column.addWidget(self.table)
        column.addWidget(self.save)
        self._soon = single_shot(150, self.refresh, self)
        for signal in (session.accepted_changed, session.image_opened, session.project_changed):
            listen(self, signal, self._later)

    def _later(self, *_: Any) -> None:
        self._soon.start()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._later()

    def refresh(self) -> None:
        """Count again, in the torch thread: large masks take a while."""
        opened = self._session.opened
        self.save.setEnabled(opened is not None)
        if opened is None:
            self.list.show_items([], "px")
            self.table.setRowCount(0)
        elif self.isVisible():
            self._count(opened, while_alive(self, lambda found: self._show(*found)))

    def _count(self, opened: Opened, then: Callable[[tuple[list[counts.Row], list[counts.Item]]], None]) -> None:
        classes, size = self._session.classes, opened.pixel_size

        def work(job: Job[Any]) -> Any:
            labels, ids = opened.accepted.copy(), opened.instances.copy()
            numbers = ids if ids.any() else None
            return counts.count(labels, numbers, classes, size), counts.listed(labels, numbers, classes, size)

        self._session.when_done(self._session.start(work, "count", "counting", Priority.CLICK), then)

    def _show(self, rows: list[counts.Row], items: list[counts.Item]) -> None:
        opened = self._session.opened
        area = counts.unit(opened.pixel_size if opened else None)
        self.list.show_items(items, area)
        self.table.setHorizontalHeaderLabels(["class", "objects", f"area [{area}]", "share"])
        self.table.setRowCount(len(rows))
        for n, row in enumerate(rows):
            texts = (row.name, str(row.objects), f"{row.area:,.6g}", f"{row.share:.1%}")
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                else:
                    item.setIcon(swatch(row.colour, 12))
                self.table.setItem(n, column, item)
            self.table.setRowHeight(n, _ROW)
        fit_height(self.table, _ROW)

    def _ask(self) -> None:
        file, _ = QFileDialog.getSaveFileName(self, "Counts and areas", f"{self._session.name}.csv", "CSV (*.csv)")
        if file:
            self.save_as(Path(file))

    def save_as(self, file: Path) -> None:
        """Count what is accepted now and write it."""
        opened = self._session.opened
        if opened is None:
            return

        def write(found: tuple[list[counts.Row], list[counts.Item]]) -> None:
            try:
                file.write_text(counts.to_csv(opened.name, found[0], opened.pixel_size), encoding="utf-8")
            except OSError as error:
                self._session.failed.emit(f"{file} was not written: {error.strerror}")
            else:
                self._session.told.emit(f"Saved {file}")

        self._count(opened, write)
