"""Scribbles, masks and instances from folders of PNG and TIFF files (contract.md, "Input files")."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from napari_wsss.errors import WsssError
from napari_wsss.types import Classes, ImportedLabels
from napari_wsss.weak_labels.reading import (
    FoundImage,
    ImageFinder,
    ReadLabels,
    WrongRow,
    WrongRows,
    digest_of,
    read_bytes,
)
from napari_wsss.weak_labels.strokes import cropped_stroke

Raster = NDArray[Any]
_ENDINGS = (".png", ".tif", ".tiff")


def read_scribbles(folder: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``scribbles/STEM.png|tif``: 0 = no stroke, k = class k. A TIFF's page i is plane i of a stack.

    Raises
    ------
    WsssError
        Naming the file and the reason (unknown image, wrong size, class id above K, unreadable),
        unless ``skip_bad_rows``, which leaves that file out.
    """

    def labels(raster: Raster) -> ImportedLabels:
        stroke = cropped_stroke(_class_ids(raster, classes))
        return ImportedLabels(marks=() if stroke is None else (stroke,))

    return _read(folder, "scribbles", images, labels, skip_bad_rows)


def read_masks(folder: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``masks/STEM.png|tif``: k = class k, 0 = unlabelled; they count as accepted. Errors as for scribbles."""
    return _read(folder, "masks", images, lambda r: ImportedLabels(mask=_class_ids(r, classes)), skip_bad_rows)


def read_instances(folder: Path, images: ImageFinder, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``instances/STEM.png|tif``: object ids of accepted masks, 0 = none. Errors as for scribbles."""
    return _read(folder, "instances", images, lambda r: ImportedLabels(instances=r.astype(np.uint32)), skip_bad_rows)


def _read(
    folder: Path, kind: str, images: ImageFinder, labels: Callable[[Raster], ImportedLabels], skip: bool
) -> ReadLabels:
    if not folder.is_dir():
        raise WsssError(f"{folder}: no such folder")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise WsssError(f"{folder}: holds no files; expected STEM.png or STEM.tif")
    wrong = WrongRows(skip)
    found: dict[str, ImportedLabels] = {}
    contents = []

    def take(file: Path, data: bytes) -> None:
        planes = _planes(file, images)
        if any(p.name in found for p in planes):
            raise WrongRow(f"another file is already of image {planes[0].name!r}")
        rasters = _rasters(file, data, planes)
        found.update({p.name: labels(r) for p, r in zip(planes, rasters, strict=True)})

    for file in files:
        data = read_bytes(file)
        contents.append((file.name, data))
        wrong.attempt(f"{folder.name}/{file.name}", partial(take, file, data))
    return ReadLabels(found, digest_of(kind, contents), wrong.finish())


def _planes(file: Path, images: ImageFinder) -> Sequence[FoundImage]:
    """The image's planes, by the file's stem; ``__`` of written names stands for ``/``."""
    if file.suffix.lower() not in _ENDINGS:
        raise WrongRow("neither PNG nor TIFF")
    stem = file.name[: -len(file.suffix)]
    try:
        return images.planes(stem)
    except WsssError:
        if "__" not in stem:
            raise
        return images.planes(stem.replace("__", "/"))


def _rasters(file: Path, data: bytes, planes: Sequence[FoundImage]) -> list[Raster]:
    pages = _png_pages(data, planes) if file.suffix.lower() == ".png" else _tiff_pages(data, planes)
    for page in pages:
        if page.dtype.kind not in "biu":
            raise WrongRow(f"pixels are {page.dtype}, they must be whole numbers")
        if page.dtype.kind == "i" and page.min(initial=0) < 0:
            raise WrongRow("negative pixel values")
    return pages


def _png_pages(data: bytes, planes: Sequence[FoundImage]) -> list[Raster]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # the size is checked before decoding
            with Pillow.open(io.BytesIO(data), formats=["PNG"]) as picture:
                _same_size((picture.height, picture.width), 1, planes)
                if len(picture.getbands()) != 1:
                    raise WrongRow(f"{len(picture.getbands())} channels; a label file has one")
                return [np.array(picture)]
    except WrongRow:
        raise
    except Pillow.DecompressionBombError as error:
        raise WrongRow("too many pixels for a PNG; save it as TIFF") from error
    except Exception as error:  # a damaged file can make the decoder raise anything
        raise WrongRow(f"not a readable PNG ({error})") from error


def _tiff_pages(data: bytes, planes: Sequence[FoundImage]) -> list[Raster]:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            pages = list(tiff.pages)
            if pages and len(pages[0].shape) != 2:
                raise WrongRow(f"pages of shape {pages[0].shape}; a label file has one channel")
            for page in pages:
                _same_size(tuple(page.shape), len(pages), planes)
            if not pages:
                raise WrongRow("no pages")
            return [np.asarray(page.asarray()) for page in pages]
    except WrongRow:
        raise
    except Exception as error:  # a damaged file can make the decoder raise anything
        raise WrongRow(f"not a readable TIFF ({error})") from error


def _same_size(size: tuple[int, ...], pages: int, planes: Sequence[FoundImage]) -> None:
    if pages != len(planes):
        raise WrongRow(f"{pages} pages, but {planes[0].name!r} has {len(planes)} planes")
    shape = planes[0].shape
    if tuple(size) != tuple(shape):
        raise WrongRow(f"{size[0]} × {size[1]} pixels, but {planes[0].name!r} has {shape[0]} × {shape[1]}")


def _class_ids(raster: Raster, classes: Classes) -> NDArray[np.uint16]:
    highest = int(raster.max(initial=0))
    if highest > len(classes):
        y, x = np.argwhere(raster == highest)[0]
        raise WrongRow(f"class id {highest} at ({y}, {x}), but the project has {len(classes)} classes")
    return raster.astype(np.uint16)
