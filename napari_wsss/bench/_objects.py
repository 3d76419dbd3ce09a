"""The objects of a set that ``bench clicks`` clicks on, and their images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from napari_wsss import drawing, images
from napari_wsss.bench._hints import classes_of
from napari_wsss.bench._sets import ImageSet
from napari_wsss.errors import UsageError
from napari_wsss.evaluation import TruthFolder
from napari_wsss.objects import Object, objects
from napari_wsss.types import BACKGROUND, Bool, Box4, Image, Instances, Labels

MOST = 100  # objects of a set
SMALLEST = 30  # pixels
SIZES = 3  # classes of area, equally many objects of each
ORGANELLE = "mitochondrion"
"""Where a set has no object ids and names this class, its regions are the objects."""


@dataclass(frozen=True, eq=False, slots=True)
class Target:
    """One object to click on.

    Attributes
    ----------
    image : Path
    truth : bool (h, w)
    scored : bool (h, w)
        False = the truth does not say what this pixel is.
    box : tuple of 4 int
        Of the object, half open.
    area : int
    key : str
        Hash of the image's file, the object and what is scored: equal keys, equal simulations.
    """

    image: Path
    truth: Bool
    scored: Bool
    box: Box4
    area: int
    key: str


def choose(of: ImageSet, wanted: str | None = None, *, most: int = MOST, seed: int = 0) -> list[Target]:
    """At most ``most`` objects of a set, a third of each size class, in the order of the images.

    Which objects there are:

    - with ``wanted``, where the set names that class, the objects of this class (those with an id, else
      connected regions);
    - else every object of ``instances/``, where the set has that folder;
    - else the connected regions of ``mitochondrion``, where the set names that class;
    - else, where it names ``background``, one object an image: all that is labelled and not background;
    - else the connected regions of every class.

    Raises
    ------
    UsageError
        If there is no object of at least 30 scored pixels.
    """
    truth = TruthFolder(of.folder, classes_of(of), [path.name for path in of.images])
    found: list[tuple[int, Box4, Bool]] = []
    masks: dict[int, Bool] = {}
    for n, path in enumerate(of.images):
        mask = truth.mask(path.name)
        if mask is None:
            continue
        masks[n] = mask > 0
        for thing in _objects(of, mask, truth.instances(path.name), wanted):
            if thing.area >= SMALLEST:
                found.append((n, thing.box, thing.pixels))
    if not found:
        raise UsageError(f"{of.folder}: no object of at least {SMALLEST} pixels to click on")
    areas = np.array([int(pixels.sum()) for _, _, pixels in found])
    taken = [found[i] for i in sample(areas, most, seed)]
    return [_target(of.images[n], masks[n], box, pixels) for n, box, pixels in taken]


def sample(areas: NDArray[np.int64], most: int, seed: int = 0) -> list[int]:
    """Indices of at most ``most`` objects, as equally many as can be of each third of the areas, ascending."""
    rng = np.random.default_rng(seed)
    thirds = np.array_split(np.argsort(areas, kind="stable"), SIZES)
    shares = [len(part) for part in np.array_split(np.arange(min(most, len(areas))), SIZES)]
    return sorted(int(i) for third, share in zip(thirds, shares) for i in rng.permutation(third)[:share])


def _objects(of: ImageSet, mask: Labels, instances: Instances | None, wanted: str | None) -> Iterator[Object]:
    every = range(1, len(of.classes) + 1)
    if wanted is not None and wanted in of.classes:
        yield from objects(mask, instances, [of.classes.index(wanted) + 1])
    elif (of.folder / "instances").is_dir():
        yield from (thing for thing in objects(mask, instances, every) if thing.instance)
    elif ORGANELLE in of.classes:
        yield from objects(mask, None, [of.classes.index(ORGANELLE) + 1])
    elif BACKGROUND in of.classes:
        inside = (mask > 0) & (mask != of.classes.index(BACKGROUND) + 1)
        whole = objects(np.ones_like(mask), inside.astype(np.uint32), [1])
        yield from (thing for thing in whole if thing.instance)
    else:
        yield from objects(mask, None, every)


def _target(image: Path, scored: Bool, box: Box4, pixels: Bool) -> Target:
    truth: Bool = np.zeros(scored.shape, bool)
    y0, x0, y1, x1 = box
    truth[y0:y1, x0:x1] = pixels
    key = hashlib.sha256(image.read_bytes())
    for part in (truth, scored):
        key.update(repr(part.shape).encode())
        key.update(np.packbits(part).tobytes())
    return Target(image, truth, scored, box, int(pixels.sum()), key.hexdigest())


def load_image(path: Path) -> Image:
    """The image as every method and every eye sees it, in its own robust contrast."""
    source = images.open_source(path)
    plane = source.planes[0]
    limits = images.contrast(source, plane)
    return images.load(source, plane, name=path.name, key=str(path), contrast=limits, rgb_channels=None)


def write_drawn(folder: Path, count: int = 2) -> Sequence[Path]:
    """Two drawn sets with truth, as ``--set`` wants them: nuclei with ids, and a landscape."""
    made = []
    for name, classes in (("drawn_nuclei", drawing.NUCLEI_CLASSES), ("drawn_land", drawing.LAND_CLASSES)):
        own = folder / name
        for part in ("images", "masks", *(["instances"] if name == "drawn_nuclei" else [])):
            (own / part).mkdir(parents=True)
        stems = [f"{name}_{seed}" for seed in range(count)]
        for seed, stem in enumerate(stems):
            drawn = drawing.nuclei(seed) if name == "drawn_nuclei" else drawing.land(seed)
            tifffile.imwrite(own / "images" / f"{stem}.tif", drawn.pixels)
            Picture.fromarray(drawn.truth.astype(np.uint8)).save(own / "masks" / f"{stem}.png")
            if drawn.instances is not None:
                Picture.fromarray(drawn.instances.astype(np.uint16)).save(own / "instances" / f"{stem}.png")
        (own / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        (own / "test.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
        made.append(own)
    return made
