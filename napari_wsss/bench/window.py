"""The real window: click to mask, undo, pauses of the event loop, and the time until it can be used."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.acceptance import by_person
from napari_wsss.bench._drawn import cells
from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import job, thread_counts
from napari_wsss.errors import WsssError
from napari_wsss.home import HOME_VARIABLE
from napari_wsss.project import Project
from napari_wsss.types import Labels, Point

_SIDES = (512, 1024, 8192)
_BLOCK = 512  # images are drawn in blocks, the same one again and again
_CLICKS = 20
_IMAGES, _SIDE = 4, 1024  # of the folder whose stages run
_TRAINING = 0.5  # minutes
_STARTS = 2
_MOST_CLICK, _MOST_PAUSE, _MOST_START, _MOST_CANCEL = 250.0, 100.0, 4.0, 2.0
_TIMES = 2.0  # how much longer a click on the largest image may take than on the middle one


def measure(setting: Setting) -> Iterator[Row]:
    """Clicks on images of three sizes, pauses while something heavy goes on, and the start; with real events."""
    if not _has_display():
        raise WsssError("bench window needs a display; without one: xvfb-run -a napari-wsss bench window")
    counts = thread_counts(setting.threads)
    steps, done = len(counts) * (len(_SIDES) + 2), 0
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        for threads in counts:
            each = f"{threads}_thread{'s' if threads > 1 else ''}"
            p95: dict[int, float] = {}
            for side in _SIDES:
                setting.progress(done, steps, f"window {side}x{side} threads {threads}")
                done += 1
                yield from _clicks(Path(folder), side, threads, each, p95)
            setting.progress(done, steps, f"window start threads {threads}")
            yield from _start(Path(folder), threads, each)
            setting.progress(done + 1, steps, f"window pauses threads {threads}")
            done += 2
            yield from _pauses(Path(folder), threads, each)
    setting.progress(steps, steps, "window")


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _clicks(folder: Path, side: int, threads: int, each: str, p95: dict[int, float]) -> Iterator[Row]:
    path, places = picture(folder, side)
    found = _drive(folder, threads, part="clicks", path=str(path), places=places)
    of = f"drawn {side}x{side}, {len(places)} objects, {found['model']}"
    milliseconds = {what: np.array(values) * 1e3 for what, values in found["seconds"].items()}
    for what in ("first", "further"):
        half, most = np.percentile(milliseconds[what], (50, 95))
        yield cost(of, f"{what}_click_p50_{each}", "ours", float(half), "ms")
        yield cost(of, f"{what}_click_p95_{each}", "ours", float(most), "ms", _MOST_CLICK)
    p95[side] = float(np.percentile(milliseconds["first"], 95))
    if side == max(_SIDES):
        yield cost(of, f"first_click_p95_beside_{_SIDES[-2]}_{each}", "ours", p95[side], "ms", _TIMES * p95[_SIDES[-2]])
    theirs = float(np.median(milliseconds["napari_undo"]))
    yield cost(of, f"undo_{each}", "ours", float(np.median(milliseconds["undo"])), "ms", theirs)
    yield cost(of, f"undo_{each}", "napari", theirs, "ms", theirs)
    yield cost(of, f"memory_{each}", "ours", found["peak_mib"], "MiB")


def _start(folder: Path, threads: int, each: str) -> Iterator[Row]:
    """From the start of ``napari-wsss open`` on a project to a window whose image is drawn; the best of some."""
    path = project(folder / each)
    seconds = [
        _drive(folder, threads, part="usable", path=str(path), started=time.time())["seconds"] for _ in range(_STARTS)
    ]
    yield cost("napari-wsss open PROJECT", f"usable_seconds_{each}", "ours", min(seconds), "s", _MOST_START)


def _pauses(folder: Path, threads: int, each: str) -> Iterator[Row]:
    found = _drive(folder, threads, part="pauses", path=str(project(folder / each)), training=_TRAINING)
    of = f"{_IMAGES} drawn images of {_SIDE}x{_SIDE}, {found['model']}"
    for what, seconds in found["pauses"].items():
        if what == "cancel":
            yield cost(of, f"cancel_seconds_{each}", "ours", seconds, "s", _MOST_CANCEL)
        else:
            yield cost(of, f"pause_{what}_{each}", "ours", 1e3 * seconds, "ms", _MOST_PAUSE)


def _drive(folder: Path, threads: int, **task: Any) -> dict[str, Any]:
    """What a window of its own measured; its projects without a name lie in the folder."""
    file = folder / "task.json"
    file.write_text(json.dumps(task), encoding="utf-8")
    _, said = job("napari_wsss.widgets.driving", [str(file)], threads, **{HOME_VARIABLE: str(folder / "home")})
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


# --------------------------------------------------------------------------- what is clicked


def picture(folder: Path, side: int) -> tuple[Path, list[tuple[int, int]]]:
    """A TIFF of drawn cells, and pixels well inside the cells nearest to its middle."""
    path = folder / f"cells{side}.tif"
    pixels, mask = _blocks(side)
    if not path.exists():
        tifffile.imwrite(path, pixels, tile=(256, 256))
    return path, _places(mask, side)


def _blocks(side: int) -> tuple[NDArray[np.uint8], Labels]:
    block = min(side, _BLOCK)
    pixels, mask = cells(block, np.random.default_rng(0))
    times = -(-side // block)
    return np.tile(pixels, (times, times))[:side, :side], np.tile(mask, (times, times))[:side, :side]


def _places(mask: Labels, side: int) -> list[tuple[int, int]]:
    """Deepest pixels of the cells around the middle, at most so many."""
    half = min(side, _BLOCK) // 2
    y0 = x0 = side // 2 - half
    inside = mask[y0 : y0 + 2 * half, x0 : x0 + 2 * half] == 2
    numbered, count = ndimage.label(inside)
    depth = ndimage.distance_transform_edt(inside)
    deepest = np.array(ndimage.maximum_position(depth, numbered, range(1, count + 1)))
    near = deepest[np.argsort(np.abs(deepest - half).max(1), kind="stable")][:_CLICKS]
    return [(int(y) + y0, int(x) + x0) for y, x in near]


def project(folder: Path) -> Path:
    """A project of drawn images with points of both classes, made once."""
    path = folder / "project"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    pixels, mask = _blocks(_SIDE)
    for n in range(_IMAGES):
        tifffile.imwrite(folder / f"{n}.tif", np.roll(pixels, 40 * n, 1))
    with Project.create(path, ["background", "cell"]) as made:
        made.add_images([folder / f"{n}.tif" for n in range(_IMAGES)])
        for n, record in enumerate(made.records()):
            shifted = np.roll(mask, 40 * n, 1)
            marks = [Point(int(y), int(x), k) for k in (1, 2) for y, x in np.argwhere(shifted == k)[:: _SIDE**2 // 30]]
            made.add_marks(record.name, marks, by_person("bench"))
    return path
