"""Our side of ``bench learn`` and ``losses``, in a process of its own: labels of some images to masks of others."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from napari_wsss.labelling import import_labels
from napari_wsss.prediction import predict
from napari_wsss.project import Project
from napari_wsss.training import Training, train
from napari_wsss.types import Prediction


def main(task: dict[str, Any]) -> None:
    """Learn from ``images`` with ``masks``, ``points`` or ``scribbles`` (a path); answer ``asked`` into ``out``.

    The asked images join the project after the training, as skipped ones, so that no training looks at them.
    ``settings`` is a :class:`Training` as JSON. Prints steps, epochs, seconds and what was used as JSON.
    """
    out, folder = Path(task["out"]), Path(task["project"])
    masks, points, scribbles = (Path(task[kind]) if task[kind] else None for kind in ("masks", "points", "scribbles"))
    made = Project.open(folder) if folder.exists() else Project.create(folder, task["classes"])
    with made as project:
        project.add_images([Path(p) for p in task["images"]])
        import_labels(project, masks=masks, points=points, scribbles=scribbles)
        began, clock = time.process_time(), time.monotonic()
        report = train(project, Training.from_json(task["settings"]), device=task["device"])
        learnt, trained = time.process_time(), time.monotonic()
        asked = _joined(project, [Path(p) for p in task["asked"]])
        predict(project, asked, device=task["device"])
        told = {
            "steps": report.steps,
            "epochs": report.epochs,
            "used": report.used,
            "train_seconds": trained - clock,
            "cpu_seconds": learnt - began,
            "predict_cpu_seconds": time.process_time() - learnt,
        }
        for name in asked:
            found = project.result(name, "predicted")
            if isinstance(found, Prediction):
                Picture.fromarray(found.labels.astype(np.uint8)).save(out / f"{Path(name).stem}.png")
    sys.stdout.write(json.dumps(told))


def _joined(project: Project, files: Sequence[Path]) -> list[str]:
    """Names of images that are in the project but out of every training."""
    project.add_images(list(files))
    wanted = {path.resolve() for path in files}
    names = [record.name for record in project.records() if Path(record.file).resolve() in wanted]
    for name in names:
        project.skip(name)
    return names


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
