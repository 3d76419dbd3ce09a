"""A napari layer that somebody opened, as images of a project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_wsss import images
from napari_wsss.errors import WsssError
from napari_wsss.session.scratch import write_layer


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


def file_of(layer: Image) -> Path | None:
    """The file that a layer was read from, if we read the same pixels from it."""
    path = Path(layer.source.path) if layer.source.path else None
    if path is None or not path.exists():
        return None
    try:
        source = images.open_source(path)
    except WsssError:
        return None
    level = _finest(layer)
    shape = level.shape[:-1] if layer.rgb else level.shape
    return path if source.shape == shape[-2:] and len(source.planes) == int(np.prod(shape[:-2])) else None


def written(layer: Image, folder: Path) -> Path:
    """The layer's pixels as a file in the project's folder."""
    pixels: NDArray[Any] = np.asarray(_finest(layer))
    return write_layer(folder, layer.name, pixels, bool(layer.rgb))


def _finest(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def natural(name: str) -> list[Any]:
    """Sorting key by which plane 2 comes before plane 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
