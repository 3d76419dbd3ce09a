"""Pictures with objects to train on: real sets laid out on disk, drawn scenes, over-segmented free pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from napari_wsss import images
from napari_wsss.drawing import everyday, microscopy, overhead
from napari_wsss.drawing.oversegmentation import free_pictures, regions
from napari_wsss.drawing.scene import DrawScene, Scene
from napari_wsss.errors import UsageError
from napari_wsss.types import Labels

LEAST = 30
"""Pixels of the smallest object that is trained on."""

SHIPPABLE = {
    "nuclei_fluo": "CC0",
    "nuclei_histology": "CC0",
    "nuclei_more": "CC0",
    "dubai_landcover": "CC0",
    "zion_landsat": "public domain",
}
"""Sets whose licence lets weights be shipped that were trained on them."""

_STAINED = 0.04  # mean distance of a picture's colours from grey above which a nuclei picture is stained tissue


@dataclass(frozen=True, eq=False, slots=True)
class Specimen:
    """A picture uint8 (h, w, 3) with maps of objects, and a table of the objects.

    ``table`` is float32 (n, 6): map, id, centre's row, centre's column, area, picture's whole pixels.
    """

    family: str
    name: str
    picture: NDArray[np.uint8]
    objects: tuple[Labels, ...]
    table: NDArray[np.float32]


def specimen(family: str, name: str, scene: Scene) -> Specimen | None:
    """A scene as a specimen; None if no object of at least `LEAST` pixels is in it."""
    rows = []
    for number, ids in enumerate(scene.objects):
        areas = np.bincount(ids.ravel())
        kept = np.flatnonzero(areas >= LEAST)
        kept = kept[kept > 0]
        if len(kept):
            centres = np.asarray(ndimage.center_of_mass(ids > 0, ids, kept)).reshape(-1, 2)
            rows += [(number, i, y, x, areas[i], ids.size) for i, (y, x) in zip(kept, centres)]
    if not rows:
        return None
    picture = np.rint(np.clip(scene.picture, 0, 1) * 255).astype(np.uint8)
    return Specimen(family, name, picture, scene.objects, np.asarray(rows, np.float32))


def real(root: Path, names: tuple[str, ...], stained: bool = True) -> Iterator[Specimen]:
    """The training split of real sets, by the product's own contrast.

    Raises
    ------
    UsageError
        For a set whose licence does not let us ship what is trained on it, or that is not there.
    """
    for name in names:
        if name not in SHIPPABLE:
            raise UsageError(f"{name}: weights trained on it may not be shipped; choose from {', '.join(SHIPPABLE)}")
        folder = root / name
        if not (folder / "train.txt").is_file():
            raise UsageError(f"{folder}: no train.txt there; give the folder that holds the sets with --data")
        for stem in (folder / "train.txt").read_text().split():
            found = specimen(name, stem, Scene(_picture(folder, stem), tuple(_objects(folder, stem))))
            if found is not None and (stained or not (name.startswith("nuclei") and is_stained(found.picture))):
                yield found


def is_stained(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture of nuclei has colours: stained tissue, as against fluorescence."""
    values = picture.astype(np.float32) / 255
    return float(np.abs(values - values.mean(2, keepdims=True)).mean()) > _STAINED


def _picture(folder: Path, stem: str) -> NDArray[np.float32]:
    file = next((folder / "images").glob(f"{stem}.*"))
    source = images.open_source(file)
    plane = source.planes[0]
    limits = images.contrast(source, plane)
    return images.load(source, plane, name=stem, key="", contrast=limits, rgb_channels=None).rgb.transpose(1, 2, 0)


def _objects(folder: Path, stem: str) -> Iterator[Labels]:
    """Instances where the set has them, else the connected regions of each class."""
    instances = folder / "instances" / f"{stem}.png"
    if instances.is_file():
        yield np.asarray(Picture.open(instances)).astype(np.uint16)
        return
    mask = np.asarray(Picture.open(folder / "masks" / f"{stem}.png"))
    out, last = np.zeros(mask.shape, np.uint16), 0
    for class_id in range(1, int(mask.max()) + 1):
        ids, n = ndimage.label(mask == class_id)
        out[ids > 0] = ids[ids > 0] + last
        last += n
    yield out


def families() -> dict[str, DrawScene]:
    """Every drawn scene by its name."""
    return {**microscopy.SCENES, **overhead.SCENES, **everyday.SCENES}


def drawn(names: tuple[str, ...], first: int, count: int, shape: tuple[int, int]) -> Iterator[Specimen]:
    """``count`` scenes in turn of each name, of seeds from ``first`` on."""
    draw: dict[str, Callable[..., Scene]] = families()
    for seed in range(first, first + count):
        name = names[seed % len(names)]
        found = specimen(name, f"{name}-{seed}", draw[name](np.random.default_rng(seed), shape))
        if found is not None:
            yield found


def oversegmented(seed: int, times: int) -> Iterator[Specimen]:
    """scikit-image's bundled free pictures, each over-segmented ``times`` times."""
    for number in range(times):
        for name, picture in free_pictures().items():
            rng = np.random.default_rng([seed, number, len(name), picture.shape[0]])
            found = specimen("free", f"{name}-{number}", regions(picture, rng))
            if found is not None:
                yield found
