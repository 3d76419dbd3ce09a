"""The dock "Weak supervision": from top to bottom the way of an image to its mask."""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_wsss.errors import WsssError
from napari_wsss.session import resume
from napari_wsss.viewer.bound import binding_of, release
from napari_wsss.viewer.sight import single_shot
from napari_wsss.widgets.classes import ClassTable
from napari_wsss.widgets.deciding import Deciding
from napari_wsss.widgets.export import Export
from napari_wsss.widgets.images import ImageStrip
from napari_wsss.widgets.listening import listen, when_destroyed
from napari_wsss.widgets.map_editing import MapEditing
from napari_wsss.widgets.objects import Objects
from napari_wsss.widgets.project import ProjectBar
from napari_wsss.widgets.queue import QueueList
from napari_wsss.widgets.section import Section
from napari_wsss.widgets.stages import Stages
from napari_wsss.widgets.status import Status
from napari_wsss.widgets.tools import ToolRow
from napari_wsss.widgets.training import TrainingPanel


class Dock(QWidget):
    """Views of the viewer's session. Closing it loses nothing; a new one shows the same."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.binding = binding_of(napari_viewer)
        session = self.binding.session
        self._watched = False
        self.go_on = QPushButton()
        self.go_on.clicked.connect(self._go_on)
        self.project = ProjectBar(self.binding)
        self.images = ImageStrip(session)
        self.classes = ClassTable(self.binding)
        self.tools = ToolRow(self.binding)
        self.deciding = Deciding(self.binding)
        self.stages = Stages(self.binding)
        self.maps = MapEditing(self.binding)
        self.training = TrainingPanel(self.binding)
        self.queue = QueueList(self.binding)
        self.objects = Objects(self.binding)
        self.export = Export(session)
        self.status = Status(session)
        self._arrange()
        listen(self, session.project_changed, self._offer)
        self.binding.viewer.events.theme.connect(self._restyle)
        self._offer()
        self.binding.adoption.adopt_first()

    def _arrange(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(6)
        for widget in (self.go_on, self.project, self.images, self.classes, self.tools, self.deciding):
            column.addWidget(widget)
        column.addWidget(Section("Stages: from hints to masks", self.stages, unfolded=True))
        self.sections = {
            "map": Section("Map of the class: seeds, boxes, doubts", self.maps),
            "training": Section("Train a segmenter", self.training),
            "queue": Section("What to label next", self.queue),
            "objects": Section("Objects: mend, count, measure", self.objects),
            "export": Section("Export", self.export),
        }
        for section in self.sections.values():
            column.addWidget(section)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 4)
        outer.setSpacing(4)
        outer.addWidget(area, 1)
        outer.addWidget(self.status)
        self._inner, self._area = inner, area
        self._settled = single_shot(0, self._fit, self)
        inner.installEventFilter(self)

    def _offer(self) -> None:
        """Going on where the last session ended is one click, while nothing is open; empty lists are not shown."""
        for part in (self.images, self.classes):
            part.setVisible(self.binding.session.project is not None)
        last = resume.last_project() if self.binding.session.project is None else None
        self.go_on.setVisible(last is not None)
        if last is not None:
            place = resume.read_place(last)
            at = f", {place.image}" if place.image else ""
            self.go_on.setText(f"Go on with “{last.name}”{at}")
            self.go_on.setToolTip(str(last))

    def _go_on(self) -> None:
        last = resume.last_project()
        if last is not None:
            try:
                self.binding.session.open_project(last)
            except WsssError as error:
                self.binding.session.failed.emit(str(error))

    def _restyle(self) -> None:
        for part in (self.tools, self.deciding, self.stages, self.maps, self.training, self.queue, self.objects.list):
            part.restyle()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Something in the dock was shown, hidden or renamed: it may need another width."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._settled.start()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        """Wide enough for what is shown, and for the theme's buttons, which are known once it is shown."""
        if isalive(self):  # type: ignore[no-untyped-call]
            bar = self._area.verticalScrollBar()
            beside = bar.sizeHint().width() if bar is not None else 0
            self.setMinimumWidth(self._inner.minimumSizeHint().width() + beside + 4)

    def showEvent(self, event: object) -> None:
        """The window that holds the dock ends the session when it goes."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._settled.start()
        window = self.window()
        if window is not None and window is not self and not self._watched:
            self._watched = True
            viewer = weakref.ref(self.binding.viewer)
            when_destroyed(window, lambda: release(viewer()))
