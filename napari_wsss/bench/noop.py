"""A run with nothing to do on 100 small images, beyond the interpreter's start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from napari_wsss.bench._drawn import cells
from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import environment
from napari_wsss.errors import WsssError

_IMAGES, _SIDE, _ROUNDS = 100, 64, 5
_LIMIT = 2.0  # seconds
_RUN = ("-m", "napari_wsss", "run")


def measure(setting: Setting) -> Iterator[Row]:
    """Median seconds of ``napari-wsss run`` where everything is up to date, less those of ``python -c pass``."""
    for tagged in (False, True):
        of = f"{_IMAGES} images, points{' and tags' if tagged else ''}"
        setting.progress(0, 1, f"noop {of}: preparing")
        with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
            project = _finished_project(Path(folder), tagged)
            start = statistics.median(_seconds(["-c", "pass"]) for _ in range(_ROUNDS))
            whole = statistics.median(_seconds([*_RUN, str(project)]) for _ in range(_ROUNDS))
        yield cost(of, "seconds_beyond_start", "ours", whole - start, "s", _LIMIT)
        yield cost(of, "seconds", "interpreter", start, "s")
    setting.progress(1, 1, "noop")


def _finished_project(folder: Path, tagged: bool) -> Path:
    """A project of small labelled images of which all that can be computed is."""
    images = folder / "images"
    images.mkdir()
    points, tags = ["image,y,x,class"], ["image,tag"]
    for i in range(_IMAGES):
        picture, mask = cells(_SIDE, np.random.default_rng(i))
        Picture.fromarray(picture).save(images / f"{i:03}.png")
        for k, name in ((1, "background"), (2, "cell")):
            y, x = np.argwhere(mask == k)[0]
            points.append(f"{i:03}.png,{y},{x},{name}")
            tags.append(f"{i:03}.png,{name}")
    (folder / "points.csv").write_text("\n".join(points) + "\n", encoding="utf-8")
    (folder / "tags.csv").write_text("\n".join(tags) + "\n", encoding="utf-8")
    project = folder / "project"
    label = ["--points", str(folder / "points.csv"), *(["--tags", str(folder / "tags.csv")] if tagged else [])]
    _seconds(["-m", "napari_wsss", "init", str(project), "--classes", "background,cell", "--images", str(images)])
    _seconds(["-m", "napari_wsss", "label", str(project), *label])
    _seconds([*_RUN, str(project)])
    computed = json.loads(_run([*_RUN, str(project), "--json"]))["computed"]
    if any(computed.values()):
        raise WsssError("bench noop: a second run still computed something, so it cannot be measured")
    return project


def _seconds(arguments: Sequence[str]) -> float:
    """Wall seconds of a Python process."""
    start = time.perf_counter()
    _run(arguments)
    return time.perf_counter() - start


def _run(arguments: Sequence[str]) -> str:
    """What a Python process says on its standard output."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        raise WsssError(f"bench noop: `{' '.join(arguments[:3])}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout
