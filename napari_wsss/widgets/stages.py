"""The three stages: which method, its settings, and running them on this image or on all."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_wsss import registry
from napari_wsss.choices import DEFAULTS, KIND, STAGES, StageName
from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.keys import shown
from napari_wsss.viewer.layers import Role
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.params import MethodSettings
from napari_wsss.widgets.parts import method_combo, tool_button

_TITLES: dict[StageName, str] = {"cam": "Maps", "pseudo": "Pseudo-labels", "refine": "Refined"}
_LAYER: dict[StageName, Role] = {"cam": "cam", "pseudo": "pseudo", "refine": "refined"}


class Stages(QWidget):
    """A row a stage, and what runs them."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self.methods: dict[StageName, QComboBox] = {}
        self.shown: dict[StageName, QCheckBox] = {}
        self._gears: dict[StageName, QToolButton] = {}
        self.settings: dict[StageName, MethodSettings] = {}
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        self._grid.setColumnStretch(1, 1)
        for row, stage in enumerate(STAGES):
            self._add_row(2 * row, stage)
        self.run_image = QPushButton("Run this image")
        self.run_image.setToolTip("Compute the stages of this image that are out of date")
        self.run_image.clicked.connect(lambda: self._run([self._session.name]))
        self.run_all = QPushButton("Run all")
        self.run_all.setToolTip("Compute the stages of every image that are out of date; clicks still come first")
        self.run_all.clicked.connect(lambda: self._run(None))
        self.accept_image = QPushButton(f"Accept refined mask  {shown('accept_image')}")
        self.accept_image.setToolTip(
            "The refined mask becomes ground truth where a person said nothing else; on to the next image"
        )
        self.accept_image.clicked.connect(lambda: self._session.working.accept_image())
        buttons = QHBoxLayout()
        buttons.setSpacing(3)
        for button in (self.run_image, self.run_all):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._grid)
        column.addLayout(buttons)
        column.addWidget(self.accept_image)
        for signal in (self._session.project_changed, self._session.image_opened, self._session.results_changed):
            listen(self, signal, self.refresh)
        listen(self, self._session.work_changed, self.refresh)
        listen(self, binding.turns.done, self.refresh)
        self.restyle()
        self.refresh()

    def _add_row(self, row: int, stage: StageName) -> None:
        shown = QCheckBox(_TITLES[stage])
        shown.setToolTip("Show what this stage made of the image")
        shown.clicked.connect(lambda on, of=stage: self._show(of, on))
        method = method_combo(KIND[stage])
        method.activated.connect(lambda _, of=stage: self._choose(of))
        gear = tool_button(tip="Settings of the method", checkable=True)
        gear.toggled.connect(lambda on, of=stage: self._unfold(of, on))
        self.shown[stage], self.methods[stage], self._gears[stage] = shown, method, gear
        for column, widget in enumerate((shown, method, gear)):
            self._grid.addWidget(widget, row, column)
        self.settings[stage] = MethodSettings(self._session, KIND[stage])
        self._grid.addWidget(self.settings[stage], row + 1, 0, 1, 3)

    def restyle(self) -> None:
        """The theme changed."""
        for gear in self._gears.values():
            gear.setIcon(icon("settings", str(self._binding.viewer.theme)))

    def refresh(self) -> None:
        """Show the project's choices, and what there is to see."""
        project, opened = self._session.project, self._session.opened
        there = {"cam": opened and opened.cam, "pseudo": opened and opened.pseudo, "refine": opened and opened.refined}
        for stage in STAGES:
            chosen = (project.settings.use.get(stage) if project else None) or DEFAULTS[stage]
            self.methods[stage].setCurrentText(chosen)
            self.methods[stage].setToolTip(registry.summary(KIND[stage], chosen))
            self.methods[stage].setEnabled(project is not None)
            self._gears[stage].setEnabled(project is not None)
            self.shown[stage].setEnabled(there[stage] is not None)
            layer = self._binding.shown_layer(_LAYER[stage])
            self.shown[stage].setChecked(layer is not None and layer.visible and there[stage] is not None)
        idle = self._session.working.work is None
        self.run_image.setEnabled(opened is not None and idle)
        self.run_all.setEnabled(opened is not None and idle)
        self.accept_image.setEnabled(opened is not None and opened.refined is not None and idle)

    def _run(self, images: list[str] | None) -> None:
        self._session.working.run(STAGES, images)

    def _show(self, stage: StageName, on: bool) -> None:
        layer = self._binding.layer(_LAYER[stage])
        if layer is not None:
            layer.visible = on
        self._binding.previews.show_maps()

    def _choose(self, stage: StageName) -> None:
        use = self._session.the_project().settings.use
        self._session.save_settings(use={**use, stage: self.methods[stage].currentText()})
        self._unfold(stage, self._gears[stage].isChecked())
        self.refresh()

    def _unfold(self, stage: StageName, on: bool) -> None:
        """Show or hide the method's parameters below its row."""
        self.settings[stage].unfold(self.methods[stage].currentText() if on else "")
