"""From points and strokes to masks before the training: the pipeline labels the rest of each hinted image.

Points and strokes lie in the middles of things. A network that is taught by them alone learns neither borders nor how
much of an image each class covers; from refined masks of the same images it learns both.
"""

from __future__ import annotations

from napari_wsss.pipeline import Plan, run
from napari_wsss.project import Project
from napari_wsss.types import Progress


def complete(project: Project, device: str, progress: Progress) -> int:
    """Refined masks for the images that bear weak labels and are not accepted; how many were made.

    What is up to date is not made again. Methods, encoder and parameters are the project's. Images whose labels are
    not enough are left as they are: the run then learns from the hints alone.
    """
    hinted = [r.name for r in project.records() if r.labels_digest and r.state not in ("accepted", "skipped")]
    if not hinted:
        return 0
    return len(run(project, Plan(images=hinted, device=device), progress).computed["refine"])
