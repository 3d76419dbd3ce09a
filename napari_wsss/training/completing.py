"""From points and strokes to masks before the training: the pipeline labels the rest of each hinted image.

Points and strokes lie in the middles of things. A network that is taught by them alone learns neither borders nor how
much of an image each class covers; from refined masks of the same images it learns both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_wsss.pipeline import Plan, run
from napari_wsss.project import ImageRecord, Project
from napari_wsss.protocols import Context
from napari_wsss.training.settings import Training
from napari_wsss.types import Progress, digest
from napari_wsss.weak_labels import compile_target

if TYPE_CHECKING:
    from napari_wsss.training.team import Alone


_GROWN = 1.5  # times as many labelled pixels of a class


def completed(project: Project, settings: Training, context: Context, team: Alone) -> float:
    """Seconds that :func:`complete` took before a run; they are part of the run's, up to a half of it.

    Other machines than the leader's would not see these masks: a run on several learns from those that are there.
    """
    if not settings.complete or settings.noisy <= 0 or team.nodes > 1:
        return 0.0
    now = clock(settings)
    began = now()
    complete(project, context.device, context.progress)
    limit = settings.limits[1]
    return min(now() - began, math.inf if limit is None else limit / 2)


def clock(settings: Training) -> Callable[[], float]:
    """What a run's seconds are measured by."""
    return time.process_time if settings.clock == "cpu" else time.monotonic


def complete(project: Project, device: str, progress: Progress) -> int:
    """Refined masks for the images that bear labels but not on every pixel; how many were made.

    What is up to date is made again only once the whole project teaches half as much more of some class as when it was
    made: the label model learns from all images. Methods, encoder and parameters are the project's. Images whose labels
    are not enough are left as they are: the run then learns from the hints alone.
    """
    labelled = [r for r in project.records() if r.labels_digest and r.state != "skipped"]
    hinted = [r.name for r in labelled if not r.is_whole]
    if not hinted:
        return 0
    told = _told(project, labelled)
    keys = project.result_keys("refined")
    outgrown = [name for name in hinted if _is_outgrown(_known_to(project, name, keys), told)]
    made = set(run(project, Plan(images=hinted, device=device), progress).computed["refine"])
    outgrown = [name for name in outgrown if name not in made]
    if outgrown:
        again = Plan(stages=("pseudo", "refine"), images=outgrown, device=device, again=True)
        made |= set(run(project, again, progress).computed["refine"])
    keys = project.result_keys("refined")
    for name in hinted:
        if name in made or _known_to(project, name, keys) is None:
            project.cache.put(_memory(name, keys), {"told": told})
    return len(made)


def _told(project: Project, labelled: Sequence[ImageRecord]) -> NDArray[np.int64]:
    """Pixels that a person labelled of each class (K,), in all images."""
    counts = np.zeros(len(project.classes) + 1, np.int64)
    for record in labelled:
        target = compile_target(
            project.labels(record.name), project.classes, record.shape, point_radius=project.settings.point_radius
        )
        counts += np.bincount(target.seed.ravel(), minlength=len(counts))
    return counts[1:]


def _is_outgrown(then: NDArray[np.int64] | None, now: NDArray[np.int64]) -> bool:
    return then is not None and (len(then) != len(now) or bool((now > _GROWN * then).any()))


def _known_to(project: Project, name: str, keys: Mapping[str, str]) -> NDArray[np.int64] | None:
    """What the project had told when the image's refined mask was made; None where that was not noted."""
    found = project.cache.get(_memory(name, keys))
    return None if found is None else found["told"]


def _memory(name: str, keys: Mapping[str, str]) -> str:
    return digest("completed", name, keys.get(name, ""))
