"""Masks as PNG of class ids (a stack's as one multi-page TIFF), instance ids as TIFF, classes.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss.exporters._manifest import Export, Opened, stack_of
from napari_wsss.types import Dataset, Instances, Labels, Progress, written_stem


class Png:
    """``masks/STEM.png`` (0 = not labelled, k = line k of ``classes.txt``), uint8, or uint16 above 255 classes.

    The planes of a stack become the pages of ``masks/STEM.tif``, in plane order, each page's description
    naming its plane. Images with instance ids also get ``instances/STEM.tif`` (uint16, or uint32
    where ids are larger).
    """

    @dataclass(frozen=True)
    class Params:
        """None."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        same: dict[int, int | None] = {k: k for k in range(len(dataset.classes) + 1)}
        export = Export(dataset, folder, "png", progress, same, {})
        export.file("classes.txt").write_text("".join(f"{n}\n" for n in dataset.classes.names), encoding="utf-8")
        for opened in export:
            self._write(export, opened, len(dataset.classes))
        export.finish()

    def _write(self, export: Export, opened: Opened, classes: int) -> None:
        item, mask = opened.item, opened.mask
        file, plane = stack_of(item.name)
        stem = written_stem(file) if plane else item.file_stem
        if plane:
            _append(export.file("masks", f"{stem}.tif"), _smallest(mask.labels, classes), plane)
            export.note(f"page {plane!r} of the file")
        else:
            write_mask(export.file("masks", f"{stem}.png"), mask.labels, classes)
        if mask.instances is not None and mask.instances.any():
            path = export.file("instances", f"{stem}.tif")
            if plane:
                # pages of one file keep one type, and a later plane may hold larger ids
                _append(path, mask.instances.astype(np.uint32), plane)
            else:
                write_instances(path, mask.instances)


def write_mask(path: Path, labels: Labels, classes: int) -> None:
    """Class ids (h, w) as a grey PNG: uint8, or uint16 above 255 classes."""
    Picture.fromarray(_smallest(labels, classes)).save(path, "PNG")


def write_instances(path: Path, instances: Instances) -> None:
    """Object ids (h, w) as TIFF: uint16, or uint32 where they need it."""
    kind = np.uint16 if int(instances.max(initial=0)) < 2**16 else np.uint32
    tifffile.imwrite(path, instances.astype(kind), **_OPTIONS)


_OPTIONS: dict[str, Any] = {
    "compression": "zlib",
    "photometric": "minisblack",
    "metadata": None,
    "software": "napari-wsss",
}


def _smallest(labels: Labels, classes: int) -> NDArray[Any]:
    return labels.astype(np.uint8 if classes < 256 else np.uint16)


def _append(path: Path, page: NDArray[Any], plane: str) -> None:
    tifffile.imwrite(path, page, append=True, bigtiff=True, description=plane, **_OPTIONS)


METHOD = Png
