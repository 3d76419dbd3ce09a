"""What the demo shows: a few small projects, each with its images, classes, hints and formats of export."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import skimage
import tifffile
from PIL import Image as Picture

from napari_wsss import drawing
from napari_wsss._resources import resource
from napari_wsss.choices import STAGES, StageName
from napari_wsss.drawing import Drawing
from napari_wsss.errors import WsssError

MICROMETRES = 0.5  # a pixel of the drawn nuclei
EPSG = 32632  # UTM zone 32 north
_EAST, _NORTH = 612_000.0, 5_310_000.0  # upper left corner of the first drawn landscape, metres
TILE = 96  # pixels of a side
TILES = 6  # a side of the landscape that is cut into tiles
_TILE_IDS = np.array([0, 1, 2, 3, 1, 4], np.uint16)  # fields and roads are the tiles' background


@dataclass(frozen=True)
class Theme:
    """One project of the demo.

    Attributes
    ----------
    name : str
        Name of its folder, and of the folder of its hints in ``resources/sample``.
    title, story : str
        For people: what it is, and what is shown on it.
    classes : tuple of str
        ``name#rrggbb``.
    write : callable
        Writes the images into a folder, and their truth into another where the project drew them.
    exports : mapping of format to its parameters
    shown : tuple of str
        Images in the picture of the theme.
    stages : tuple of str
        Activation maps are left out where a theme's tags have nothing to teach.
    params : mapping of method to the parameters that differ from its defaults
    """

    name: str
    title: str
    story: str
    classes: tuple[str, ...]
    write: Callable[[Path, Path], None]
    exports: Mapping[str, Mapping[str, str]]
    shown: tuple[str, ...]
    stages: tuple[StageName, ...] = STAGES
    params: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def hints(self) -> dict[str, Path]:
        """The theme's hand-given weak labels: kind to file or folder, as ``import_labels`` takes them."""
        folder = resource("sample", self.name)
        files = {kind: folder / f"{kind}.csv" for kind in ("tags", "points", "boxes")}
        files["scribbles"] = folder / "scribbles"
        return {kind: path for kind, path in files.items() if path.exists()}


# --------------------------------------------------------------------------- images and truth on disk


def _write_nuclei(images: Path, truth: Path) -> None:
    for name, drawn in _nuclei():
        # the ImageJ form of a scale: pixels a unit, and the unit
        metadata = {"unit": "um"}
        scale = (1 / MICROMETRES, 1 / MICROMETRES)
        tifffile.imwrite(images / f"{name}.tif", drawn.pixels, imagej=True, resolution=scale, metadata=metadata)
        _write_truth(truth, name, drawn)


def _nuclei() -> Iterator[tuple[str, Drawing]]:
    """Three fields that a person hinted, one that nobody did, and an empty one."""
    for name, seed in zip("abcd", (11, 12, 13, 14)):
        yield f"nuclei_{name}", drawing.nuclei(seed)
    yield "nuclei_e", drawing.nuclei(15, count=0)


def _write_land(images: Path, truth: Path) -> None:
    for number, (name, seed) in enumerate(zip("abc", (3, 4, 7))):
        drawn = drawing.land(seed)
        east = _EAST + number * drawn.pixels.shape[1]
        place = rasterio.Affine(1.0, 0.0, east, 0.0, -1.0, _NORTH)
        h, w, bands = drawn.pixels.shape
        profile = {"driver": "GTiff", "height": h, "width": w, "count": bands, "dtype": "uint8", "compress": "deflate"}
        with rasterio.open(images / f"valley_{name}.tif", "w", crs=f"EPSG:{EPSG}", transform=place, **profile) as file:
            file.write(drawn.pixels.transpose(2, 0, 1))
        _write_truth(truth, f"valley_{name}", drawn)


def _write_tiles(images: Path, truth: Path) -> None:
    for name, tile in tiles():
        Picture.fromarray(tile.pixels).save(images / f"{name}.png")
        _write_truth(truth, name, tile)


def tiles() -> Iterator[tuple[str, Drawing]]:
    """A drawn landscape cut into tiles, row by row."""
    whole = drawing.land(21, (TILES * TILE, TILES * TILE), villages=6)
    truth = _TILE_IDS[whole.truth]
    for row, column in np.ndindex(TILES, TILES):
        part = np.s_[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        yield f"tile_{row + 1}{column + 1}", Drawing(whole.pixels[part], truth[part])


def _write_truth(folder: Path, name: str, drawn: Drawing) -> None:
    (folder / "masks").mkdir(exist_ok=True)
    Picture.fromarray(drawn.truth.astype(np.uint8)).save(folder / "masks" / f"{name}.png")
    if drawn.instances is not None:
        (folder / "instances").mkdir(exist_ok=True)
        tifffile.imwrite(folder / "instances" / f"{name}.tif", drawn.instances, compression="zlib")


def _from_scikit_image(*names: str) -> Callable[[Path, Path], None]:
    def write(images: Path, truth: Path) -> None:
        del truth  # nobody knows it
        for name in names:
            # not skimage.data.NAME(): that goes to the network for a file that is not there
            file = Path(skimage.__file__).parent / "data" / name
            if not file.is_file():
                raise WsssError(
                    f"scikit-image {version('scikit-image')} came without its picture {name}; "
                    "install it again with `pip install --force-reinstall scikit-image`"
                )
            shutil.copyfile(file, images / name)

    return write


# --------------------------------------------------------------------------- the themes

_COCO_AND_PNG: Mapping[str, Mapping[str, str]] = {"coco": {}, "png": {}}

_NO_MAPS: tuple[StageName, ...] = ("pseudo", "refine")

THEMES: tuple[Theme, ...] = (
    Theme(
        "nuclei",
        "Fluorescent nuclei, from points",
        "Drawn 12-bit images with uneven light, haze and noise, 0.5 µm a pixel. Three fields bear a dozen points "
        "a class, the fourth nothing, and of the fifth it is said by a tag that no nucleus is in it.",
        ("background#5b6b7b", "nucleus#2bd4a8"),
        _write_nuclei,
        _COCO_AND_PNG,
        ("nuclei_a", "nuclei_b", "nuclei_d"),
        _NO_MAPS,
    ),
    Theme(
        "land_cover",
        "Land cover from above, from scribbles",
        f"Drawn GeoTIFFs (EPSG:{EPSG}, 1 m a pixel). Two bear a minute or two of strokes, the third bears nothing. "
        "Roads are thin, so the refiner trusts the pseudo-labels more than it does by itself (prior 0.02).",
        ("field#e3c45a", "forest#1f7a3d", "water#22b8f0", "road#d9d9d9", "roof#e83fb0"),
        _write_land,
        {"coco": {}, "png": {}, "geotiff": {}},
        ("valley_a", "valley_b", "valley_c"),
        _NO_MAPS,
        {"walker": {"prior": 0.02}},
    ),
    Theme(
        "tissue",
        "Stained tissue, from scribbles",
        "Colonic glands, FHL2 by DAB with haematoxylin; the picture comes with scikit-image.",
        ("epithelium#c2631b", "stroma#3f6fd1", "glass#f2e24b"),
        _from_scikit_image("ihc.png"),
        _COCO_AND_PNG,
        ("ihc",),
        _NO_MAPS,
    ),
    Theme(
        "photos",
        "Photographs, from points, strokes, a box and tags",
        "Coins by points, a cup by a box and strokes, a cat by strokes; the tag list of each picture is complete, "
        "so that no coin is searched for on the cat. The pictures come with scikit-image.",
        ("background#5b6b7b", "coin#f2b632", "cup#22b8f0", "cat#8a5cf0"),
        _from_scikit_image("coins.png", "coffee.png", "chelsea.png"),
        _COCO_AND_PNG,
        ("coins", "coffee", "chelsea"),
        _NO_MAPS,
    ),
    Theme(
        "tiles",
        "Land cover again, from tags alone",
        f"{TILES * TILES} drawn tiles; of each it is known only whether forest, water and roofs are in it, not where.",
        ("background#8a8468", "forest#1f7a3d", "water#22b8f0", "roof#e83fb0"),
        _write_tiles,
        _COCO_AND_PNG,
        ("tile_14", "tile_35", "tile_23", "tile_55"),
    ),
)
