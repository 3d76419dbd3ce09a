"""Saving one label while another process reads and writes the same project."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_wsss.bench._drawn import cells
from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import environment
from napari_wsss.errors import WsssError
from napari_wsss.pipeline import by_person
from napari_wsss.project import Project
from napari_wsss.types import Point

_LABELS, _SIDE = 1000, 64
_LIMIT = 50.0  # ms, for 19 of 20 labels
OURS, THEIRS = "ours.png", "theirs.png"


def measure(setting: Setting) -> Iterator[Row]:
    """Median and 95th percentile of 1,000 labels, each on the disk when its call returns; and labels lost."""
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        milliseconds, theirs, lost = _labels_beside_another(Path(folder), setting)
    of = f"{_LABELS} labels beside {len(theirs)} writes of another process"
    p50, p95 = (float(v) for v in np.percentile(milliseconds, [50, 95]))
    yield cost(of, "write_p95", "ours", p95, "ms", _LIMIT)
    yield cost(of, "write_p95", "the_other_process", float(np.percentile(theirs, 95)), "ms", _LIMIT)
    yield cost(of, "write_p50", "ours", p50, "ms")
    yield cost(of, "write_max", "ours", max(milliseconds), "ms")
    yield cost(of, "labels_lost", "ours", lost, "labels")


def _labels_beside_another(folder: Path, setting: Setting) -> tuple[list[float], list[float], int]:
    """Milliseconds of each label, of each that the other wrote, and labels of either that are not there afterwards."""
    images = folder / "images"
    images.mkdir()
    for i, name in enumerate((OURS, THEIRS)):
        Picture.fromarray(cells(_SIDE, np.random.default_rng(i))[0]).save(images / name)
    stop = folder / "stop"
    with Project.create(folder / "project", ["background", "cell"]) as project:
        project.add_images([images])
        command = [sys.executable, "-m", "napari_wsss.bench._neighbour", str(project.folder), str(stop)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        ) as other:
            try:
                milliseconds = _write(project, other, setting)
            finally:
                stop.touch()
                said, complaint = other.communicate(timeout=120)
        if other.returncode:
            raise WsssError(f"bench write: the other process failed: {complaint.strip()[-300:]}")
        theirs: list[float] = json.loads(said)
        there = len(project.labels(OURS).marks), len(project.labels(THEIRS).marks)
    return milliseconds, theirs, _LABELS - there[0] + len(theirs) - there[1]


def _write(project: Project, other: subprocess.Popen[str], setting: Setting) -> list[float]:
    assert other.stdout is not None
    if other.stdout.readline() != "ready\n":
        raise WsssError("bench write: the other process did not start")
    by, milliseconds = by_person("bench"), []
    for n in range(_LABELS):
        setting.progress(n, _LABELS, "write")
        start = time.perf_counter()
        project.add_marks(OURS, [Point(n % _SIDE, n // _SIDE % _SIDE, 1 + n % 2)], by)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    setting.progress(_LABELS, _LABELS, "write")
    return milliseconds
