"""The product's side of ``bench loop``, in a process of its own: a new project from images and hints to masks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from napari_wsss.datasets import mask_of
from napari_wsss.labelling import import_labels
from napari_wsss.pipeline import Plan, run
from napari_wsss.project import Project


def main(task: dict[str, Any]) -> None:
    """Label every image of a task: ``images``, ``classes``, ``points`` or ``scribbles``, ``out``, ``use``, ``device``.

    Writes ``out/pseudo/STEM.png`` and ``out/refined/STEM.png``; an image that could not be labelled has none.
    """
    out = Path(task["out"])
    points, scribbles = (None if task[kind] is None else Path(task[kind]) for kind in ("points", "scribbles"))
    with Project.create(out / "project", task["classes"]) as project:
        project.add_images([Path(p) for p in task["images"]])
        import_labels(project, points=points, scribbles=scribbles)
        report = run(project, Plan(use=task["use"], device=task["device"]))
        for what in ("pseudo", "refined"):
            (out / what).mkdir()
            for record in project.records():
                mask = mask_of(project, record.name, what)
                if mask is not None:
                    stem = Path(record.name).stem
                    Picture.fromarray(mask.labels.astype(np.uint8)).save(out / what / f"{stem}.png")
    sys.stdout.write(json.dumps({"used": report.used, "left": report.skipped + report.failed}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
