"""One export under way: its files, and the manifest that tells what they are, written last.

The files of an export are noted in ``unfinished.txt`` before they are written; ``manifest.json``
takes its place at the end in one step. An export into the folder of an earlier one of the same
format removes that one's files first; any other folder must be empty.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_wsss.curation import NEAR, SPLITS, SplitDataset, near_duplicates, perceptual_hash
from napari_wsss.errors import UsageError, WsssError
from napari_wsss.objects import has_ids, objects
from napari_wsss.types import Classes, Dataset, DatasetItem, Mask, Progress

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.txt"
FORMAT = 1
PRODUCT = "napari-wsss"


class Opened(NamedTuple):
    """An item with its arrays loaded: class ids and object ids, and the picture uint8 (h, w, 3)."""

    item: DatasetItem
    mask: Mask
    rgb: NDArray[np.uint8]


class Export:
    """Hands out the items of a dataset one by one, knows what was written, writes the manifest.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        Empty, new, or the folder of an earlier export of the same format.
    form : str
        Name of the format.
    progress : Progress
    class_ids : mapping of int to int or None
        Number by which the format knows each class id, None for a class that is left out; key 0
        is "not labelled".
    options : mapping
        The exporter's parameters.

    Raises
    ------
    UsageError
        If the folder holds something else, there is nothing to export, or two images share a file name.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        form: str,
        progress: Progress,
        class_ids: Mapping[int, int | None],
        options: Mapping[str, Any],
    ) -> None:
        self.dataset, self.folder, self.form = dataset, folder, form
        self._progress, self._class_ids, self._options = progress, class_ids, options
        self.items = _in_order(dataset)
        self._files: list[str] = []
        self._notes: list[str] = []
        self._entries: list[dict[str, Any]] = []
        self._hashes: dict[str, NDArray[np.bool_]] = {}
        _clear(folder, form)

    def __iter__(self) -> Iterator[Opened]:
        """Each item loaded and checked; what is written and noted meanwhile belongs to it."""
        common = self._files, self._notes
        for n, item in enumerate(self.items):
            self._progress(n, len(self.items), f"export {item.name}")
            opened = Opened(item, _checked(item, self.dataset), item.rgb())
            self._files, self._notes = [], []
            yield opened
            self._entries.append(self._entry(opened))
            self._hashes[item.name] = perceptual_hash(opened.rgb)
        self._files, self._notes = common
        self._progress(len(self.items), len(self.items), "export")

    def file(self, *parts: str) -> Path:
        """Path of a file (or of a folder that is one thing) about to be written below the export."""
        relative = "/".join(parts)
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if relative not in self._files:
            self._files.append(relative)
            with (self.folder / UNFINISHED).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(relative) + "\n")
        return path

    def note(self, text: str) -> None:
        """A sentence for the manifest, on the image at hand or, outside the loop, on the whole."""
        self._notes.append(text)

    def finish(self) -> None:
        """Write the manifest; the export is whole from then on."""
        text = json.dumps(self._manifest(), indent=1, ensure_ascii=False, default=str) + "\n"
        partial = self.folder / (MANIFEST + ".part")
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, self.folder / MANIFEST)
        (self.folder / UNFINISHED).unlink(missing_ok=True)

    # ----------------------------------------------------------------------- what the manifest says

    def _entry(self, opened: Opened) -> dict[str, Any]:
        item, mask = opened.item, opened.mask
        pixels = np.bincount(mask.labels.ravel(), minlength=len(self.dataset.classes) + 1)
        counted = Counter(o.class_id for o in objects(mask.labels, mask.instances, self._kept()))
        return {
            "image": item.name,
            "image_sha256": item.sha256,
            "split": item.split,
            "files": self._files,
            "mask_sha256": mask_sha256(mask),
            "made_by": [dataclasses.asdict(p) for p in item.provenance],
            "accepted": item.accepted,
            "shape": list(item.shape),
            "classes": {
                c.name: {
                    "pixels": int(pixels[c.id]),
                    "objects": counted[c.id],
                    "one_object_a": "instance id" if has_ids(mask.labels, mask.instances, c.id) else "connected region",
                }
                for c in self.dataset.classes
                if pixels[c.id]
            },
            "share_not_labelled": round(float(pixels[0] / max(pixels.sum(), 1)), 6),
            "notes": [*mask.notes, *self._notes],
        }

    def _kept(self) -> tuple[int, ...]:
        return tuple(c.id for c in self.dataset.classes)

    def _manifest(self) -> dict[str, Any]:
        data = self.dataset
        return {
            "product": PRODUCT,
            "version": data.product_version,
            "manifest": FORMAT,
            "format": self.form,
            "options": dict(self._options),
            "what": data.what,
            "classes": [
                {"id": c.id, "name": c.name, "colour": c.colour, "written_as": self._class_ids[c.id]}
                for c in data.classes
            ],
            "not_labelled": {"id": 0, "written_as": self._class_ids[0]},
            "objects": "one an instance id, or one a connected region (4 neighbours) of a class without ids",
            "mask_sha256": "SHA-256 of the class ids (little-endian uint16, by rows), then the instance ids (uint32)",
            "split": self._split(),
            **self._totals(),
            "near_duplicates": self._duplicates(),
            "notes": self._notes,
            "files": self._files,
            "images": self._entries,
        }

    def _split(self) -> dict[str, Any]:
        rule = self.dataset.rule if isinstance(self.dataset, SplitDataset) else None
        return {
            "seed": rule.seed if rule else None,
            "ratios": list(rule.ratios) if rule else None,
            "group": rule.by if rule else None,
            "images": {s: sum(i.split == s for i in self.items) for s in SPLITS},
        }

    def _totals(self) -> dict[str, Any]:
        totals = {c.name: Counter(images=0, pixels=0, objects=0) for c in self.dataset.classes}
        for entry in self._entries:
            for name, of_class in entry["classes"].items():
                totals[name].update(images=1, pixels=of_class["pixels"], objects=of_class["objects"])
        area = sum(e["shape"][0] * e["shape"][1] for e in self._entries)
        labelled = sum(t["pixels"] for t in totals.values())
        return {
            "class_counts": {name: dict(t) for name, t in totals.items()},
            "share_not_labelled": round(1 - labelled / area, 6) if area else None,
        }

    def _duplicates(self) -> dict[str, Any]:
        sides = {i.name: i.split for i in self.items}
        return {
            "rule": f"at most {NEAR} of 64 bits of the perceptual hashes differ, on two sides of the split",
            "pairs": [dataclasses.asdict(d) for d in near_duplicates(self._hashes, sides)],
        }


def kept_classes(classes: Classes, background: bool) -> tuple[int, ...]:
    """Ids of the classes to write: all, or all but ``background``."""
    return tuple(c.id for c in classes) if background else classes.foreground


def mask_sha256(mask: Mask) -> str:
    """SHA-256 (hex) of class ids as little-endian uint16, row by row, then of instance ids as uint32."""
    whole = hashlib.sha256(np.ascontiguousarray(mask.labels, "<u2").tobytes())
    if mask.instances is not None:
        whole.update(np.ascontiguousarray(mask.instances, "<u4").tobytes())
    return whole.hexdigest()


def stack_of(name: str) -> tuple[str, str]:
    """Image name cut into the file's and the plane's: ``a.tif@t3z12`` gives ``a.tif`` and ``t3z12``."""
    file, _, plane = name.partition("@")
    return file, plane


def plane_order(plane: str) -> tuple[int, ...]:
    """Numbers of a plane's name, for sorting: z10 comes after z9."""
    digits = "".join(c if c.isdigit() else " " for c in plane)
    return tuple(int(n) for n in digits.split())


def _in_order(dataset: Dataset) -> tuple[DatasetItem, ...]:
    if not dataset.items:
        raise UsageError(f"nothing to export: no image has a mask that is {dataset.what}")
    items = sorted(dataset.items, key=lambda i: (stack_of(i.name)[0], plane_order(stack_of(i.name)[1])))
    stems: dict[str, str] = {}
    for item in items:
        # Windows and macOS take A.png and a.png for one file
        other = stems.setdefault(item.file_stem.casefold(), item.name)
        if other != item.name:
            raise UsageError(f"{other} and {item.name} would both be written as {item.file_stem}; rename one of them")
    return tuple(items)


def _checked(item: DatasetItem, dataset: Dataset) -> Mask:
    mask = item.mask()
    if mask.labels.shape != item.shape:
        raise WsssError(f"{item.name}: its mask is {mask.labels.shape}, the image {item.shape}; run the stages again")
    if mask.instances is not None and mask.instances.shape != item.shape:
        raise WsssError(f"{item.name}: its instance ids are {mask.instances.shape}, the image {item.shape}")
    highest = int(mask.labels.max(initial=0))
    if highest > len(dataset.classes):
        raise WsssError(f"{item.name}: its mask holds class {highest}, but there are {len(dataset.classes)} classes")
    return mask


# --------------------------------------------------------------------------- the folder before


def _clear(folder: Path, form: str) -> None:
    """Make the folder ready: remove what an earlier export of this format wrote, refuse anything else."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to export to")
    folder.mkdir(parents=True, exist_ok=True)
    old = _written_before(folder, form)
    for relative in old:
        _remove(folder, relative)
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / UNFINISHED).write_text(json.dumps(form) + "\n", encoding="utf-8")


def _written_before(folder: Path, form: str) -> list[str]:
    if not any(folder.iterdir()):
        return []
    remedy = f"{folder} is not empty and holds no earlier {form} export; give a new or empty folder"
    if (folder / UNFINISHED).is_file():
        first, *files = (json.loads(line) for line in _lines(folder / UNFINISHED))
        found, owner = [str(f) for f in files], first
    elif (folder / MANIFEST).is_file():
        found, owner = _listed(folder / MANIFEST)
    else:
        raise UsageError(remedy)
    if owner != form:
        raise UsageError(remedy)
    return found


def _lines(path: Path) -> list[str]:
    # a line cut short by a kill is that of a file not yet begun
    return [
        line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith('"') and line.endswith('"')
    ]


def _listed(path: Path) -> tuple[list[str], str]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = [*manifest["files"], *(f for entry in manifest["images"] for f in entry["files"])]
        return [str(f) for f in files], f"{manifest['format']}" if manifest["product"] == PRODUCT else ""
    except (ValueError, KeyError, TypeError):
        return [], ""


def _remove(folder: Path, relative: str) -> None:
    path = folder / relative
    # what a manifest lists is only believed below its own folder
    if not path.resolve().is_relative_to(folder.resolve()) or path.resolve() == folder.resolve():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
