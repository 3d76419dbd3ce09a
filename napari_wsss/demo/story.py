"""A project's results as the report wants them: pictures loaded when drawn, methods from the provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_wsss import __version__
from napari_wsss.choices import RESULT, STAGES
from napari_wsss.datasets import mask_of, picture
from napari_wsss.evaluation import TruthFolder
from napari_wsss.project import ImageRecord, Project
from napari_wsss.report import MethodUsed, Report, ReportImage
from napari_wsss.types import Cam, Labels, Provenance

_NAMES = {"cam": "activation maps", "pseudo": "pseudo-labels", "refine": "refined masks"}


def report_of(
    project: Project,
    title: str,
    facts: Mapping[str, str],
    truth: Path | None = None,
    figures: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """Everything that the project knows about its images, for :func:`napari_wsss.report.write_report`.

    Parameters
    ----------
    title : str
    facts : mapping
        Lines of the header.
    truth : Path, optional
        Folder of ground truth; then the report shows what is wrong, else what refinement changed.
    figures : mapping, optional
        As :func:`napari_wsss.assess.figures` gives them.
    """
    records = project.records()
    known = None if truth is None else TruthFolder(truth, project.classes, [r.name for r in records])
    images = tuple(_image(project, record, known) for record in records)
    return Report(title, project.classes, images, __version__, facts, _methods(project, records), figures or {})


def _image(project: Project, record: ImageRecord, truth: TruthFolder | None) -> ReportImage:
    name = record.name

    def cam() -> Cam | None:
        found = project.result(name, "cam")
        return found if isinstance(found, Cam) else None

    def pseudo() -> Labels | None:
        found = mask_of(project, name, "pseudo")
        return None if found is None else found.labels

    refined = mask_of(project, name, "refined")
    makers = [project.result_provenance(name, RESULT[stage]) for stage in STAGES]
    return ReportImage(
        name,
        rgb=lambda: picture(project, name),
        hints=project.labels(name),
        cam=cam,
        pseudo=pseudo,
        mask=lambda: mask_of(project, name, "refined"),
        truth=lambda: None if truth is None else truth.mask(name),
        provenance=(*(m for m in makers if m is not None), *project.accepted_provenance(name)),
        accepted=project.accepted_when(name),
        pixel_size=project.source(name).pixel_size,
        notes=() if refined is None else refined.notes,
    )


def _methods(project: Project, records: list[ImageRecord]) -> tuple[MethodUsed, ...]:
    """The method of each stage, from the first image that it made something of."""
    used = []
    for stage in STAGES:
        made: list[Provenance] = [
            p for r in records if (p := project.result_provenance(r.name, RESULT[stage])) is not None
        ]
        if made:
            used.append(MethodUsed(_NAMES[stage], made[0].name, made[0].model, made[0].params))
    return tuple(used)
