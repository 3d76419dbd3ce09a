"""The project's images as thumbnails with their state."""

from __future__ import annotations

from functools import cache, partial

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
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

from napari_wsss.project import ImageRecord
from napari_wsss.session import Session
from napari_wsss.session.listing import short_names
from napari_wsss.session.opened import thumbnail
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.thumbnails import Thumbnails, untinted

STATES = ("new", "labelled", "proposed", "accepted", "skipped")
COLOURS = {"new": "#8a8f98", "labelled": "#4c9be8", "proposed": "#e0a030", "accepted": "#3fae5a", "skipped": "#555a63"}
_ICON = QSize(64, 48)
_BAR = 5  # pixels below a thumbnail, in the colour of the image's state


class ImageStrip(QWidget):
    """Thumbnails; a click opens the image. The bar below each tells its state."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.thumbnails: Thumbnails[str] = Thumbnails(session, self, "thumbnail", self._arrived)
        self._items: dict[str, QListWidgetItem] = {}  # of every image that was ever listed
        self._listed: list[str] = []
        self._records: dict[str, ImageRecord] = {}  # of those listed
        self._described: dict[str, tuple[str, str, bool, str]] = {}  # what each item tells
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
        """Another project."""
        self.list.clear()
        self._items, self._listed, self._described = {}, [], {}
        self.thumbnails.forget()
        self.refresh()

    def refresh(self) -> None:
        """Show the images of the chosen state; what is shown already costs nothing."""
        records, project = self._session.records(), self._session.project
        wanted = self.filter.currentText()
        shown = {r.name: r for r in records if self.filter.currentIndex() <= 0 or r.state == wanted}
        accepted = sum(r.state == "accepted" for r in records)
        self._count.setText(f"{accepted} of {len(records)} accepted" if records else "no images")
        self.worst.setChecked(bool(self._session.worst_first.found))
        self.worst.setEnabled(bool(records))
        self._records = shown
        self._list(list(shown))
        self._call(short_names([r.name for r in records]))
        for record in shown.values():
            self._describe(record)
        most = _ICON.height() - _BAR, _ICON.width()
        self.thumbnails.want({n: partial(thumbnail, project, r, most) for n, r in shown.items()} if project else {})
        self._mark_current()

    def _list(self, names: list[str]) -> None:
        """These images in this order: only what came or went is touched, where the order of the others is the same."""
        if names == self._listed:
            return
        common = set(names) & set(self._listed)
        if [n for n in names if n in common] != [n for n in self._listed if n in common]:
            common = set()
        for row in reversed(range(len(self._listed))):
            if self._listed[row] not in common:
                self.list.takeItem(row)
        for row, name in enumerate(names):
            if name not in common:
                self.list.insertItem(row, self._item(name))
        self._listed = names

    def _item(self, name: str) -> QListWidgetItem:
        if name not in self._items:
            item = QListWidgetItem()
            item.setData(Qt.ItemDataRole.UserRole, name)
            self._items[name] = item
        return self._items[name]

    def _call(self, short: dict[str, str]) -> None:
        """Names for the listed images, where they are others than before."""
        for name in self._listed:
            if self._items[name].text() != short[name]:
                self._items[name].setText(short[name])

    def _describe(self, record: ImageRecord) -> None:
        """State, quality and thumbnail of an image, where they are news."""
        name, item = record.name, self._items[record.name]
        quality, picture = self._session.worst_first.words(name), self.thumbnails.pictures.get(name)
        said = record.state, quality, picture is not None, self.thumbnails.refused.get(name, "")
        if self._described.get(name) == said:
            return
        self._described[name] = said
        size = f"{record.shape[1]} × {record.shape[0]} pixels"
        parts = (f"{name}: {record.state}", size, quality, self.thumbnails.refused.get(name, ""))
        item.setToolTip(", ".join(part for part in parts if part))
        item.setIcon(_plain(record.state) if picture is None else untinted(_with_bar(picture, record.state)))

    def _arrived(self, name: str) -> None:
        if name in self._records:
            self._describe(self._records[name])

    def _mark_current(self) -> None:
        item = self._items.get(self._session.name)
        if item is not None and self._session.name in self._records:
            self.list.setCurrentItem(item)
            self.list.scrollToItem(item)

    def _clicked(self, item: QListWidgetItem) -> None:
        name = item.data(Qt.ItemDataRole.UserRole)
        if name != self._session.name:
            self._session.open(name)


def _with_bar(picture: QPixmap | None, state: str) -> QPixmap:
    """A thumbnail, or none yet, over the bar of a state's colour."""
    pixmap = QPixmap(_ICON)
    pixmap.fill(QColor("#30343a"))
    painter = QPainter(pixmap)
    if picture is not None:
        at = (_ICON.width() - picture.width()) // 2, (_ICON.height() - _BAR - picture.height()) // 2
        painter.drawPixmap(max(0, at[0]), max(0, at[1]), picture)
    painter.fillRect(0, _ICON.height() - _BAR, _ICON.width(), _BAR, QColor(COLOURS[state]))
    painter.end()
    return pixmap


@cache
def _plain(state: str) -> QIcon:
    """The icon of every image without a thumbnail, shared."""
    return untinted(_with_bar(None, state))
