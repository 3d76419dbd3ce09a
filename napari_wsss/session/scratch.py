"""Projects made silently for an image that somebody just opened, and giving them a name later."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_wsss.errors import UsageError
from napari_wsss.home import workplace
from napari_wsss.project import Project
from napari_wsss.types import BACKGROUND, Progress, no_progress

CLASSES = (BACKGROUND, "object")


def new_scratch(classes: Sequence[str] = CLASSES) -> Project:
    """A new project without a name, in the user's workplace."""
    stem = time.strftime("%Y-%m-%d %H.%M.%S")
    for number in range(1, 1000):
        folder = workplace() / (stem if number == 1 else f"{stem} {number}")
        if not folder.exists():
            return Project.create(folder, list(classes))
    raise UsageError(f"{workplace()} holds too many projects of this second; try again")


def is_scratch(folder: Path) -> bool:
    """Whether a project has no name of the person's own yet."""
    return folder.parent == workplace()


def move(folder: Path, target: Path, progress: Progress = no_progress) -> None:
    """Give a closed project another place and name: at once on the same disk, else file by file, the old one last.

    Raises
    ------
    UsageError
        There is something already.
    OSError
        It cannot be written there; the project stays where it was.
    Cancelled
        ``progress`` raised it; the project stays where it was.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not an empty folder; choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rmdir()
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(folder, target, progress)
        shutil.rmtree(folder)


def _copy(folder: Path, target: Path, progress: Progress) -> None:
    """A whole copy, or none: it gets its name when all of it is there."""
    beside = target.with_name(f".{target.name}-{os.getpid()}")
    found = [folder, *folder.rglob("*")]
    files = [f for f in found if not f.is_dir()]
    try:
        for place in (f for f in found if f.is_dir()):
            (beside / place.relative_to(folder)).mkdir(parents=True)
        for done, file in enumerate(files):
            progress(done, len(files), file.name)
            shutil.copy2(file, beside / file.relative_to(folder), follow_symlinks=False)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_layer(folder: Path, name: str, pixels: NDArray[Any], rgb: bool) -> Path:
    """Keep the pixels of a layer that has no file, as a TIFF in the project's images; where it is.

    Leading axes are planes: the last is depth, the one before it time.
    """
    safe = "".join(c if c.isalnum() or c in " -_()." else "_" for c in name).strip(" .") or "layer"
    place = folder / "images"
    place.mkdir(exist_ok=True)
    file = next(
        f for n in range(1, 10000) if not (f := place / (f"{safe}.tif" if n == 1 else f"{safe} {n}.tif")).exists()
    )
    leading = pixels.ndim - 2 - rgb
    if leading > 2:
        raise UsageError(f"{name}: layers with more than two sliders cannot be labelled; save one of its planes")
    if pixels.dtype == bool or pixels.dtype.itemsize > 4 or pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32 if pixels.dtype.kind == "f" else np.int32 if pixels.dtype != bool else "u1")
    axes = ("TZ"[2 - leading :] if leading else "") + "YX" + ("S" if rgb else "")
    kind = "rgb" if rgb else "minisblack"
    tifffile.imwrite(file, pixels, photometric=kind, metadata={"axes": axes}, ome=False, compression="zlib")
    return file
