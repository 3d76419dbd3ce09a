"""OME-Zarr (NGFF 0.5): each image as a pyramid with a labels group of class ids and instance ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_wsss.exporters._manifest import Export, Opened
from napari_wsss.pictures import RGB, rgb_of
from napari_wsss.types import Classes, Dataset, PixelSize, Progress

NGFF = "0.5"
_UNIT = {"um": "micrometer", "m": "meter"}


class OmeZarr:
    """``STEM.zarr`` an image: the picture (c, y, x) and ``labels/classes``, ``labels/instances`` where there are ids.

    Zarr format 3. The labels carry the classes' colours and names (``image-label``); every pyramid
    level halves the one before: pictures by averaging, ids by taking every second pixel.

    Parameters
    ----------
    smallest : int
        Levels are added until the longest side is at most this many pixels.
    chunk : int
        Side of a chunk in pixels.
    """

    @dataclass(frozen=True)
    class Params:
        """See the class."""

        smallest: int = 512
        chunk: int = 512

        def __post_init__(self) -> None:
            if self.smallest < 1 or self.chunk < 1:
                raise ValueError(f"smallest={self.smallest} and chunk={self.chunk} must be at least 1 pixel")

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        same: dict[int, int | None] = {k: k for k in range(len(dataset.classes) + 1)}
        export = Export(dataset, folder, "ome-zarr", progress, same, asdict(self.params))
        for opened in export:
            path = export.file(f"{opened.item.file_stem}.zarr")
            self._write(zarr.open_group(path, mode="w", zarr_format=3), opened, dataset.classes)
        export.finish()

    def _write(self, group: Any, opened: Opened, classes: Classes) -> None:
        item, mask = opened.item, opened.mask
        picture = np.moveaxis(opened.rgb, -1, 0)
        ome = self._pyramid(group, picture, item.pixel_size, item.file_stem, _averaged)
        group.attrs["ome"] = ome | {"omero": {"channels": [_channel(n) for n in range(3)]}}
        planes: dict[str, NDArray[Any]] = {"classes": mask.labels.astype(np.uint16)}
        if mask.instances is not None and mask.instances.any():
            planes["instances"] = mask.instances.astype(np.uint32)
        labels = group.create_group("labels", attributes={"ome": {"version": NGFF, "labels": list(planes)}})
        for name, ids in planes.items():
            one = labels.create_group(name)
            described: dict[str, Any] = {"version": NGFF, "source": {"image": "../../"}}
            if name == "classes":
                described |= _described(classes)
            ome = self._pyramid(one, ids, item.pixel_size, name, _every_second)
            one.attrs["ome"] = ome | {"image-label": described}

    def _pyramid(self, group: Any, data: NDArray[Any], size: PixelSize | None, name: str, halve: Any) -> dict[str, Any]:
        axes = ["c", "y", "x"][-data.ndim :]
        datasets = []
        for level, plane in enumerate(self._levels(data, halve)):
            chunks = (1, self.params.chunk, self.params.chunk)[-data.ndim :]
            chunks = tuple(min(c, n) for c, n in zip(chunks, plane.shape))
            array = group.create_array(
                str(level), shape=plane.shape, chunks=chunks, dtype=plane.dtype, dimension_names=axes
            )
            array[...] = plane
            pixel = (size.y, size.x) if size else (1.0, 1.0)
            scale = [1.0, *(p * n / m for p, n, m in zip(pixel, data.shape[-2:], plane.shape[-2:]))][-data.ndim :]
            datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        return {"version": NGFF, "multiscales": [{"name": name, "axes": _axes(axes, size), "datasets": datasets}]}

    def _levels(self, data: NDArray[Any], halve: Any) -> Iterator[NDArray[Any]]:
        yield data
        while max(data.shape[-2:]) > self.params.smallest and min(data.shape[-2:]) > 1:
            data = halve(data)
            yield data


def _averaged(picture: RGB) -> RGB:
    even = picture[:, : picture.shape[1] // 2 * 2, : picture.shape[2] // 2 * 2].astype(np.uint16)
    total = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def _every_second(ids: NDArray[Any]) -> NDArray[Any]:
    return ids[: ids.shape[0] // 2 * 2 : 2, : ids.shape[1] // 2 * 2 : 2]


def _axes(names: list[str], size: PixelSize | None) -> list[dict[str, str]]:
    unit = {"unit": _UNIT[size.unit]} if size else {}
    return [{"name": n, "type": "channel"} if n == "c" else {"name": n, "type": "space", **unit} for n in names]


def _channel(number: int) -> dict[str, Any]:
    return {
        "label": ("red", "green", "blue")[number],
        "color": ("FF0000", "00FF00", "0000FF")[number],
        "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        "active": True,
    }


def _described(classes: Classes) -> dict[str, Any]:
    clear = {"label-value": 0, "rgba": [0, 0, 0, 0]}
    none = {"label-value": 0, "class": "not labelled"}
    return {
        "colors": [clear, *({"label-value": c.id, "rgba": [*rgb_of(c.colour), 255]} for c in classes)],
        "properties": [none, *({"label-value": c.id, "class": c.name} for c in classes)],
    }


METHOD = OmeZarr
