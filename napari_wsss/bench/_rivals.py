"""Classical interactive segmentation, which ``bench clicks`` measures beside ours.

Each rival sees a crop of three times the object's box, scaled down where that is large, and the clicks in it.
What is outside the crop it need not answer for. Settings were chosen on training images (docs/clicks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from skimage.segmentation import morphological_chan_vese, random_walker, watershed

from napari_wsss.evaluation.clicks import Click
from napari_wsss.types import Bool, Box4, Float, Image

CROP = 3.0  # times the object's box
LONGEST = 160  # pixels of a crop's longer side

Seeds = NDArray[np.int32]  # 0 = not clicked, 1 = the object, 2 = the rest


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of an image as a rival sees it.

    Attributes
    ----------
    box : tuple of 4 int
        In the image, half open.
    shape : tuple of 2 int
        Of the image.
    colours : float32 (h, w, 3) in [0, 1]
        The crop, scaled so that its longer side is at most ``LONGEST``.
    frame : bool (h, w)
        The crop's outermost pixels on the sides that are no side of the image; on all sides where all are.
    """

    box: Box4
    shape: tuple[int, int]
    colours: Float
    frame: Bool

    def cells(self, clicks: Sequence[Click]) -> list[tuple[int, int, bool]]:
        """The clicks in pixels of ``colours``."""
        (y0, x0, y1, x1), (h, w) = self.box, self.frame.shape
        return [((c.y - y0) * h // (y1 - y0), (c.x - x0) * w // (x1 - x0), c.positive) for c in clicks]

    def in_image(self, mask: Bool) -> Bool:
        """A mask of the crop at the size of the image, False outside the crop."""
        y0, x0, y1, x1 = self.box
        out: Bool = np.zeros(self.shape, bool)
        if mask.shape != (y1 - y0, x1 - x0):
            soft = Picture.fromarray(mask.astype(np.float32)).resize((x1 - x0, y1 - y0), Picture.Resampling.BILINEAR)
            mask = np.asarray(soft) > 0.5
        out[y0:y1, x0:x1] = mask
        return out


def crop(image: Image, box: Box4) -> Crop:
    """The part of an image around an object: ``CROP`` times its box, as far as the image goes."""
    (y0, x0, y1, x1), (h, w) = box, image.shape
    dy, dx = round((y1 - y0) * (CROP - 1) / 2), round((x1 - x0) * (CROP - 1) / 2)
    around = max(0, y0 - dy), max(0, x0 - dx), min(h, y1 + dy), min(w, x1 + dx)
    colours = image.rgb[:, around[0] : around[2], around[1] : around[3]].transpose(1, 2, 0)
    scale = min(1.0, LONGEST / max(colours.shape[:2]))
    if scale < 1:
        rows, columns = (max(1, round(n * scale)) for n in colours.shape[:2])
        planes = [Picture.fromarray(np.ascontiguousarray(colours[..., k])) for k in range(3)]
        small = [np.asarray(p.resize((columns, rows), Picture.Resampling.BILINEAR)) for p in planes]
        colours = np.stack(small, -1)
    frame = np.zeros(colours.shape[:2], bool)
    inner = (around[0] > 0, around[1] > 0, around[2] < h, around[3] < w)
    for side, edge in zip(inner, (frame[0], frame[:, 0], frame[-1], frame[:, -1])):
        edge |= side or not any(inner)
    return Crop(around, image.shape, np.ascontiguousarray(colours, np.float32), frame)


def seeds(of: Crop, clicks: Sequence[Click], radius: float, *, frame: bool = True) -> Seeds:
    """Discs around the clicks, each pixel the nearest click's, and the crop's frame as not the object."""
    rows, columns = np.ogrid[: of.frame.shape[0], : of.frame.shape[1]]
    out: Seeds = np.where(of.frame & frame, 2, 0).astype(np.int32)
    nearest = np.full(of.frame.shape, radius**2 + 1e-6)
    for y, x, positive in of.cells(clicks):
        away = (rows - y) ** 2 + (columns - x) ** 2
        closer = away <= nearest
        out[closer] = 1 if positive else 2
        nearest[closer] = away[closer]
    return out


def settled(marks: Seeds) -> Bool | None:
    """The mask where the seeds leave no question: all pixels are seeds, or all seeds are of one kind; else None."""
    kinds = set(np.unique(marks).tolist())
    if kinds == {0, 1, 2}:
        return None
    mask: Bool = np.ones(marks.shape, bool) if 2 not in kinds else marks == 1
    return mask


def kept(mask: Bool, of: Crop, clicks: Sequence[Click]) -> Bool:
    """The connected parts of a mask that are clicked, their holes filled where no click is against it."""
    cells = of.cells(clicks)
    numbered, _ = ndimage.label(mask)
    wanted = {int(numbered[y, x]) for y, x, positive in cells if positive} - {0}
    part: Bool = np.isin(numbered, sorted(wanted))
    filled: Bool = ndimage.binary_fill_holes(part)
    return part if any(filled[y, x] for y, x, positive in cells if not positive) else filled


Answer = Callable[[Crop, Sequence[Click], Bool | None], Bool]
"""A rival: crop, clicks, and its own mask after one click less (None at the first), to the mask of the crop."""


# Radii are in pixels of the crop as the rival sees it.


@dataclass(frozen=True)
class RandomWalker:
    """Grady's random walker, scikit-image's, on colours."""

    beta: float = 400.0
    radius: float = 1.0

    def __call__(self, of: Crop, clicks: Sequence[Click], before: Bool | None) -> Bool:
        marks = seeds(of, clicks, self.radius)
        mask = settled(marks)
        if mask is not None:
            return mask
        colours = of.colours.astype(np.float64)
        return np.asarray(random_walker(colours, marks, self.beta, mode="bf", channel_axis=-1) == 1)


@dataclass(frozen=True)
class Watershed:
    """scikit-image's watershed on the gradient's magnitude, flooded from the clicks and the frame."""

    sigma: float = 1.0
    radius: float = 3.0

    def __call__(self, of: Crop, clicks: Sequence[Click], before: Bool | None) -> Bool:
        slope = [ndimage.gaussian_gradient_magnitude(of.colours[..., k], self.sigma, mode="nearest") for k in range(3)]
        return np.asarray(watershed(np.max(slope, 0), seeds(of, clicks, self.radius)) == 1)


@dataclass(frozen=True)
class ChanVese:
    """scikit-image's morphological Chan-Vese on the crop's main colour, started from the discs of the clicks.

    Each next click starts it from its last mask with the new disc put in or taken out.
    """

    steps: int = 20
    smoothing: int = 1
    radius: float = 8.0

    def __call__(self, of: Crop, clicks: Sequence[Click], before: Bool | None) -> Bool:
        marks = seeds(of, clicks, self.radius, frame=False)
        start = (marks == 1) if before is None else np.where(marks > 0, marks == 1, before)
        level = morphological_chan_vese(main_colour(of.colours), self.steps, start.astype(np.int8), self.smoothing)
        small = seeds(of, clicks, 2.0)
        return kept(np.where(small > 0, small == 1, level > 0), of, clicks)


def main_colour(colours: Float) -> NDArray[np.float64]:
    """The first principal component of a crop's colours, float64 (h, w)."""
    flat = colours.reshape(-1, colours.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(0)
    _, axes = np.linalg.eigh(flat.T @ flat)
    found: NDArray[np.float64] = (flat @ axes[:, -1]).reshape(colours.shape[:2])
    return found


@dataclass(frozen=True)
class GrabCut:
    """OpenCV's GrabCut: clicks and frame certain, and at first a larger disc around the click likely.

    Each next click starts it from its last mask.
    """

    rounds: int = 2
    radius: float = 3.0
    likely: float = 8.0

    def __call__(self, of: Crop, clicks: Sequence[Click], before: Bool | None) -> Bool:
        import cv2

        wide = seeds(of, clicks, self.likely, frame=False)
        likely = wide == 1 if before is None else before
        marks = seeds(of, clicks, self.radius)
        mask = settled(marks)
        if mask is not None:
            return mask
        state = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        state[marks == 1] = cv2.GC_FGD
        state[marks == 2] = cv2.GC_BGD
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(
            np.rint(of.colours * 255).astype(np.uint8), state, None, *models, self.rounds, cv2.GC_INIT_WITH_MASK
        )
        return kept((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD), of, clicks)


def rivals() -> dict[str, Any]:
    """Rivals by name; without ``grabcut`` where OpenCV is not installed."""
    found: dict[str, Any] = {"random_walker": RandomWalker(), "watershed": Watershed(), "chan_vese": ChanVese()}
    if find_spec("cv2") is not None:
        found["grabcut"] = GrabCut()
    return found


def settings(rival: Any) -> str:
    """A rival's settings and the library it comes from, which its stored results are for."""
    if isinstance(rival, GrabCut):
        import cv2

        return f"{rival} opencv {cv2.__version__}"
    return f"{rival} scikit-image {version('scikit-image')}"
