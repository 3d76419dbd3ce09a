"""Accept, reject, undo, and from image to image; below them what to do now."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.keys import actions, shown
from napari_wsss.viewer.sight import single_shot
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen

_TELL = 6000  # ms that a message stays before the hint comes back


class Deciding(QWidget):
    """The buttons that end an object or an image, each with its key."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        do = {**actions(binding), "skip": self._session.skip}
        self.accept = QPushButton(f"Accept  {shown('accept')}")
        self.reject = QPushButton(f"Reject  {shown('reject')}")
        self.previous = QPushButton(f"Previous  {shown('previous')}")
        self.next = QPushButton(f"Next  {shown('next')}")
        self.undo, self.redo, self.skip = QToolButton(), QToolButton(), QToolButton()
        self._icons: dict[str, QAbstractButton] = {
            "accept": self.accept, "reject": self.reject, "previous": self.previous, "next": self.next,
            "undo": self.undo, "redo": self.redo, "skip": self.skip,
        }  # fmt: skip
        tips = {
            "accept": "The object becomes ground truth; accepted objects are never changed by anything automatic",
            "reject": "Drop the object and its clicks",
            "previous": "The image before", "next": "The next image",
            "undo": f"Take the last action back  [{shown('undo')}]", "redo": f"Do it again  [{shown('redo')}]",
            "skip": "Set this image aside (or take it up again)",
        }  # fmt: skip
        for name, button in self._icons.items():
            button.setToolTip(tips[name])
            button.setIconSize(QSize(16, 16))
            button.clicked.connect(lambda _, what=do[name]: what())
        self.objects, self.hint = QCheckBox("each is an object of its own"), QLabel()
        self._back = single_shot(_TELL, self.refresh, self)
        self._arrange()
        session = self._session
        for signal in (
            session.draft_changed, session.image_opened, session.project_changed, session.history_changed,
            session.class_changed, session.classes_changed, session.queue.changed, binding.tool_changed,
        ):  # fmt: skip
            listen(self, signal, self.refresh)
        listen(self, self._session.told, self._tell)
        listen(self, self._session.failed, self._warn)
        self.restyle()
        self.refresh()

    def _arrange(self) -> None:
        self.objects.setToolTip("Off: accepted pixels get a class but no object number (semantic labelling)")
        self.objects.setChecked(self._session.objects)
        self.objects.toggled.connect(self._count_objects)
        self.hint.setWordWrap(True)
        self.hint.setMinimumHeight(34)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        grid = QGridLayout()
        grid.setSpacing(3)
        for place, button in enumerate((self.accept, self.reject)):
            grid.addWidget(button, 0, 2 * place, 1, 2)
        grid.addWidget(self.previous, 1, 0, 1, 2)
        grid.addWidget(self.next, 1, 2, 1, 2)
        below = QHBoxLayout()
        below.addWidget(self.objects, 1)
        for small in (self.undo, self.redo, self.skip):
            below.addWidget(small)
        for place in range(4):
            grid.setColumnStretch(place, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(grid)
        column.addLayout(below)
        column.addWidget(self.hint)

    def restyle(self) -> None:
        """The theme changed."""
        for name, button in self._icons.items():
            button.setIcon(icon(name, str(self._binding.viewer.theme)))

    def refresh(self) -> None:
        """Enable what can be done, and say what to do."""
        opened = self._session.opened
        drafting = opened is not None and opened.draft is not None
        self.accept.setEnabled(drafting)
        self.reject.setEnabled(drafting)
        for name in ("previous", "next", "skip", "undo", "redo"):
            self._icons[name].setEnabled(opened is not None)
        if opened is not None:
            self.undo.setEnabled(bool(opened.history.done))
            self.redo.setEnabled(bool(opened.history.undone))
        if not self._back.isActive():
            self.hint.setText(self._hint())

    def _hint(self) -> str:
        opened = self._session.opened
        if opened is None:
            return "Open any image in napari (File > Open, or drop it here), or a project folder."
        if opened.draft is not None:
            return f"Right click where it is not, click what is missing, or paint. Then accept: {shown('accept')}."
        if self._binding.tool == "object":
            return (
                f"Click an accepted object; Shift+click adds one. Merge {shown('merge_objects')}, split "
                f"{shown('split_object')}, class {shown('relabel_object')}, delete {shown('delete_object')}."
            )
        if self._binding.tool == "split":
            return "Draw a line through an accepted object, or click once in each of its parts."
        name = self._session.classes[self._session.class_id - 1].name
        asked = self._session.queue.current
        if asked is not None and asked.image == opened.name:
            keys = {what: shown(f"region_{what}") for what in ("accept", "class", "skip")}
            answers = f"{keys['accept']} right, {keys['class']} all <b>{name}</b>, {keys['skip']} skip"
            return f"Is the prediction right in the yellow box? {answers}; or label it."
        return f"Click an object of class <b>{name}</b>: its mask appears. Keys 1-9 choose the class."

    def _tell(self, text: str) -> None:
        self._back.start()
        self.hint.setText(text)

    def _warn(self, text: str) -> None:
        self._back.start()
        self.hint.setText(f"<span style='color:#e8704a'>{text}</span>")

    def _count_objects(self, on: bool) -> None:
        self._session.objects = on
