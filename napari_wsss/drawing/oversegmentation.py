"""Objects of real pictures without truth, by over-segmentation, and the free pictures that scikit-image brings.

The pictures of :func:`free_pictures` are files of the installed scikit-image package (never fetched). Their terms, as
scikit-image 0.26 documents them in ``skimage.data``:

==================  =====================================================================
astronaut           public domain (NASA Great Images)
brick, gravel       CC0 (CC0Textures)
camera              CC0 by the photographer, Lav Varshney
cell                CC0 (quantitative phase image)
chelsea             CC0 by the photographer, Stefan van der Walt
clock_motion        public domain, by the photographer, Stefan van der Walt
coffee              CC0 by the photographer, Rachel Michetti
coins               no known copyright restrictions (Brooklyn Museum Collection)
grass               CC0 (DeviantArt)
hubble_deep_field   public domain (NASA)
microaneurysms      CC0 by the owner, Andreas Maier
retina              CC0 (Wikimedia, Mikael Haggstrom)
rocket              public domain (SpaceX)
text                public domain (Wikipedia)
==================  =====================================================================

Left out: moon, page, motorcycle and multipage, whose terms are not stated there; ihc, a stained tissue, so that a
model can be trained that never saw one; drawings and logos, which teach nothing.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb, slic

from napari_wsss.drawing._easel import compact
from napari_wsss.drawing.scene import Scene
from napari_wsss.errors import WsssError
from napari_wsss.types import Float, Labels

LEAST = 60
"""Pixels of the smallest region kept."""

_STEP = 2.0  # CIE Lab units a pixel: what counts as an edge after smoothing
_SEEN = 0.6  # share of a region's outline that must be an edge
_SPECK = 30  # pixels; smaller holes in a region belong to it
_FILES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "microaneurysms.png", "retina.jpg",
    "rocket.jpg", "text.png",
)  # fmt: skip


def free_pictures() -> dict[str, Float]:
    """The free pictures bundled with the installed scikit-image, by name: float32 (h, w, 3), 0 to 1.

    Raises
    ------
    WsssError
        If the installed package lacks one.
    """
    folder = Path(skimage.__file__).parent / "data"
    found: dict[str, Float] = {}
    for name in _FILES:
        file = folder / name
        if not file.is_file():
            raise WsssError(
                f"scikit-image {version('scikit-image')} came without its picture {name}; "
                "install it again with `pip install --force-reinstall scikit-image`"
            )
        with Image.open(file) as image:
            found[file.stem] = np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    return found


def regions(picture: Float, rng: np.random.Generator) -> Scene:
    """Regions of like colour in three maps from fine to coarse.

    Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004) or SLIC superpixels (Achanta et al., PAMI 2012)
    merged by colour; scales are drawn anew at each call. Regions of fewer than :data:`LEAST` pixels, that fill more
    than half of the picture, or most of whose outline shows no edge are dropped.

    Parameters
    ----------
    picture : float32 (h, w, 3)
        0 to 1.
    rng : Generator
        Draws the methods and scales.

    Returns
    -------
    Scene
        The picture itself and three maps.
    """
    smooth = np.asarray(ndimage.gaussian_filter(picture, (0.8, 0.8, 0)), np.float32)
    lab = rgb2lab(smooth).astype(np.float32)
    edges = _edges(lab)
    maps = []
    for coarse in (1.0, 4.0, 14.0):
        scale = coarse * float(np.exp(rng.uniform(np.log(25), np.log(90))))
        parts = _by_graph(smooth, scale) if rng.random() < 0.6 else _by_clusters(smooth, lab, scale)
        maps.append(_kept(parts, edges))
    return Scene(picture, tuple(maps))


def _by_graph(smooth: Float, scale: float) -> NDArray[np.intp]:
    return np.asarray(felzenszwalb(smooth, scale=scale, sigma=0.3, min_size=LEAST // 2), np.intp)


def _by_clusters(smooth: Float, lab: Float, scale: float) -> NDArray[np.intp]:
    """Superpixels joined while the mean colours of neighbours differ by less than a bound that grows with scale."""
    count = int(np.clip(smooth.shape[0] * smooth.shape[1] / 220, 20, 900))
    parts = np.asarray(slic(smooth, n_segments=count, compactness=8, start_label=0), np.intp)
    bound = 3.0 + 2.2 * np.log(scale / 20)
    means = _means(parts, lab)
    sizes = np.bincount(parts.ravel()).astype(np.float64)
    root = np.arange(len(sizes))
    for a, b in _by_difference(_neighbours(parts), means):
        i, j = _top(root, a), _top(root, b)
        if i != j and np.linalg.norm(means[i] - means[j]) < bound:
            means[i] = (means[i] * sizes[i] + means[j] * sizes[j]) / (sizes[i] + sizes[j])
            sizes[i] += sizes[j]
            root[j] = i
    final = np.array([_top(root, k) for k in range(len(root))])
    return final[parts]


def _top(root: NDArray[np.intp], k: int) -> int:
    while root[k] != k:
        root[k] = root[root[k]]
        k = int(root[k])
    return k


def _means(parts: NDArray[np.intp], lab: Float) -> NDArray[np.float64]:
    """Mean colour of every region, (n, 3)."""
    flat = parts.ravel()
    sizes = np.maximum(np.bincount(flat), 1)
    return np.stack([np.bincount(flat, lab[..., k].ravel()) / sizes for k in range(3)], 1)


def _neighbours(parts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pairs of regions that touch, (n, 2), each once."""
    across = np.stack([parts[:, 1:].ravel(), parts[:, :-1].ravel()], 1)
    down = np.stack([parts[1:].ravel(), parts[:-1].ravel()], 1)
    pairs = np.sort(np.concatenate([across, down]), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _by_difference(pairs: NDArray[np.intp], means: NDArray[np.float64]) -> list[tuple[int, int]]:
    order = np.argsort(np.linalg.norm(means[pairs[:, 0]] - means[pairs[:, 1]], axis=1), kind="stable")
    return [(int(a), int(b)) for a, b in pairs[order]]


def _edges(lab: Float) -> NDArray[np.bool_]:
    """Pixels within one of a visible step of colour."""
    steps = [ndimage.gaussian_gradient_magnitude(lab[..., k], 1.0) for k in range(3)]
    return np.asarray(ndimage.maximum_filter(np.sqrt(sum(s * s for s in steps)), 3) > _STEP)


def _kept(parts: NDArray[np.intp], edges: NDArray[np.bool_]) -> Labels:
    """Connected regions that are large enough, not nearly everything, and bounded by edges."""
    number = np.zeros(parts.shape, np.uint16)
    last = 0
    for value, box in enumerate(ndimage.find_objects(parts + 1)):
        if box is None:
            continue
        pieces, count = ndimage.label(parts[box] == value)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for k in np.flatnonzero((sizes >= LEAST) & (sizes <= parts.size // 2)):
            if k and _clear(pieces == k, box, edges):
                last += 1
                number[box][_without_specks(pieces == k)] = last
    return compact(number, LEAST)


def _clear(inside: NDArray[np.bool_], box: tuple[slice, slice], edges: NDArray[np.bool_]) -> bool:
    """Whether most of a region's outline, the picture's border apart, lies on edges."""
    h, w = edges.shape
    at_border = ((box[0].start == 0, box[0].stop == h), (box[1].start == 0, box[1].stop == w))
    padded = np.pad(inside, 1)
    for axis, (first, last) in enumerate(at_border):
        rows = padded.swapaxes(0, axis)
        if first:
            rows[0] = rows[1]
        if last:
            rows[-1] = rows[-2]
    outline = inside & ~ndimage.binary_erosion(padded)[1:-1, 1:-1]
    return bool(outline.any()) and float(edges[box][outline].mean()) >= _SEEN


def _without_specks(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The region with its small holes filled."""
    holes, count = ndimage.label(~inside)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    small = sizes < _SPECK
    small[0] = False
    return np.asarray(inside | small[holes])
