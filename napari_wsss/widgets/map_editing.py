"""The chosen class's activation map: thresholds of its seeds, boxes from it; and where labels are in doubt."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.layers import Role
from napari_wsss.viewer.sight import single_shot
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import tool_button

_REST = 250  # ms after which a slider counts as resting
_SHOWN: dict[Role, tuple[str, str]] = {
    "seeds": ("seeds", "Seeds that the thresholds take from the map. Paint in them: your pixels stay"),
    "confidence": ("confidence", "How sure the pseudo-labels are"),
    "contradictions": ("contradictions", "Where your labels and the pseudo-labels do not agree"),
}


class MapEditing(QWidget):
    """Two sliders for the chosen class, and what else there is to see of the maps."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self._filling = False
        self.low = self._slider("Background where the map is at most this (and every other class's, too)")
        self.high = self._slider("Of the class where the map is strongest and at least this")
        self._texts = QLabel(), QLabel()
        self._rest = single_shot(_REST, self._session.mapping.keep, self)
        self.reset = tool_button("Reset", "Seeds as the method makes them")
        self.reset.clicked.connect(self._session.mapping.reset)
        self.boxes = QPushButton("Boxes from map")
        self.boxes.setToolTip("A box around each object of the map: the upper slider tells objects apart")
        self.boxes.clicked.connect(self._session.mapping.add_boxes)
        self.follow = QCheckBox("recompute after corrections")
        self.follow.setToolTip("After a stroke in a preview, or other thresholds, compute this image's masks again")
        self.follow.toggled.connect(self._follow)
        self.shown: dict[Role, QCheckBox] = {}
        for role, (text, tip) in _SHOWN.items():
            self.shown[role] = QCheckBox(text)
            self.shown[role].setToolTip(tip)
            self.shown[role].clicked.connect(lambda on, of=role: self._show(of, on))
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self._arrange()
        for signal in (
            self._session.class_changed, self._session.results_changed, self._session.image_opened,
            self._session.project_changed, self._session.seeds_changed, self._session.classes_changed,
        ):  # fmt: skip
            listen(self, signal, self.refresh)
        listen(self, binding.turns.done, self.refresh)
        self.follow.setChecked(True)
        self.restyle()
        self.refresh()

    def _slider(self, tip: str) -> QSlider:
        made = QSlider(Qt.Orientation.Horizontal)
        made.setRange(0, 100)
        made.setToolTip(tip)
        made.valueChanged.connect(self._moved)
        return made

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(3)
        for row, (name, slider, text) in enumerate(zip(("background", "class"), (self.low, self.high), self._texts)):
            grid.addWidget(QLabel(name), row, 0)
            grid.addWidget(slider, row, 1)
            grid.addWidget(text, row, 2)
        grid.addWidget(self.reset, 0, 3, 2, 1)
        shown = QHBoxLayout()
        for box in self.shown.values():
            shown.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.hint)
        column.addLayout(grid)
        column.addWidget(self.boxes)
        column.addLayout(shown)
        column.addWidget(self.follow)

    def restyle(self) -> None:
        """The theme changed."""
        self.boxes.setIcon(icon("boxes", str(self._binding.viewer.theme)))

    def refresh(self) -> None:
        """Show the chosen class's thresholds, and what there is to see."""
        session, opened = self._session, self._session.opened
        mapped = opened is not None and opened.cam is not None and session.class_id in opened.cam.classes
        pseudo = opened is not None and opened.pseudo is not None
        low, high = session.mapping.thresholds
        self._filling = True
        self.low.setValue(round(100 * low))
        self.high.setValue(round(100 * high))
        self._filling = False
        for text, value in zip(self._texts, (low, high)):
            text.setText(f"{value:.2f}" if session.mapping.has_own else "auto")
        for widget in (self.low, self.high, self.boxes):
            widget.setEnabled(mapped)
        self.reset.setEnabled(mapped and session.mapping.has_own)
        self.hint.setText("This image has no map of the class: tag it (above), then run the stages.")
        self.hint.setVisible(not mapped)
        for role, box in self.shown.items():
            layer = self._binding.shown_layer(role)
            box.setEnabled(mapped if role == "seeds" else pseudo)
            box.setChecked(layer is not None and layer.visible and box.isEnabled())

    def _moved(self) -> None:
        """A slider is dragged: its seeds are shown at once, and kept when it rests."""
        if self._filling:
            return
        low, high = self.low.value() / 100, self.high.value() / 100
        if self.sender() is self.low and low > high:
            high = low
        self._session.mapping.try_thresholds(low, high)
        self._show("seeds", True)
        self._rest.start()
        self.refresh()

    def _show(self, role: Role, on: bool) -> None:
        layer = self._binding.layer(role)
        if layer is not None:
            layer.visible = on
        if on and role == "contradictions":
            self._session.mapping.refresh()
        self._binding.previews.show_maps()

    def _follow(self, on: bool) -> None:
        self._session.working.follows = on
        if on:
            self._session.working.catch_up()
