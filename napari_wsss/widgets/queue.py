"""What next: the regions worth labelling with their reasons, and answering them one after the other."""

from __future__ import annotations

from functools import partial
from typing import Literal

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.session.opened import around_region
from napari_wsss.types import Region
from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.keys import shown
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import method_combo, tool_button
from napari_wsss.widgets.thumbnails import Thumbnails, untinted

_ICON = QSize(44, 44)
_ROWS = 4
_EMPTY = "Nothing waits. Train a segmenter, then ask: what next?"


class QueueList(QWidget):
    """A view of the session's queue."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self._queue = self._session.queue
        self.crops: Thumbnails[int] = Thumbnails(self._session, self, "crop", self._show_crop)
        self._listed: list[int] = []
        self.strategy = method_combo("acquisition")
        self.strategy.setCurrentText(self._queue.strategy)
        self.strategy.setToolTip("By what the next regions are chosen")
        self.strategy.activated.connect(lambda _: setattr(self._queue, "strategy", self.strategy.currentText()))
        self.ask = QPushButton("What next?")
        self.ask.setToolTip("Predict what is out of date, and ask about the regions that are most worth it")
        self.ask.clicked.connect(lambda: self._queue.ask())
        self.renew = tool_button("anew", "Forget the regions that wait, and choose again with this strategy")
        self.renew.clicked.connect(lambda: self._queue.ask(renew=True))
        self.list = QListWidget()
        self.list.setIconSize(_ICON)
        self.list.setWordWrap(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setFixedHeight(_ROWS * (_ICON.height() + 8))
        self.list.itemClicked.connect(self._clicked)
        self.empty = QLabel(_EMPTY)
        self.empty.setWordWrap(True)
        self.accept = self._button("region_accept", "Right", "The prediction is right here: label it so", "accept")
        self.all = self._button("region_class", "All", "All of the region is of the chosen class", "class")
        self.skip = self._button("region_skip", "Skip", "Say nothing about it, and do not ask again", "skip")
        self._arrange()
        listen(self, self._queue.changed, self.refresh)
        for signal in (self._session.work_changed, self._session.class_changed, self._session.project_changed):
            listen(self, signal, self._enable)
        listen(self, self._session.project_changed, self._forget)
        self.restyle()
        self.refresh()

    def _button(self, key: str, text: str, tip: str, said: Literal["accept", "class", "skip"]) -> QPushButton:
        button = QPushButton(f"{text}  {shown(key)}")
        button.setToolTip(f"{tip}  [{shown(key)}]; Ctrl+Z takes it back")
        button.setIconSize(QSize(16, 16))
        button.clicked.connect(lambda _: self._queue.answer(said))
        return button

    def _arrange(self) -> None:
        top, answers = QHBoxLayout(), QHBoxLayout()
        for widget, stretch in ((self.strategy, 1), (self.ask, 1), (self.renew, 0)):
            top.addWidget(widget, stretch)
        for button in (self.accept, self.all, self.skip):
            answers.addWidget(button, 1)
        for row in (top, answers):
            row.setSpacing(3)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.empty)
        column.addWidget(self.list)
        column.addLayout(answers)

    def restyle(self) -> None:
        """The theme changed."""
        theme = str(self._binding.viewer.theme)
        for button, name in ((self.accept, "accept"), (self.skip, "skip")):
            button.setIcon(icon(name, theme))

    def _forget(self) -> None:
        """Another project: the same numbers are other regions."""
        self.crops.forget()
        self._listed = []
        self.refresh()

    def refresh(self) -> None:
        """Show what waits, in its order."""
        waiting = self._queue.waiting
        if [r.id for r in waiting] != self._listed:
            self._fill(waiting)
        self.list.setVisible(bool(waiting))
        self.empty.setVisible(not waiting)
        current = self._queue.current
        row = self._listed.index(current.id) if current is not None else -1
        self.list.setCurrentRow(row)
        if row >= 0:
            self.list.scrollToItem(self.list.item(row))
        self._enable()

    def _fill(self, waiting: tuple[Region, ...]) -> None:
        self._listed = [r.id for r in waiting]
        self.list.clear()
        for region in waiting:
            item = QListWidgetItem(f"{region.image.rsplit('/', 1)[-1]}\n{in_short(region)}")
            item.setToolTip(f"{region.image}, region {region.id}: {region.why} ({region.strategy})")
            item.setData(Qt.ItemDataRole.UserRole, region.id)
            item.setSizeHint(QSize(50, _ICON.height() + 8))
            self.list.addItem(item)
            self._show_crop(region.id)
        project = self._session.project
        side = 2 * _ICON.width()
        self.crops.want({r.id: partial(around_region, project, r, side) for r in waiting} if project else {})

    def _enable(self) -> None:
        session, project = self._session, self._session.project
        self.ask.setEnabled(project is not None and session.working.work is None)
        self.renew.setEnabled(bool(self._queue.waiting) and session.working.work is None)
        for button in (self.accept, self.all, self.skip):
            button.setEnabled(self._queue.current is not None)
        name = session.classes[session.class_id - 1].name if session.classes else ""
        self.all.setText(f"All {name if len(name) < 11 else name[:9] + '…'}  {shown('region_class')}")

    def _clicked(self, item: QListWidgetItem) -> None:
        number = item.data(Qt.ItemDataRole.UserRole)
        self._queue.go(next(r for r in self._queue.waiting if r.id == number))

    def _show_crop(self, number: int) -> None:
        if number in self._listed and number in self.crops.pictures:
            item = self.list.item(self._listed.index(number))
            if item is not None:
                item.setIcon(untinted(self.crops.pictures[number]))


def in_short(region: Region) -> str:
    """The reason without its figures, which the tooltip has."""
    return region.why.partition(";")[0]
