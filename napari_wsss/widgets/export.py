"""Masks out, as a dataset."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from napari_wsss import registry
from napari_wsss.session import Session
from napari_wsss.widgets.listening import listen


class Export(QWidget):
    """Which masks, which format, where to."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.what = QComboBox()
        self.what.addItems(["accepted", "refined", "pseudo", "predicted"])
        self.form = QComboBox()
        for name in registry.names("exporters"):
            self.form.addItem(name.replace("_", "-"))
            self.form.setItemData(self.form.count() - 1, registry.summary("exporters", name), 3)  # tooltip
        self.form.setCurrentText("coco")
        for combo in (self.what, self.form):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(8)
        self.button = QPushButton("Export…")
        self.button.setToolTip("Choose an empty folder; a manifest tells who made each mask, from what and when")
        self.button.clicked.connect(self._ask)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        for row, (text, widget) in enumerate((("masks", self.what), ("format", self.form))):
            grid.addWidget(QLabel(text), row, 0)
            grid.addWidget(widget, row, 1)
        grid.addWidget(self.button, 2, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        for signal in (session.project_changed, session.work_changed):
            listen(self, signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        self.button.setEnabled(self._session.project is not None and self._session.working.work is None)

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "An empty folder for the export")
        if folder:
            self.export(Path(folder))

    def export(self, folder: Path) -> None:
        """Write the chosen masks there."""
        self._session.working.export(self.form.currentText(), folder, self.what.currentText(), {})  # type: ignore[arg-type]
