"""YOLO segmentation: one line a object of class and outline, images, lists of the split, data.yaml."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_wsss.curation import SPLITS
from napari_wsss.exporters._manifest import Export, Opened, kept_classes
from napari_wsss.exporters._polygons import bridged, parts_of
from napari_wsss.objects import objects
from napari_wsss.pictures import encoded
from napari_wsss.types import Dataset, Progress


class Yolo:
    """``labels/SPLIT/STEM.txt``, ``images/SPLIT/STEM.png``, ``SPLIT.txt`` and ``data.yaml``.

    A line is ``class x y x y …``: classes are numbered from 0 in the order of ``data.yaml``, coordinates
    are shares of width and height. The format knows one outline an object: holes and separate
    pieces are joined to it by a bridge of no width, which an even-odd fill does not see.

    Parameters
    ----------
    background : bool
        Also the class ``background``.
    """

    @dataclass(frozen=True)
    class Params:
        """See the class."""

        background: bool = False

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        kept = kept_classes(dataset.classes, self.params.background)
        numbers: dict[int, int | None] = dict.fromkeys(range(len(dataset.classes) + 1))
        numbers.update({k: n for n, k in enumerate(kept)})
        export = Export(dataset, folder, "yolo", progress, numbers, asdict(self.params))
        names = [dataset.classes[k].name for k in kept]
        export.file("data.yaml").write_text(_yaml(names), encoding="utf-8")
        for split in SPLITS:
            lines = [f"./images/{split}/{i.file_stem}.png\n" for i in export.items if i.split == split]
            export.file(f"{split}.txt").write_text("".join(lines), encoding="utf-8")
        for opened in export:
            _write(export, opened, kept)
        export.finish()


def _write(export: Export, opened: Opened, kept: tuple[int, ...]) -> None:
    item = opened.item
    export.file("images", item.split, f"{item.file_stem}.png").write_bytes(encoded(opened.rgb, "PNG"))
    lines = []
    for thing in objects(opened.mask.labels, opened.mask.instances, kept):
        path = bridged([ring for part in parts_of(thing) for ring in part])
        shares = path / (item.shape[1], item.shape[0])
        # six digits find the pixel corner again in images of up to half a million pixels a side
        lines.append(f"{kept.index(thing.class_id)} " + " ".join(f"{v:.6f}" for v in shares.ravel()) + "\n")
    export.file("labels", item.split, f"{item.file_stem}.txt").write_text("".join(lines), encoding="utf-8")


def _yaml(names: list[str]) -> str:
    # a JSON string is a YAML string, whatever the name holds
    rows = "".join(f"  {n}: {json.dumps(name, ensure_ascii=False)}\n" for n, name in enumerate(names))
    lists = "".join(f"{s}: {s}.txt\n" for s in SPLITS)
    return f"path: .\n{lists}names:\n{rows}"


METHOD = Yolo
