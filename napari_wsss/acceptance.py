"""What a person does with results: choosing images, and accepting masks as ground truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from napari_wsss import __version__
from napari_wsss.project import ImageRecord, Project
from napari_wsss.types import Box, Mask, Prediction, Provenance, PseudoLabels, WeakLabels
from napari_wsss.weak_labels import compile_target


def accept(
    project: Project,
    names: Sequence[str] | None,
    what: Literal["refined", "pseudo", "predicted"] = "refined",
    box: tuple[int, int, int, int] | None = None,
    separate: bool = False,
) -> tuple[list[str], list[str]]:
    """Accept what a stage made as ground truth, for whole images or one region.

    Pixels that a person gave stay as given, also where they were given after the mask was computed; so do the
    numbers of objects that are accepted already.

    Parameters
    ----------
    separate : bool
        Every region is an object with a number of its own; where several points lie on one it is divided between them.

    Returns
    -------
    accepted, lacking : lists of names
        Images whose masks were accepted, and those without such a result.
    """
    accepted, lacking = [], []
    for record in chosen_records(project, names):
        result = project.result(record.name, what)
        if not isinstance(result, Mask | PseudoLabels | Prediction):
            lacking.append(record.name)
            continue
        mask = result if isinstance(result, Mask) else Mask(result.labels)
        maker = project.result_provenance(record.name, what)
        source = (f"{maker.name} {maker.model} {maker.version}".replace("  ", " "),) if maker else ()
        project.accept(
            record.name, _as_given(project, record, mask, separate), by_person(f"accept {what}", source), box
        )
        accepted.append(record.name)
    return accepted, lacking


def _as_given(project: Project, record: ImageRecord, mask: Mask, separate: bool) -> Mask:
    """The mask with every pixel that a person gave as it was given, and the object ids that stand there."""
    labels = project.labels(record.name)
    marks = tuple(m for m in labels.marks if not isinstance(m, Box) or m.fill)
    given = WeakLabels(marks=marks, mask=labels.mask)
    seed = compile_target(given, project.classes, record.shape, point_radius=project.settings.point_radius).seed
    if ((seed > 0) & (seed != mask.labels)).any():
        seed[~project.image(record.name).valid] = 0  # nodata is never labelled
    fixed = np.where(seed > 0, seed, mask.labels).astype(np.uint16)
    ids = mask.instances
    if ids is not None:
        ids = np.where(fixed == mask.labels, ids, 0).astype(np.uint32)
    before = labels.mask if labels.mask is not None else np.zeros(record.shape, np.uint16)
    if labels.instances is not None:
        ids = labels.instances if ids is None else np.where(before > 0, labels.instances, ids).astype(np.uint32)
    if separate:
        from napari_wsss import splitting

        fresh = np.where(before > 0, 0, fixed).astype(np.uint16)
        found = splitting.one_a_point(fresh, ids, labels.points).instances
        ids = splitting.each_region(fixed, found, project.classes.background)
    return Mask(fixed, ids, mask.notes)


def chosen_records(project: Project, names: Sequence[str] | None) -> list[ImageRecord]:
    """Records of the named images, or of all.

    Raises
    ------
    UsageError
        For a name that no image has.
    """
    if names is None:
        return project.records()
    return list({record.name: record for record in map(project.record, names)}.values())


def by_person(what: str, sources: tuple[str, ...] = ()) -> Provenance:
    """Provenance of something a person did now."""
    return Provenance("person", what, now(), sources=sources, version=__version__)


def now() -> str:
    """ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
