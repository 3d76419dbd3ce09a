"""Layers that somebody opened in napari, as images of a project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_wsss import images
from napari_wsss.errors import WsssError
from napari_wsss.session import Session, scratch
from napari_wsss.session.scratch import write_layer
from napari_wsss.viewer.layers import role_of


@dataclass(frozen=True, eq=False)
class Adopted:
    """A layer and the names of its planes, in slider order (the last slider fastest)."""

    layer: Image
    names: tuple[str, ...]

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the sliders."""
        level = _finest(self.layer)
        return tuple(level.shape[: level.ndim - 2 - self.layer.rgb])

    def at(self, step: tuple[int, ...]) -> str:
        """Name of the plane at the viewer's slider positions."""
        sizes = self.leading
        if not sizes:
            return self.names[0]
        place = [min(max(int(s), 0), n - 1) for s, n in zip(step[-2 - len(sizes) : -2], sizes)]
        return self.names[int(np.ravel_multi_index(place, sizes))]

    def step_of(self, name: str) -> tuple[int, ...]:
        """Slider positions of a plane."""
        return tuple(int(n) for n in np.unravel_index(self.names.index(name), self.leading or (1,)))[
            : len(self.leading)
        ]


@dataclass(frozen=True, eq=False)
class Pixels:
    """What of a layer must be read or written before it is images of a project; for the torch thread.

    Attributes
    ----------
    path : Path, optional
        Where napari read it from.
    array : array-like (..., h, w) or, where ``rgb``, (..., h, w, 3 or 4)
        The finest level.
    """

    name: str
    path: Path | None
    array: Any
    rgb: bool

    @classmethod
    def of(cls, layer: Image) -> Pixels:
        """Of a layer, whose pixels are not touched yet."""
        path = Path(layer.source.path) if layer.source.path else None
        return cls(layer.name, path, _finest(layer), bool(layer.rgb))

    def file(self, folder: Path) -> Path:
        """The file they were read from, if we read the same from it; else a new one in the project's folder."""
        if self.path is not None and self._is_same(self.path):
            return self.path
        return write_layer(folder, self.name, np.asarray(self.array), self.rgb)

    def _is_same(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            source = images.open_source(path)
        except WsssError:
            return False
        shape = self.array.shape[:-1] if self.rgb else self.array.shape
        return source.shape == shape[-2:] and len(source.planes) == int(np.prod(shape[:-2]))


class Adoption:
    """Layers that somebody opened in a viewer, and the images of the session's project that they are."""

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self._adopted: list[Adopted] = []
        session.has_own_picture = lambda name: self.of(name) is not None
        viewer.layers.events.inserted.connect(self._on_inserted)

    def of(self, name: str) -> Adopted | None:
        """The layer that shows an image of the project; None where nobody's does."""
        return next((a for a in self._adopted if name in a.names and a.layer in self._viewer.layers), None)

    def adopt(self, layer: Image) -> None:
        """Label this layer: its file, or else a copy of its pixels, becomes images of the project."""
        session = self._session
        if session.project is None:
            session.take_project(scratch.new_scratch())
        pixels, folder = Pixels.of(layer), session.the_project().folder

        def added(names: list[str]) -> None:
            if not names:
                return
            adopted = Adopted(layer, tuple(sorted(names, key=natural)))
            if int(np.prod(adopted.leading)) != len(names):
                session.open(adopted.names[0])
                return
            self._adopted.append(adopted)
            session.open(adopted.at(self._viewer.dims.current_step))

        session.add_images(lambda: [pixels.file(folder)], added)

    def adopt_first(self) -> None:
        """Label the selected image layer, or the topmost one, if nothing is open yet."""
        if self._take_dropped() or self._session.project is not None:
            return
        images = [x for x in self._viewer.layers if isinstance(x, Image) and role_of(x) is None]
        chosen = [x for x in images if x in self._viewer.layers.selection]
        if images:
            self.adopt((chosen or images)[-1])

    def show(self, shown: Adopted | None) -> None:
        """One of the adopted layers is seen (None: none), the others are not."""
        for other in self._adopted:
            if other.layer in self._viewer.layers:
                other.layer.visible = other is shown

    def _take_dropped(self) -> bool:
        """A project folder that napari's reader opened as plain layers becomes the session's project."""
        read = {x: x.metadata["wsss"]["project"] for x in self._viewer.layers if _was_read(x)}
        for layer in read:
            self._viewer.layers.remove(layer)
        if read:
            try:
                self._session.open_project(Path(next(iter(read.values()))))
            except WsssError as error:
                self._session.failed.emit(str(error))
        return bool(read)

    def _on_inserted(self, event: Any) -> None:
        """An image opened beside the dock becomes what is labelled, while there is nothing else."""
        if (isinstance(event.value, Image) and role_of(event.value) is None) or _was_read(event.value):
            QTimer.singleShot(0, self.adopt_first)


def _was_read(layer: Layer) -> bool:
    """A layer that our reader made of a project folder."""
    mark = layer.metadata.get("wsss")
    return isinstance(mark, dict) and "project" in mark


def _finest(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def natural(name: str) -> list[Any]:
    """Sorting key by which plane 2 comes before plane 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
