"""npe2 writers, for napari's File > Save: one labels layer as a PNG, an image with its labels as a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss import __version__, registry
from napari_wsss.curation import SplitDataset, SplitRule
from napari_wsss.errors import UsageError
from napari_wsss.project.settings import parse_classes
from napari_wsss.types import Classes, DatasetItem, Instances, Labels, Mask, PixelSize, no_progress

LayerData = tuple[Any, dict[str, Any], str]
_UNITS = {"micrometer": "um", "um": "um", "µm": "um", "meter": "m", "m": "m"}


def write_png(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """A labels layer as one PNG of its numbers: indexed in the layer's colours up to 255, else 16 bit.

    Raises
    ------
    UsageError
        A layer of several planes, or numbers above 65535.
    """
    ids = np.asarray(data)
    if ids.ndim != 2:
        raise UsageError(f"{meta.get('name', 'the layer')} has {ids.ndim} axes; a PNG holds one plane")
    top = int(ids.max(initial=0))
    if top > 65535:
        raise UsageError(f"{meta.get('name', 'the layer')} has numbers up to {top}; a PNG holds up to 65535")
    if top < 256:
        picture = Picture.fromarray(ids.astype(np.uint8), "P")
        picture.putpalette(_palette(meta))
    else:
        picture = Picture.fromarray(ids.astype(np.uint16))
    picture.save(path, "PNG")
    return [path]


def write_coco(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """An image and its labels as COCO."""
    return _write("coco", path, layer_data)


def write_voc(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """An image and its labels as Pascal VOC."""
    return _write("voc", path, layer_data)


def write_yolo(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """An image and its labels as YOLO segments."""
    return _write("yolo", path, layer_data)


def write_geojson(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """An image and its labels as GeoJSON polygons."""
    return _write("geojson", path, layer_data)


def write_ome_zarr(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """An image and its labels as OME-Zarr."""
    return _write("ome_zarr", path, layer_data)


def _write(form: str, path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """Write one dataset of one format into the folder ``path``.

    A labels layer of this plugin (or one that says its classes in ``metadata["classes"]``) holds classes, and may
    have object numbers (h, w) in ``metadata["numbers"]``; anybody else's holds object numbers of one class of its name.
    """
    dataset = dataset_of(layer_data)
    exporter = registry.load("exporters", form)
    exporter(registry.parameters(exporter, {}, f"format {form}"))(dataset, Path(path), no_progress)
    return [path]


def dataset_of(layer_data: Sequence[LayerData]) -> SplitDataset:
    """Layers as a dataset: an item a plane.

    Raises
    ------
    UsageError
        No image, or labels of another size than the image.
    """
    pictures = [(np.asarray(d), meta) for d, meta, kind in layer_data if kind == "image"]
    labelled = [(np.asarray(d), meta) for d, meta, kind in layer_data if kind == "labels" and _role(meta) != "objects"]
    if not pictures or not labelled:
        raise UsageError("select an image layer and its labels layer to save a dataset")
    pixels, image = pictures[0]
    shape = (pixels.shape[:-1] if image.get("rgb") else pixels.shape)[-2:]
    ids = next((d for d, meta in labelled if _is_numbers(meta)), None)
    given, of_classes = next(((d, meta) for d, meta in labelled if not _is_numbers(meta)), (None, {}))
    if ids is None and given is not None:
        ids = of_classes["metadata"].get("numbers")
    for found, meta in labelled:
        if found.shape[-2:] != shape or found.shape[:-2] not in ((), pixels.shape[: -3 if image.get("rgb") else -2]):
            raise UsageError(f"{meta.get('name')} is {found.shape}, the image {image.get('name')} is {pixels.shape}")
    classes = _classes(of_classes) if given is not None else parse_classes([str(labelled[0][1].get("name", "object"))])
    if given is None:
        assert ids is not None
        given = (ids > 0).astype(np.uint16)
    items = _items(pixels, image, given, ids, shape)
    return SplitDataset(classes, items, "accepted", __version__, SplitRule())


def _items(
    pixels: NDArray[Any], image: Mapping[str, Any], given: Labels, ids: Instances | None, shape: tuple[int, ...]
) -> tuple[DatasetItem, ...]:
    rgb = bool(image.get("rgb"))
    planes = pixels.reshape(-1, *shape, *((pixels.shape[-1],) if rgb else ()))
    masks = np.broadcast_to(given, (*pixels.shape[: -3 if rgb else -2], *shape)).reshape(-1, *shape)
    numbers = None if ids is None else np.broadcast_to(ids, masks.shape if ids.ndim == 2 else ids.shape)
    numbers = None if numbers is None else numbers.reshape(-1, *shape)
    name = str(image.get("name", "image"))
    return tuple(
        DatasetItem(
            name=name if len(planes) == 1 else f"{name}@{n}",
            file=str(image.get("source_path", name)),
            sha256=hashlib.sha256(np.ascontiguousarray(plane).tobytes()).hexdigest(),
            split="train",
            shape=(int(shape[0]), int(shape[1])),
            mask=_mask(masks[n], None if numbers is None else numbers[n]),
            rgb=_seen(plane, image),
            provenance=(),
            accepted=None,
            georeference=None,
            pixel_size=_pixel_size(image),
        )
        for n, plane in enumerate(planes)
    )


def _mask(labels: Labels, numbers: Instances | None) -> Any:
    def mask() -> Mask:
        ids = None if numbers is None else np.where(labels > 0, numbers, 0).astype(np.uint32)
        return Mask(labels.astype(np.uint16), ids)

    return mask


def _seen(plane: NDArray[Any], image: Mapping[str, Any]) -> Any:
    """The picture in the layer's contrast, uint8 (h, w, 3)."""

    def rgb() -> NDArray[np.uint8]:
        if image.get("rgb"):
            eight = plane[..., :3]
            return eight if eight.dtype == np.uint8 else (np.clip(eight, 0, 1) * 255).astype(np.uint8)
        low, high = image.get("contrast_limits") or (float(plane.min()), float(plane.max()))
        grey = np.clip((plane.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1)
        return np.repeat((grey * 255 + 0.5).astype(np.uint8)[..., None], 3, -1)

    return rgb


def _is_numbers(meta: Mapping[str, Any]) -> bool:
    """A layer of object numbers rather than classes."""
    return not (_role(meta) or meta.get("metadata", {}).get("classes"))


def _role(meta: Mapping[str, Any]) -> str:
    return str(meta.get("metadata", {}).get("wsss", {}).get("role", ""))


def _classes(meta: Mapping[str, Any]) -> Classes:
    """The classes that the layer tells."""
    told = meta["metadata"].get("classes") or {}
    colours = meta["metadata"].get("colours") or {}
    top = max((int(k) for k in told), default=0)
    return parse_classes([f"{told.get(k, f'class {k}')}{colours.get(k, '')}" for k in range(1, top + 1)] or ["object"])


def _pixel_size(image: Mapping[str, Any]) -> PixelSize | None:
    units, scale = image.get("units"), image.get("scale")
    if units is None or scale is None:
        return None
    unit = _UNITS.get(str(tuple(units)[-1]))
    return PixelSize(float(scale[-2]), float(scale[-1]), unit) if unit else None  # type: ignore[arg-type]


def _palette(meta: Mapping[str, Any]) -> list[int]:
    """256 colours: the classes' where the layer tells them, else hues by number; 0 is black."""
    colours = meta.get("metadata", {}).get("colours") or {}
    flat = [0, 0, 0]
    for k in range(1, 256):
        text = colours.get(k)
        flat += [int(text[i : i + 2], 16) for i in (1, 3, 5)] if text else [k * 67 % 256, k * 131 % 256, k * 199 % 256]
    return flat
