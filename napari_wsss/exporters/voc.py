"""Pascal VOC: JPEGImages, SegmentationClass and SegmentationObject with VOC's palette, ImageSets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss.curation import SPLITS
from napari_wsss.errors import UsageError
from napari_wsss.exporters._manifest import Export, Opened
from napari_wsss.pictures import encoded
from napari_wsss.types import Classes, Dataset, Instances, Labels, Progress

VOID = 255
"""What VOC calls void: not labelled."""

_QUALITY = 95


class Voc:
    """VOC's folders. The class ``background`` becomes 0, not labelled 255, the others 1.. in order.

    ``classes.txt`` names line n as number n - 1 (line 1 is ``background``, also where the project
    has no such class). ``SegmentationObject`` is written for images with instance ids: objects
    numbered 1.. in order of their ids, 255 where nobody told the objects apart.
    """

    @dataclass(frozen=True)
    class Params:
        """None."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        numbers = voc_numbers(dataset.classes)
        export = Export(dataset, folder, "voc", progress, dict(enumerate(numbers.tolist())), {})
        names = ["background", *(dataset.classes[k].name for k in dataset.classes.foreground)]
        export.file("classes.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
        for split in SPLITS:
            stems = [i.file_stem for i in export.items if i.split == split]
            path = export.file("ImageSets", "Segmentation", f"{split}.txt")
            path.write_text("".join(f"{s}\n" for s in stems), encoding="utf-8")
        for opened in export:
            _write(export, opened, numbers, dataset.classes.background)
        export.finish()


def voc_numbers(classes: Classes) -> NDArray[np.uint8]:
    """VOC's number of every class id 0..K.

    Raises
    ------
    UsageError
        If there are more classes than a palette image can number.
    """
    if len(classes.foreground) >= VOID:
        raise UsageError(f"voc holds {VOID - 1} classes beside background, not {len(classes.foreground)}; use png")
    numbers = np.full(len(classes) + 1, VOID, np.uint8)
    numbers[list(classes.foreground)] = np.arange(1, len(classes.foreground) + 1)
    if classes.background is not None:
        numbers[classes.background] = 0
    return numbers


def voc_palette() -> bytes:
    """The 256 colours of VOC: colour n spreads the bits of n over red, green and blue, highest bits first."""
    n = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        for bit in range(8):
            # three bits of n at a time, the lowest three to the highest bit of the channels
            if 3 * bit + channel < 8:
                colours[:, channel] |= (((n >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours.tobytes()


def _write(export: Export, opened: Opened, numbers: NDArray[np.uint8], background: int | None) -> None:
    stem, mask = opened.item.file_stem, opened.mask
    export.file("JPEGImages", f"{stem}.jpg").write_bytes(encoded(opened.rgb, quality=_QUALITY))
    _save(export.file("SegmentationClass", f"{stem}.png"), numbers[mask.labels])
    if mask.instances is None or not mask.instances.any():
        return
    count = len(np.unique(mask.instances[mask.instances > 0]))
    if count >= VOID:
        export.note(f"no SegmentationObject: {count} objects, and voc numbers {VOID - 1} an image at most")
        return
    _save(export.file("SegmentationObject", f"{stem}.png"), _objects(mask.labels, mask.instances, background))


def _objects(labels: Labels, instances: Instances, background: int | None) -> NDArray[np.uint8]:
    out = np.full(labels.shape, VOID, np.uint8)
    has = instances > 0
    out[has] = np.unique(instances[has], return_inverse=True)[1] + 1
    if background is not None:
        out[labels == background] = 0
    return out


def _save(path: Path, indices: NDArray[np.uint8]) -> None:
    picture = Picture.fromarray(indices)
    picture.putpalette(voc_palette())
    picture.save(path, "PNG")


METHOD = Voc
