"""A project's masks as a dataset that an exporter can write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_wsss import __version__, registry
from napari_wsss.curation import SplitDataset, SplitRule, groups_of, split
from napari_wsss.errors import UsageError
from napari_wsss.project import ImageRecord, Project
from napari_wsss.types import DatasetItem, Mask, Progress, Provenance, no_progress

What = Literal["accepted", "refined", "pseudo", "predicted"]


def export(
    project: Project,
    out: Path,
    form: str,
    *,
    what: What = "accepted",
    params: Mapping[str, Any] | None = None,
    rule: SplitRule | None = None,
    images: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> int:
    """Write a project's masks in one format; the number of images written.

    Parameters
    ----------
    form : str
        Name of an exporter, e.g. ``png``, ``coco``, ``ome-zarr``.
    what : ``accepted``, ``refined``, ``pseudo`` or ``predicted``
    params : mapping
        The exporter's parameters.
    rule : SplitRule
        Train, val and test shares, seed, and what keeps together.

    Raises
    ------
    UsageError
        For an unknown format or parameter, a folder that holds something else, or no such masks.
    """
    name = form.replace("-", "_")
    exporter = registry.load("exporters", name)
    dataset = dataset_of(project, what, rule or SplitRule(), images)
    exporter(registry.parameters(exporter, params or {}, f"format {form}"))(dataset, Path(out), progress)
    return len(dataset.items)


def dataset_of(project: Project, what: What, rule: SplitRule, images: Sequence[str] | None = None) -> SplitDataset:
    """The project's masks of one kind, split into train, val and test."""
    wanted = None if images is None else {project.record(n).name for n in images}
    records = [r for r in project.records() if (wanted is None or r.name in wanted) and has(project, r, what)]
    if not records:
        remedies = {"accepted": "accept some first", "predicted": "compute them with `napari-wsss predict`"}
        remedy = remedies.get(what, "compute them with `napari-wsss run`")
        raise UsageError(f"no {what} masks to export; {remedy}")
    names = [r.name for r in records]
    sides = split(names, groups_of(names, rule.by), rule.ratios, rule.seed)
    items = tuple(_item(project, r, what, sides[r.name]) for r in records)
    return SplitDataset(project.classes, items, what, __version__, rule)


def has(project: Project, record: ImageRecord, what: What) -> bool:
    """Whether an image has masks of this kind."""
    if what == "accepted":
        return record.state == "accepted"
    return record.name in project.result_keys(what)


def mask_of(project: Project, name: str, what: What) -> Mask | None:
    """An image's mask of this kind, None where it has none."""
    if what == "accepted":
        return project.accepted(name)
    result = project.result(name, what)
    if result is None or isinstance(result, Mask):
        return result
    return Mask(result.labels)  # type: ignore[union-attr]


def picture(project: Project, name: str) -> NDArray[np.uint8]:
    """uint8 (h, w, 3): the image in the contrast and the channels that the person sees.

    An image that lacks one of those channels, as a grey one among others, is shown by its own.
    """
    image = project.image(name)
    shown = project.settings.display_channels
    if not shown or max(shown) >= len(image.channels):
        shown = image.rgb_channels
    channels = list((shown * 3)[:3] if len(shown) < 3 else shown[:3])
    return (image.channels[channels].transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


def _item(project: Project, record: ImageRecord, what: What, side: Literal["train", "val", "test"]) -> DatasetItem:
    def mask() -> Mask:
        found = mask_of(project, record.name, what)
        if found is None:
            raise UsageError(f"{record.name}: its {what} mask was removed while exporting; export again")
        return found

    source = project.source(record.name)
    return DatasetItem(
        name=record.name,
        file=str(record.file),
        sha256=record.sha256,
        split=side,
        shape=record.shape,
        mask=mask,
        rgb=lambda: picture(project, record.name),
        provenance=_makers(project, record.name, what),
        accepted=project.accepted_when(record.name) if what == "accepted" else None,
        georeference=source.georeference,
        pixel_size=source.pixel_size,
    )


def _makers(project: Project, name: str, what: What) -> tuple[Provenance, ...]:
    if what == "accepted":
        return project.accepted_provenance(name)
    maker = project.result_provenance(name, what)
    return () if maker is None else (maker,)
