"""COCO: one annotations.json with an RLE (or polygons) for every object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_wsss.exporters._manifest import Export, Opened, kept_classes
from napari_wsss.exporters._polygons import parts_of
from napari_wsss.exporters._rle import compressed, counts_of
from napari_wsss.objects import Object, objects
from napari_wsss.pictures import encoded
from napari_wsss.types import Dataset, Progress


class Coco:
    """``annotations.json``: one category a class (its id is the class id), one annotation an object.

    An object is an instance id, or a connected region of a class that has no ids in that image.
    Pixels without an id in a class that has ids elsewhere in the image form one annotation with
    ``iscrowd`` 1. Boxes are ``[x, y, width, height]``, areas are pixels; each image tells its ``split``.

    Parameters
    ----------
    polygons : bool
        Outlines along pixel edges in place of RLE; an object with holes, or a crowd, stays RLE.
    background : bool
        Also the class ``background``.
    images : bool
        Also ``images/STEM.png``, and ``file_name`` names it; otherwise it is the image's own name.
    """

    @dataclass(frozen=True)
    class Params:
        """See the class."""

        polygons: bool = False
        background: bool = False
        images: bool = False

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        kept = kept_classes(dataset.classes, self.params.background)
        ids = {0: None, **{c.id: c.id if c.id in kept else None for c in dataset.classes}}
        export = Export(dataset, folder, "coco", progress, ids, asdict(self.params))
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, opened in enumerate(export, 1):
            images.append(self._image(export, opened, number))
            for annotation in self._annotations(opened, kept):
                annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
        whole = {
            "info": {"description": f"{dataset.what} masks", "version": f"napari-wsss {dataset.product_version}"},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": k, "name": dataset.classes[k].name, "supercategory": ""} for k in kept],
        }
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        export.file("annotations.json").write_text(text, encoding="utf-8")
        export.finish()

    def _image(self, export: Export, opened: Opened, number: int) -> dict[str, Any]:
        item, name = opened.item, opened.item.name
        if self.params.images:
            name = f"images/{item.file_stem}.png"
            export.file(*name.split("/")).write_bytes(encoded(opened.rgb, "PNG"))
        height, width = item.shape
        return {"id": number, "file_name": name, "width": width, "height": height, "split": item.split}

    def _annotations(self, opened: Opened, kept: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        shape = opened.item.shape
        for thing in objects(opened.mask.labels, opened.mask.instances, kept, crowds=True):
            y0, x0, y1, x1 = thing.box
            yield {
                "category_id": thing.class_id,
                "segmentation": self._segmentation(thing, shape),
                "area": thing.area,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(thing.crowd),
            }

    def _segmentation(self, thing: Object, shape: tuple[int, int]) -> Any:
        if self.params.polygons and not thing.crowd:
            parts = parts_of(thing)
            if all(len(part) == 1 for part in parts):
                return [[int(v) for v in part[0].ravel()] for part in parts]
        return {"size": list(shape), "counts": compressed(counts_of(thing, shape))}


METHOD = Coco
