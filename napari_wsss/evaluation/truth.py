"""Ground truth from a folder, and the pixels that a person gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.types import Bool, Classes, Instances, Labels, WeakLabels, written_stem

_ENDINGS = (".png", ".tif", ".tiff")


class TruthFolder:
    """Masks of a folder: ``DIR/STEM.png|tif``, or ``DIR/masks/`` with ``DIR/instances/`` beside it.

    STEM is the name of written files (``/`` as ``__``) or, while it is unique, the image's bare stem. A plane of a
    stack (``STEM@z3``) has a file of its own or a page of ``STEM.tif``: the page whose description names
    the plane, else page 3. Where the folder has a ``classes.txt``, ids are matched by name.

    Parameters
    ----------
    folder : Path
    classes : Classes
        Of the project.
    names : sequence of str
        Names of all images, which tell whether a bare stem is unique.

    Raises
    ------
    UsageError
        If there is no such folder, or its ``classes.txt`` names a class that the project has not.
    """

    def __init__(self, folder: Path, classes: Classes, names: Sequence[str] = ()) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder of ground truth")
        self._masks = folder / "masks" if (folder / "masks").is_dir() else folder
        self._instances = folder / "instances"
        self._ids = _ids(folder / "classes.txt", classes)
        files_and_planes = {*names, *(name.partition("@")[0] for name in names)}
        self._shared = {stem for stem, n in Counter(map(_bare, files_and_planes)).items() if n > 1}

    def mask(self, name: str) -> Labels | None:
        """Class ids uint16 (h, w) of an image, or None where the folder has none.

        Raises
        ------
        WsssError
            If the file cannot be read, is no single plane of ids, or holds an unknown class.
        """
        read = _read(self._masks, name, self._shared)
        if read is None:
            return None
        path, ids = read
        if int(ids.max(initial=0)) >= len(self._ids):
            raise WsssError(f"{path}: holds class {ids.max()}, but there are {len(self._ids) - 1} classes")
        mask: Labels = self._ids[ids]
        return mask

    def instances(self, name: str) -> Instances | None:
        """Object ids uint32 (h, w) of an image, or None where the folder has none."""
        read = _read(self._instances, name, self._shared)
        return None if read is None else read[1].astype(np.uint32)


def hinted(labels: WeakLabels, shape: tuple[int, int]) -> Bool:
    """Pixels (h, w) that bear a stroke or a point."""
    out = np.zeros(shape, bool)
    for stroke in labels.strokes:
        height, width = stroke.raster.shape
        out[stroke.y0 : stroke.y0 + height, stroke.x0 : stroke.x0 + width] |= stroke.raster > 0
    for point in labels.points:
        out[point.y, point.x] = True
    return out


def _ids(listed: Path, classes: Classes) -> Labels:
    """Project's id of every id 0.. of the folder."""
    if not listed.is_file():
        return np.arange(len(classes) + 1, dtype=np.uint16)
    names = [line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    missing = [n for n in names if classes.id_of(n) is None]
    if missing:
        raise UsageError(f"{listed}: the project has no class {', '.join(missing)}; it has {', '.join(classes.names)}")
    return np.array([0, *(classes.id_of(n) for n in names)], np.uint16)


def _bare(name: str) -> str:
    return written_stem(name).rpartition("__")[2]


def _read(folder: Path, name: str, shared: set[str]) -> tuple[Path, NDArray[Any]] | None:
    file, _, plane = name.partition("@")
    path = _find(folder, name, shared)
    if path is not None:
        return path, _plane(path, None)
    if plane and (path := _find(folder, file, shared)) is not None:
        return path, _plane(path, plane)
    return None


def _find(folder: Path, name: str, shared: set[str]) -> Path | None:
    stems = [written_stem(name)] + [_bare(name)] * (_bare(name) not in shared)
    for stem in stems:
        for ending in _ENDINGS:
            path = folder / f"{stem}{ending}"
            if path.is_file():
                return path
    return None


def _plane(path: Path, plane: str | None) -> NDArray[Any]:
    try:
        ids = _tiff(path, plane) if path.suffix != ".png" else _png(path)
    except (OSError, ValueError, UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise WsssError(f"{path}: cannot be read as a mask ({error})") from error
    if ids.ndim != 2 or ids.dtype.kind not in "uib" or (ids.size and int(ids.min()) < 0):
        raise WsssError(f"{path}: is no mask: one plane of whole numbers 0.. is wanted, not {ids.dtype} {ids.shape}")
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def _png(path: Path) -> NDArray[Any]:
    with Picture.open(path) as picture:
        return np.asarray(picture)


def _tiff(path: Path, plane: str | None) -> NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        if plane is None:
            return np.asarray(file.asarray())
        named = [n for n, page in enumerate(file.pages) if getattr(page, "description", "") == plane]
        number = named[0] if named else int(plane.removeprefix("z")) if plane.removeprefix("z").isdigit() else -1
        if not 0 <= number < len(file.pages):
            raise ValueError(f"no page for the plane {plane} among {len(file.pages)}")
        return np.asarray(file.pages[number].asarray())
