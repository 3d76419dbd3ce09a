"""How many objects of each class are accepted in this image, and how large they are."""

from __future__ import annotations

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
from napari_wsss.session import Session, counts
from napari_wsss.viewer.sight import single_shot
from napari_wsss.widgets.icons import swatch
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import fit_height, table

_ROW = 22


class Objects(QWidget):
    """A table a class, and saving it as CSV. Counts while it can be seen only."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._rows: list[counts.Row] = []
        self.table = table(["class", "objects", "area", "share"], None, headed=True)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.save = QPushButton("Save as CSV…")
        self.save.clicked.connect(self._save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
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
        opened, classes = self._session.opened, self._session.classes
        if opened is None or not self.isVisible():
            return

        def work(job: Job[list[counts.Row]]) -> list[counts.Row]:
            labels, ids = opened.accepted.copy(), opened.instances.copy()
            return counts.count(labels, ids if ids.any() else None, classes, opened.pixel_size)

        self._session.when_done(self._session.start(work, "count", "counting", Priority.CLICK), self._show)

    def _show(self, rows: list[counts.Row]) -> None:
        opened = self._session.opened
        self._rows = rows
        area = counts.unit(opened.pixel_size if opened else None)
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

    def _save(self) -> None:
        file, _ = QFileDialog.getSaveFileName(self, "Counts and areas", f"{self._session.name}.csv", "CSV (*.csv)")
        opened = self._session.opened
        if file and opened is not None:
            Path(file).write_text(counts.to_csv(opened.name, self._rows, opened.pixel_size), encoding="utf-8")
            self._session.told.emit(f"Saved {file}")
