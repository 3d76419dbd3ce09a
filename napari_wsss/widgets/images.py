"""The project's images as thumbnails with their state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.compute import Job, Priority
from napari_wsss.project import ImageRecord
from napari_wsss.session import Session
from napari_wsss.session.opened import thumbnail
from napari_wsss.widgets.listening import listen

STATES = ("new", "labelled", "proposed", "accepted", "skipped")
COLOURS = {"new": "#8a8f98", "labelled": "#4c9be8", "proposed": "#e0a030", "accepted": "#3fae5a", "skipped": "#555a63"}
_ICON = QSize(64, 48)


class ImageStrip(QWidget):
    """Thumbnails; a click opens the image. The bar below each tells its state."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.thumbnails: dict[str, QPixmap] = {}
        self._wanted: list[ImageRecord] = []
        self.filter = QComboBox()
        self.filter.addItems(["all images", *STATES])
        self.filter.setToolTip("Show only images in this state")
        self.filter.currentIndexChanged.connect(self.refresh)
        self.worst = QCheckBox("worst first")
        self.worst.setToolTip("Order by how good the predictions are thought to be; Next follows it")
        self.worst.clicked.connect(session.worst_first.sort)
        self._count = QLabel()
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setIconSize(_ICON)
        self.list.setGridSize(QSize(_ICON.width() + 8, _ICON.height() + 22))
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setFixedHeight(_ICON.height() + 44)
        self.list.itemClicked.connect(self._clicked)
        top = QHBoxLayout()
        top.addWidget(self._count, 1)
        top.addWidget(self.worst)
        top.addWidget(self.filter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(top)
        column.addWidget(self.list)
        listen(self, session.images_changed, self.refresh)
        listen(self, session.project_changed, self._forget)
        listen(self, session.image_opened, self._mark_current)
        self.refresh()

    def _forget(self) -> None:
        self.thumbnails.clear()
        self.refresh()

    def refresh(self) -> None:
        """Show the images of the chosen state."""
        records = self._session.records()
        wanted = self.filter.currentText()
        shown = [r for r in records if self.filter.currentIndex() <= 0 or r.state == wanted]
        accepted = sum(r.state == "accepted" for r in records)
        self._count.setText(f"{accepted} of {len(records)} accepted" if records else "no images")
        self.worst.setChecked(bool(self._session.worst_first.found))
        self.worst.setEnabled(bool(records))
        self.list.clear()
        for record in shown:
            item = QListWidgetItem(record.name.rsplit("/", 1)[-1])
            item.setData(Qt.ItemDataRole.UserRole, record.name)
            quality = self._session.worst_first.words(record.name)
            size = f"{record.shape[1]} × {record.shape[0]} pixels"
            item.setToolTip(", ".join(part for part in (f"{record.name}: {record.state}", size, quality) if part))
            item.setIcon(self._icon(record))
            self.list.addItem(item)
        self._wanted = [r for r in shown if r.name not in self.thumbnails]
        self._mark_current()
        self._next_thumbnail()

    def _icon(self, record: ImageRecord) -> QIcon:
        pixmap = QPixmap(_ICON)
        pixmap.fill(QColor("#30343a"))
        painter = QPainter(pixmap)
        picture = self.thumbnails.get(record.name)
        if picture is not None:
            at = (_ICON.width() - picture.width()) // 2, (_ICON.height() - 5 - picture.height()) // 2
            painter.drawPixmap(max(0, at[0]), max(0, at[1]), picture)
        painter.fillRect(0, _ICON.height() - 5, _ICON.width(), 5, QColor(COLOURS[record.state]))
        painter.end()
        made = QIcon(pixmap)
        made.addPixmap(pixmap, QIcon.Mode.Selected)  # without the selection's tint
        return made

    def _next_thumbnail(self) -> None:
        """One at a time, when nothing else runs."""
        project = self._session.project
        if not self._wanted or project is None:
            return
        record = self._wanted[0]

        def work(job: Job[NDArray[np.uint8]]) -> NDArray[np.uint8]:
            return thumbnail(project, record, (_ICON.height() - 5, _ICON.width()))

        job = self._session.start(work, "thumbnail", "thumbnails", Priority.IDLE)
        self._session.when_done(job, lambda pixels: self._got(record, pixels))

    def _got(self, record: ImageRecord, pixels: NDArray[Any]) -> None:
        if self._wanted and self._wanted[0] is record:
            h, w = pixels.shape[:2]
            image = QImage(pixels.tobytes(), w, h, 3 * w, QImage.Format.Format_RGB888)
            self.thumbnails[record.name] = QPixmap.fromImage(image)
            for row in range(self.list.count()):
                item = self.list.item(row)
                if item is not None and item.data(Qt.ItemDataRole.UserRole) == record.name:
                    item.setIcon(self._icon(record))
            self._wanted = self._wanted[1:]
            self._next_thumbnail()

    def _mark_current(self) -> None:
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == self._session.name:
                self.list.setCurrentItem(item)
                self.list.scrollToItem(item)

    def _clicked(self, item: QListWidgetItem) -> None:
        name = item.data(Qt.ItemDataRole.UserRole)
        if name != self._session.name:
            self._session.open(name)
