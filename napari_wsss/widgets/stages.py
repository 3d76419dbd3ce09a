"""The three stages: which method, its settings, and running them on this image or on all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_wsss import registry
from napari_wsss.choices import DEFAULTS, KIND, STAGES, StageName
from napari_wsss.errors import WsssError
from napari_wsss.viewer.binding import Binding
from napari_wsss.viewer.keys import shown
from napari_wsss.viewer.layers import Role
from napari_wsss.widgets.icons import icon
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.params import form
from napari_wsss.widgets.parts import tool_button

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
        self._forms: dict[StageName, QWidget] = {}
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
        self.accept_image.setToolTip("The refined mask becomes ground truth where a person said nothing else")
        self.accept_image.clicked.connect(lambda: self._session.working.accept_result("refined"))
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
        self.restyle()
        self.refresh()

    def _add_row(self, row: int, stage: StageName) -> None:
        shown = QCheckBox(_TITLES[stage])
        shown.setToolTip("Show what this stage made of the image")
        shown.clicked.connect(lambda on, of=stage: self._show(of, on))
        method = QComboBox()
        for name in registry.names(KIND[stage]):
            method.addItem(name)
            method.setItemData(method.count() - 1, registry.summary(KIND[stage], name), 3)  # tooltip
        method.activated.connect(lambda _, of=stage: self._choose(of))
        gear = tool_button(tip="Settings of the method", checkable=True)
        gear.toggled.connect(lambda on, of=stage: self._unfold(of, on))
        self.shown[stage], self.methods[stage], self._gears[stage] = shown, method, gear
        for column, widget in enumerate((shown, method, gear)):
            self._grid.addWidget(widget, row, column)

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
        project = self._session.the_project()
        use = {**project.settings.use, stage: self.methods[stage].currentText()}
        self._save(use=use)
        if self._gears[stage].isChecked():
            self._unfold(stage, True)
        self.refresh()

    def _unfold(self, stage: StageName, on: bool) -> None:
        """Show or hide the method's parameters below its row."""
        old = self._forms.pop(stage, None)
        if old is not None:
            self._grid.removeWidget(old)
            old.deleteLater()
        project = self._session.project
        if not on or project is None:
            return
        name = self.methods[stage].currentText()
        try:
            made = form(KIND[stage], name, project.settings.params.get(name, {}), lambda p, v: self._set(name, p, v))
        except (WsssError, ImportError) as error:
            self._session.failed.emit(str(error))
            return
        widget: QWidget = made.native
        if not len(made):
            widget = QLabel("this method has no settings")
        self._forms[stage] = widget
        self._grid.addWidget(widget, 2 * STAGES.index(stage) + 1, 0, 1, 3)

    def _set(self, method: str, parameter: str, value: Any) -> None:
        params = {k: dict(v) for k, v in self._session.the_project().settings.params.items()}
        params.setdefault(method, {})[parameter] = value
        self._save(params=params)

    def _save(self, **changes: Any) -> None:
        project = self._session.the_project()
        try:
            project.save_settings(replace(project.settings, **changes))
        except WsssError as error:
            self._session.failed.emit(str(error))
