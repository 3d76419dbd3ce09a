"""napari: pictures and Labels layers with names, colours and scale, which open again as they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss.errors import UsageError
from napari_wsss.exporters._manifest import Export, Opened
from napari_wsss.pictures import encoded
from napari_wsss.types import Classes, Dataset, PixelSize, Progress

LAYERS = "layers.json"
LayerData = tuple[Any, dict[str, Any], str]


class Napari:
    """``layers.json`` lists every layer: its file, name, scale, translate and (for classes) colours.

    ``images/STEM.png`` is the picture in the contrast the person saw, ``masks/STEM.tif`` the class ids,
    ``instances/STEM.tif`` the object ids where there are any. :func:`read_layers` gives them back
    as napari's LayerData tuples.
    """

    @dataclass(frozen=True)
    class Params:
        """None."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        same: dict[int, int | None] = {k: k for k in range(len(dataset.classes) + 1)}
        export = Export(dataset, folder, "napari", progress, same, {})
        layers: list[dict[str, Any]] = []
        for opened in export:
            layers += _written(export, opened, dataset.classes)
        text = json.dumps({"layers": layers}, indent=1, ensure_ascii=False)
        export.file(LAYERS).write_text(text + "\n", encoding="utf-8")
        export.finish()


def _written(export: Export, opened: Opened, classes: Classes) -> list[dict[str, Any]]:
    item, mask = opened.item, opened.mask
    place = _placed(item.pixel_size)
    stem = item.file_stem
    export.file("images", f"{stem}.png").write_bytes(encoded(opened.rgb, "PNG"))
    _save(export.file("masks", f"{stem}.tif"), mask.labels.astype(np.uint16))
    colours = {str(c.id): c.colour for c in classes}
    named = {str(c.id): c.name for c in classes}
    layers = [
        {"type": "image", "file": f"images/{stem}.png", "name": item.name, "image": item.name, **place},
        {"type": "labels", "file": f"masks/{stem}.tif", "name": f"{item.name} classes", "image": item.name, **place}
        | {"colours": colours, "classes": named},
    ]
    if mask.instances is not None and mask.instances.any():
        path = f"instances/{stem}.tif"
        _save(export.file(*path.split("/")), mask.instances.astype(np.uint32))
        layers.append({"type": "labels", "file": path, "name": f"{item.name} instances", "image": item.name, **place})
    return layers


def _save(path: Path, ids: NDArray[Any]) -> None:
    tifffile.imwrite(path, ids, compression="zlib", metadata=None, software="napari-wsss")


def _placed(size: PixelSize | None) -> dict[str, Any]:
    return {
        "scale": [size.y, size.x] if size else [1.0, 1.0],
        "translate": [0.0, 0.0],
        "units": [size.unit if size else "pixel"] * 2,
    }


def read_layers(folder: Path, images: Sequence[str] | None = None) -> list[LayerData]:
    """The exported layers as ``(data, keywords, type)`` tuples, without importing napari.

    Parameters
    ----------
    folder : Path
        Folder of a ``napari`` export.
    images : sequence of str, optional
        Names of the images whose layers are wanted; all by default.

    Raises
    ------
    UsageError
        If the folder holds no such export, or its list names a file outside of it.
    """
    path = folder / LAYERS
    if not path.is_file():
        raise UsageError(f"{folder} holds no {LAYERS}: it is no napari export")
    listed = json.loads(path.read_text(encoding="utf-8"))["layers"]
    return [_layer(folder, entry) for entry in listed if images is None or entry["image"] in images]


def _layer(folder: Path, entry: dict[str, Any]) -> LayerData:
    file = folder / entry["file"]
    if not file.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{folder / LAYERS}: {entry['file']!r} lies outside the folder")
    keywords = {key: entry[key] for key in ("name", "scale", "translate", "units")}
    if entry["type"] == "image":
        with Picture.open(file) as picture:
            return np.asarray(picture), keywords | {"rgb": True}, "image"
    if "colours" in entry:
        colours = {int(k): c for k, c in entry["colours"].items()}
        keywords["colormap"] = {None: "transparent", 0: "transparent", **colours}
        keywords["metadata"] = {"classes": {int(k): n for k, n in entry["classes"].items()}}
    return tifffile.imread(file), keywords, "labels"


METHOD = Napari
