"""Training beside labelling: what to train and how long, start, pause, stop, go on, and the live curve."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_wsss.viewer.binding import Binding
from napari_wsss.widgets.curve import CurvePlot
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.params import MethodSettings
from napari_wsss.widgets.parts import method_combo, tool_button

_OWN = "the project's encoder"


class TrainingPanel(QWidget):
    """A view of the session's trainer."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self.segmenter = method_combo("segmenters")
        self.segmenter.activated.connect(lambda _: self._choose())
        self.encoder = method_combo("encoders", _OWN)
        self.encoder.setToolTip("What the frozen features are made by")
        self.encoder.activated.connect(lambda _: self._wish())
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 100_000)
        self.minutes.setDecimals(1)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long to train; Go on adds as much again")
        self.minutes.valueChanged.connect(lambda _: self._wish())
        self.gear = tool_button(tip="Settings of the segmenter", checkable=True)
        self.gear.toggled.connect(self._unfold)
        self.start, self.pause, self.stop = QPushButton("Start"), QPushButton("Pause"), QPushButton("Stop")
        trainer = self._session.trainer
        self.start.clicked.connect(lambda: trainer.start())
        self.pause.clicked.connect(self._pause_or_go_on)
        self.stop.clicked.connect(lambda: trainer.stop())
        self.start.setToolTip("Train a new segmenter on all labels, in a process of its own; go on labelling meanwhile")
        self.stop.setToolTip("End it after this step; the best weights stay, and Go on takes it up again")
        self.predict, self.take_over = QPushButton("Predict all images"), QPushButton("Take over")
        self.predict.setToolTip("The newest segmenter's masks of every image that lacks them, as a layer to look at")
        self.predict.clicked.connect(lambda: self._session.working.predict())
        self.take_over.setToolTip("The prediction of this image becomes ground truth where a person said nothing else")
        self.take_over.clicked.connect(lambda: self._session.working.accept_result("predicted"))
        self.curve = CurvePlot(str(binding.viewer.theme))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.settings = MethodSettings(self._session, "segmenters")
        self._arrange()
        listen(self, trainer.changed, self.refresh)
        for signal in (self._session.project_changed, self._session.work_changed, self._session.results_changed):
            listen(self, signal, self.refresh)
        listen(self, self._session.image_opened, self.refresh)
        self.restyle()
        self.refresh()

    def _arrange(self) -> None:
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._features = QLabel("features")
        titles = (QLabel("segmenter"), self._features, QLabel("for"))
        for row, title in enumerate(titles):
            self._grid.addWidget(title, row, 0)
            self._grid.addWidget((self.segmenter, self.encoder, self.minutes)[row], row, 1)
        self._grid.addWidget(self.gear, 0, 2)
        self._grid.addWidget(self.settings, 3, 0, 1, 3)
        buttons = QHBoxLayout()
        buttons.setSpacing(3)
        for button in (self.start, self.pause, self.stop):
            buttons.addWidget(button)
        after = QHBoxLayout()
        after.setSpacing(3)
        after.addWidget(self.predict, 1)
        after.addWidget(self.take_over)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._grid)
        column.addLayout(buttons)
        column.addWidget(self.curve)
        column.addWidget(self.words)
        column.addLayout(after)

    def restyle(self) -> None:
        """The theme changed."""
        theme = str(self._binding.viewer.theme)
        self.gear.setIcon(icon("settings", theme))
        self.curve.restyle(theme)

    def refresh(self) -> None:
        """Show what the trainer does."""
        trainer = self._session.trainer
        state, there = trainer.state, self._session.project is not None
        self.segmenter.setCurrentText(trainer.wish.segmenter)
        self.encoder.setCurrentText(trainer.wish.encoder or _OWN)
        self.minutes.setValue(trainer.wish.minutes)
        for widget in (self._features, self.encoder):
            widget.setVisible(trainer.wish.segmenter == "frozen" or bool(trainer.wish.encoder))
        for control in (self.segmenter, self.encoder, self.minutes, self.gear, self.start):
            control.setEnabled(there and state == "idle")
        halted = state in ("idle", "paused")
        self.pause.setText("Go on" if halted else "Pause")
        self.pause.setToolTip(
            "Out of the pause, or the last run from its checkpoint"
            if halted
            else "Hold it after this step, with a checkpoint; the device's memory is given back"
        )
        self.pause.setEnabled(state in ("training", "paused") or trainer.can_go_on)
        self.stop.setEnabled(state in ("starting", "training", "paused"))
        idle = there and self._session.working.work is None
        self.predict.setEnabled(idle)
        opened = self._session.opened
        self.take_over.setEnabled(idle and opened is not None and opened.predicted is not None)
        self.curve.show_curve(trainer.curve)
        self.words.setText(trainer.words)

    def _pause_or_go_on(self) -> None:
        trainer = self._session.trainer
        if trainer.state == "training":
            trainer.pause()
        else:
            trainer.go_on()

    def _wish(self) -> None:
        encoder = self.encoder.currentText() if self.encoder.currentIndex() > 0 else ""
        self._session.trainer.wish = replace(
            self._session.trainer.wish,
            segmenter=self.segmenter.currentText(),
            encoder=encoder,
            minutes=self.minutes.value(),
        )

    def _choose(self) -> None:
        self.encoder.setCurrentIndex(0)
        self._wish()
        self.refresh()
        self._unfold(self.gear.isChecked())

    def _unfold(self, on: bool) -> None:
        self.settings.unfold(self.segmenter.currentText() if on else "")
