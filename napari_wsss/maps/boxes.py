"""Boxes of objects from one activation map by two thresholds (DTH-CP, methods.md A.15).

The high threshold tells objects apart, the low one how far they reach.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_wsss.types import Bool, Box4, Float

_THIN = 0.25  # share of the longest row (column) below which an extent's end is a bridge or a tail


def boxes(scores: Float, low: float, high: float, least_area: int = 9) -> list[Box4]:
    """One half-open box an object, in raster order of their cores.

    Parameters
    ----------
    scores : float32 (h, w) in [0, 1]
    low, high : float
        Shares of the map's maximum: the support of objects, and their cores.
    least_area : int
        Pixels of the smallest core.

    Raises
    ------
    ValueError
        Thresholds that are not 0 <= low <= high <= 1.
    """
    if not 0 <= low <= high <= 1:
        raise ValueError(f"thresholds {low} and {high}: the lower comes first, both between 0 and 1")
    top = float(scores.max(initial=0.0))
    if top <= 0:
        return []
    cores, count = ndimage.label(scores >= high * top)
    sizes = np.bincount(cores.ravel(), minlength=count + 1)
    cores[(sizes < least_area)[cores]] = 0
    support, _ = ndimage.label(scores >= low * top)
    found = []
    for number in np.unique(cores[cores > 0]):
        found.append(_trimmed(_extent(support, cores, int(number))))
    return found


def _extent(support: np.ndarray[tuple[int, ...], np.dtype[np.int32]], cores: Float, number: int) -> Bool:
    """Pixels of a core's support that are nearer to it than to any other core there."""
    mine = cores == number
    here = support == support.ravel()[int(np.argmax(mine))]
    others = here & (cores > 0) & ~mine
    if not others.any():
        whole: Bool = here
        return whole
    extent: Bool = here & (ndimage.distance_transform_edt(~mine) < ndimage.distance_transform_edt(~others))
    return extent


def _trimmed(extent: Bool) -> Box4:
    """The box around an extent without thin ends."""
    y0, y1 = _thick(extent.sum(1))
    x0, x1 = _thick(extent.sum(0))
    return y0, x0, y1, x1


def _thick(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[int, int]:
    """First and one past the last place that has enough pixels."""
    places = np.flatnonzero(counts >= _THIN * counts.max())
    return int(places[0]), int(places[-1]) + 1
