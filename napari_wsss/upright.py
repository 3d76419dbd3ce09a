"""Whether images have an up, as photographs of scenes do and maps and sections do not: what the labels' heights say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

_CHANCE = 0.001
"""How often labels that lie anywhere may be taken for upright ones."""
_EXPLAINED = 0.3
"""Share of the variance in height between labels that their classes must explain."""
_IMAGES = 4
"""Fewest labelled images that tell."""


def has_an_up(heights: NDArray[np.floating], classes: NDArray[np.integer], images: NDArray[np.integer]) -> bool:
    """Whether classes lie at different heights, more than by chance.

    Labels of one class in one image lie together, so each such pair counts once, by its mean height; the classes'
    means are then compared (one-way analysis of variance). People click the middle of things, so where hints lie
    always tells something of their classes; only the height of whole classes belongs to the scene itself.

    Parameters
    ----------
    heights : float (n,)
        Of labelled pixels, in any unit that is the same in all images (such as shares of the image's height).
    classes, images : int (n,)
    """
    pairs, where = np.unique(np.stack([images, classes]), axis=1, return_inverse=True)
    mean = np.bincount(where.ravel(), heights) / np.bincount(where.ravel())
    found, of = np.unique(pairs[1], return_inverse=True)
    freedom = len(mean) - len(found)
    if len(np.unique(pairs[0])) < _IMAGES or len(found) < 2 or freedom < 1:
        return False
    of_class = np.bincount(of, mean) / np.bincount(of)
    between, total = float(((of_class[of] - mean.mean()) ** 2).sum()), float(((mean - mean.mean()) ** 2).sum())
    if total <= 0 or between <= _EXPLAINED * total:
        return False
    rest = max(total - between, 1e-12) / freedom
    return bool(fdtrc(len(found) - 1, freedom, between / (len(found) - 1) / rest) < _CHANCE)
