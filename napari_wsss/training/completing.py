"""From points and strokes to masks before the training: the pipeline labels the rest of each hinted image.

Points and strokes lie in the middles of things. A network that is taught by them alone learns neither borders nor how
much of an image each class covers; from refined masks of the same images it learns both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_wsss.pipeline import Plan, run
from napari_wsss.project import Project
from napari_wsss.protocols import Context
from napari_wsss.training.settings import Training
from napari_wsss.types import Progress

if TYPE_CHECKING:
    from napari_wsss.training.team import Alone


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

    What is up to date is not made again. Methods, encoder and parameters are the project's. Images whose labels are
    not enough are left as they are: the run then learns from the hints alone.
    """
    hinted = [r.name for r in project.records() if r.labels_digest and r.state != "skipped" and not r.is_whole]
    if not hinted:
        return 0
    return len(run(project, Plan(images=hinted, device=device), progress).computed["refine"])
