"""Points and strokes as a patient person would give them, made from the truth of a set.

Every connected region of a class, or every object where the set knows objects, gets one point at its
deepest pixel, and one stroke of three pixels' width along half of its skeleton.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from skimage.graph import MCP
from skimage.morphology import skeletonize

from napari_wsss.bench._rows import Setting
from napari_wsss.bench._sets import ImageSet
from napari_wsss.errors import UsageError
from napari_wsss.evaluation import TruthFolder
from napari_wsss.types import Bool, Class, Classes, Labels

_SMALLEST = 20  # pixels; smaller regions get no hint
_PATIENCE = 60  # regions of a class of one image
HURRY = 5  # the same of a person in a hurry
_SHALLOW = 0.35  # of the region's depth: a stroke keeps off thinner parts
_LENGTH = 0.5  # of the skeleton


def classes_of(of: ImageSet) -> Classes:
    """A set's class list as the product knows it; colours do not matter here."""
    return Classes(tuple(Class(k, name, "#808080") for k, name in enumerate(of.classes, 1)))


def write_hints(of: ImageSet, folder: Path, *, hurry: bool = False, seed: int = 0) -> None:
    """``points.csv`` and ``scribbles/STEM.png`` for the images of a set, the same each time."""
    truth = TruthFolder(of.folder, classes_of(of), [path.name for path in of.images])
    (folder / "scribbles").mkdir(parents=True)
    rows: list[tuple[str, int, int, str]] = []
    for path in of.images:
        mask = truth.mask(path.name)
        if mask is None:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(path.stem.encode())])
        strokes = np.zeros(mask.shape, np.uint8)
        for k, window, region in regions(mask, truth.instances(path.name), HURRY if hurry else _PATIENCE):
            depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            rows.append((path.name, window[0].start + int(y), window[1].start + int(x), of.classes[k - 1]))
            strokes[window][stroke(region, depth, rng)] = k
        Picture.fromarray(strokes).save(folder / "scribbles" / f"{path.stem}.png")
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "y", "x", "class"))
        writer.writerows(rows)


def hints_of(of: ImageSet, made: Path, setting: Setting) -> Path:
    """The folder with a set's hints: those that were given, else made from its masks."""
    if setting.hints is None:
        write_hints(of, made, hurry=setting.hurry)
        return made
    own = setting.hints / of.name
    found = own if own.is_dir() else setting.hints
    if found is setting.hints and len(setting.sets) > 1:
        raise UsageError(f"{setting.hints}: no folder {of.name} with that set's hints")
    missing = [name for name in ("points.csv", "scribbles") if not (found / name).exists()]
    if missing:
        raise UsageError(f"{found}: no {missing[0]}; a folder of hints has points.csv and scribbles/")
    return found


def regions(mask: Labels, objects: NDArray[Any] | None, most: int) -> Iterator[tuple[int, tuple[slice, slice], Bool]]:
    """Class, window and shape of each region to hint: class by class, the largest ``most`` of each."""
    for k in np.unique(mask[mask > 0]):
        mine = mask == k
        if objects is not None and objects[mine].any():
            own = mine & (objects > 0)
            numbered = np.where(own, np.searchsorted(np.unique(objects[own]), objects) + 1, 0)
        else:
            numbered = ndimage.label(mine)[0]
        sizes = np.bincount(numbered.ravel())
        windows: Sequence[Any] = ndimage.find_objects(numbered)
        largest = 1 + np.argsort(-sizes[1:], kind="stable")[:most]
        for number in largest[sizes[largest] >= _SMALLEST]:
            window = windows[number - 1]
            yield int(k), window, numbered[window] == number


def stroke(region: Bool, depth: NDArray[np.float64], rng: np.random.Generator) -> Bool:
    """Half of the region's skeleton around a random pixel of it, three pixels wide, inside the region."""
    line = skeletonize(region & (depth >= max(1.0, _SHALLOW * depth.max())))
    if not line.any():
        line = depth == depth.max()
    ys, xs = np.nonzero(line)
    first = int(rng.integers(len(ys)))
    away, _ = MCP(np.where(line, 1.0, -1.0)).find_costs([(ys[first], xs[first])])  # -1 bars the way
    reached = np.sort(away[np.isfinite(away)])
    kept = away <= reached[min(int(len(ys) * _LENGTH), len(reached) - 1)]
    drawn: Bool = ndimage.binary_dilation(kept, ndimage.generate_binary_structure(2, 1)) & region
    return drawn
