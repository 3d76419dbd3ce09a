"""Whether a project's labels can teach a segmenter anything, and if not, what is missing."""

from __future__ import annotations

import numpy as np

from napari_wsss.project import Project
from napari_wsss.types import Box, Stroke, WeakLabels

NOTHING = "Nothing to learn from yet: accept some objects, scribble, or run the stages; then start."


def lacking(project: Project) -> str:
    """One line about what a training run would lack; '' if there is enough to begin."""
    if project.result_keys("refined"):
        return ""
    seen: set[int] = set()
    labelled = [r.name for r in project.records() if r.labels_digest and r.state != "skipped"]
    for name in labelled:
        labels = project.labels(name)
        if _narrows(labels):
            return ""
        seen |= _classes(labels)
        if len(seen) > 1:
            return ""
    if not seen:
        return NOTHING
    name = project.classes[seen.pop()].name
    return f"All that is labelled is {name}: also mark what is not {name} (a block or a scribble of another class)."


def _narrows(labels: WeakLabels) -> bool:
    """Says where a class is not: boxes around objects, classes that are absent, a complete list."""
    boxes = any(isinstance(m, Box) and not m.fill for m in labels.marks)
    return boxes or bool(labels.tags.absent) or labels.tags.complete


def _classes(labels: WeakLabels) -> set[int]:
    """Class ids of marks and mask."""
    found: set[int] = set() if labels.mask is None else set(np.unique(labels.mask).tolist())
    for mark in labels.marks:
        found |= set(np.unique(mark.raster).tolist()) if isinstance(mark, Stroke) else {mark.class_id}
    return found - {0}
