"""The project's name; opening another one, adding images, giving it a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from napari_wsss.errors import WsssError
from napari_wsss.session import scratch
from napari_wsss.viewer.binding import Binding
from napari_wsss.widgets.listening import listen
from napari_wsss.widgets.parts import tool_button


class ProjectBar(QWidget):
    """One line: name, Open, Save as."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding, self._session = binding, binding.session
        self._name = QLabel()
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.open_button = tool_button("Open…", "Open a project, or add images to this one")
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.open_button)
        for text, what in (
            ("Project folder…", self._open_project),
            ("Add image files…", self._add_files),
            ("Add a folder of images…", self._add_folder),
            ("Label the selected layer", self._add_layer),
        ):
            menu.addAction(text, self._guarded(what))
        self.open_button.setMenu(menu)
        self.save_button = tool_button("Save as…")
        self.save_button.setToolTip("Give the project a name and a place of your own. Every label is on disk already.")
        self.save_button.clicked.connect(self._guarded(self._save_as))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._name, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.save_button)
        listen(self, self._session.project_changed, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        project = self._session.project
        self.save_button.setEnabled(project is not None)
        if project is None:
            self._name.setText("<i>no project yet</i>")
        elif scratch.is_scratch(project.folder):
            self._name.setText("<b>unnamed project</b>")
        else:
            self._name.setText(f"<b>{project.folder.name}</b>")
        self._name.setToolTip("" if project is None else str(project.folder))

    def _guarded(self, what: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                what()
            except WsssError as error:
                self._session.failed.emit(str(error))

        return run

    def _open_project(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "A project folder (it holds project.toml)")
        if folder:
            self._session.open_project(Path(folder))

    def _add_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Images to label")
        if files:
            self.add([Path(f) for f in files])

    def _add_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "A folder of images")
        if folder:
            self.add([Path(folder)])

    def add(self, paths: list[Path]) -> None:
        """Add images; the first ones make a project silently."""
        if self._session.project is None:
            self._session.take_project(scratch.new_scratch())
        self._session.add_images(paths)

    def _add_layer(self) -> None:
        layer = self._binding.viewer.layers.selection.active
        if isinstance(layer, Image):
            self._binding.adoption.adopt(layer)
        else:
            self._session.failed.emit("Select an image layer first.")

    def _save_as(self) -> None:
        target, _ = QFileDialog.getSaveFileName(self, "Name of the project's folder")
        if target:
            self.save_as(Path(target))

    def save_as(self, target: Path) -> None:
        """Move a project without a name to a place of the person's own."""
        self._session.working.save_as(target)
