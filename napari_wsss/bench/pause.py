"""The longest pause of a 60 Hz event loop in another process while a segmenter is trained, beside no training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_wsss.bench._drawn import cells
from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import environment
from napari_wsss.errors import WsssError
from napari_wsss.pipeline import by_person
from napari_wsss.project import Project
from napari_wsss.types import Mask

_IMAGES, _SIDE, _SECONDS = 12, 512, 60.0
_LIMIT = 100.0  # ms


def measure(setting: Setting, seconds: float = _SECONDS, side: int = _SIDE) -> Iterator[Row]:
    """Milliseconds between turns of the loop: the longest, and what 99 of 100 stay below.

    The trainer is ``napari-wsss train`` as a person starts it: its start, its steps, its looks at held-out images and
    its checkpoints all lie in the time that is measured. Both processes may use every core that this one may.
    """
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as name:
        folder = Path(name)
        setting.progress(0, 3, "pause: drawing images")
        project = _project(folder, side)
        setting.progress(1, 3, "pause: no training")
        with _event_loop(folder / "alone") as quiet:
            time.sleep(seconds)
        setting.progress(2, 3, "pause: training")
        with _event_loop(folder / "beside") as beside:
            steps = _train(project, seconds)
    setting.progress(3, 3, "pause")
    of = f"60 Hz loop, {_cores()} cores, {seconds:.0f} s, {steps} steps"
    yield cost(of, "pause_worst", "ours", max(beside), "ms", _LIMIT)
    yield cost(of, "pause_worst", "no_training", max(quiet), "ms", _LIMIT)
    yield cost(of, "pause_p99", "ours", float(np.percentile(beside, 99)), "ms", float(np.percentile(quiet, 99)))


def _project(folder: Path, side: int) -> Path:
    """Drawn images with accepted masks."""
    images = folder / "images"
    images.mkdir()
    with Project.create(folder / "project", ["background", "cell"]) as project:
        drawn = {f"{n:02}.png": cells(side, np.random.default_rng(n)) for n in range(_IMAGES)}
        for name, (picture, _) in drawn.items():
            Picture.fromarray(picture).save(images / name)
        project.add_images([images])
        for name, (_, mask) in drawn.items():
            project.accept(name, Mask(mask), by_person("bench"))
        return project.folder


@contextmanager
def _event_loop(stop: Path) -> Iterator[list[float]]:
    """The loop runs while the block does; then its gaps are in the list."""
    gaps: list[float] = []
    command = [sys.executable, "-m", "napari_wsss.bench._event_loop_job", str(stop)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as loop:
        assert loop.stdout is not None
        try:
            if loop.stdout.readline() != "ready\n":
                raise WsssError("bench pause: the event loop did not start")
            yield gaps
        finally:
            stop.touch()
            said, complaint = loop.communicate(timeout=120)
    if loop.returncode:
        raise WsssError(f"bench pause: the event loop failed: {complaint.strip()[-300:]}")
    gaps += json.loads(said)


def _train(project: Path, seconds: float) -> int:
    """Train for so long; steps done."""
    command = [sys.executable, "-m", "napari_wsss", "train", str(project), "--minutes", str(seconds / 60), "--json"]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        raise WsssError(f"bench pause: the training failed: {done.stderr.strip()[-300:]}")
    return int(json.loads(done.stdout)["steps"])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
