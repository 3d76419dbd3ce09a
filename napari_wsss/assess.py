"""How good a project's results are against the truth. With `simulation` the only door from a project to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_wsss.datasets import What, has, mask_of
from napari_wsss.errors import UsageError
from napari_wsss.evaluation import Case, SeedCase, TruthFolder, evaluate, evaluate_seeds, hinted
from napari_wsss.project import Project
from napari_wsss.types import Cam

KINDS: tuple[What, ...] = ("pseudo", "refined", "predicted", "accepted")


def figures(
    project: Project, truth: Path, what: Sequence[str] | None = None, without_hints: bool = False
) -> dict[str, dict[str, Any]]:
    """Figures of each kind of mask the project has, and of its activation maps where they can be scored.

    Parameters
    ----------
    truth : Path
        ``STEM.png|tif`` class ids, or a folder with ``masks/`` and perhaps ``instances/``.
    what : of ``cam``, ``pseudo``, ``refined``, ``predicted``, ``accepted``; None = all that the project has
    without_hints : bool
        Leave out the pixels that bear a stroke or a point.

    Returns
    -------
    dict
        Kind to figures. Every image that has truth is counted; one without a mask is all wrong.

    Raises
    ------
    UsageError
        For a kind that does not exist or that the project has none of.
    """
    unknown = [kind for kind in what or () if kind not in ("cam", *KINDS)]
    if unknown:
        raise UsageError(f"no masks of the kind {unknown[0]!r}; there are: cam, {', '.join(KINDS)}")
    names = [r.name for r in project.records()]
    folder = TruthFolder(truth, project.classes, names)
    found: dict[str, dict[str, Any]] = {}
    if what is None or "cam" in what:
        found.update(_cam_figures(project, folder, without_hints))
    for kind in KINDS:
        if what is not None and kind not in what:
            continue
        if any(has(project, r, kind) for r in project.records()):
            found[kind] = evaluate(_cases(project, folder, kind, without_hints), project.classes).as_json()
        elif what is not None:
            raise UsageError(f"the project has no {kind} masks")
    if not found:
        raise UsageError("nothing to evaluate; compute masks with `napari-wsss run` first")
    return found


def _cases(project: Project, folder: TruthFolder, kind: What, without_hints: bool) -> Iterator[Case]:
    for record in project.records():
        truth = folder.mask(record.name)
        if truth is None:
            continue
        mask = mask_of(project, record.name, kind)
        yield Case(
            record.name,
            truth,
            None if mask is None else mask.labels,
            folder.instances(record.name),
            None if mask is None else mask.instances,
            hinted(project.labels(record.name), record.shape) if without_hints else None,
        )


def _cam_figures(project: Project, folder: TruthFolder, without_hints: bool) -> dict[str, dict[str, Any]]:
    """Maps over thresholds where there is a background, and the dual-threshold seeds as they are."""
    if not project.result_keys("cam"):
        return {}

    def cams() -> Iterator[tuple[str, Any, Cam, Any]]:
        for record in project.records():
            truth, cam = folder.mask(record.name), project.result(record.name, "cam")
            if truth is not None and isinstance(cam, Cam):
                left_out = hinted(project.labels(record.name), record.shape) if without_hints else None
                yield record.name, truth, cam, left_out

    seeds = evaluate((Case(n, t, c.seeds, left_out=o) for n, t, c, o in cams()), project.classes).as_json()
    found = {"cam_seeds": seeds}
    if project.classes.background is not None:
        maps = (SeedCase(n, t, c.scores, c.classes, o) for n, t, c, o in cams())
        found["cam"] = evaluate_seeds(maps, project.classes).as_json()
    return found
