"""A batch of regions that differ: among those that are worth asking, the ones whose features lie far apart.

Farthest-first traversal, the greedy 2-approximation of k-centre (Gonzalez 1985), which core-set selection for active
learning rests on (Sener & Savarese 2018); here its candidates are only what a strategy ranks high.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_wsss.project import Project
from napari_wsss.types import Box4, Image, Region

Means = Callable[[Image, Sequence[Box4]], NDArray[np.float64]]
"""Mean features (n, d) of an image over boxes."""

CANDIDATES = 4
"""Times as many regions as are asked, at most, from which they are chosen."""
_NEARLY = 0.5  # of the score of the last region that would be asked without regard to features


def diverse(
    project: Project,
    ranked: Sequence[Region],
    count: int,
    features: Means,
    most: int = 0,
) -> list[Region]:
    """The first region, then again and again the one whose features are farthest from those chosen; in ranked order.

    Parameters
    ----------
    ranked : sequence of Region
        Best first. Those that score less than half of what the last one does that rank alone would ask are left out.
    features : Means
        What tells regions apart, in units of its spread among the candidates.
    most : int
        Regions of one image; 0 = any number.
    """
    plain = first_of(ranked, count, most)
    if len(plain) < 2:
        return plain
    enough = _NEARLY * plain[-1].score
    candidates = [r for r in first_of(ranked, count * CANDIDATES, most * CANDIDATES) if r.score >= enough]
    vectors = _vectors(project, candidates, features)
    vectors = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)
    allowed = np.ones(len(candidates), bool)
    distance = np.full(len(candidates), np.inf)
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    while len(chosen) < count and allowed.any():
        nearest = int(np.argmax(np.where(allowed, distance, -1.0)))  # the better ranked of equals
        chosen.append(nearest)
        name = candidates[nearest].image
        taken[name] += 1
        allowed[nearest] = False
        if taken[name] == most:
            allowed &= [r.image != name for r in candidates]
        distance = np.minimum(distance, np.square(vectors - vectors[nearest]).sum(1))
    return [candidates[i] for i in sorted(chosen)]


def first_of(ranked: Sequence[Region], count: int, most: int = 0) -> list[Region]:
    """The first regions, at most so many of one image (0 = any number)."""
    taken: Counter[str] = Counter()
    chosen: list[Region] = []
    for region in ranked:
        if len(chosen) == count:
            break
        if not most or taken[region.image] < most:
            taken[region.image] += 1
            chosen.append(region)
    return chosen


def _vectors(project: Project, regions: Sequence[Region], features: Means) -> NDArray[np.float64]:
    """Mean features of each region; each image's features are computed once."""
    by_image: dict[str, list[int]] = {}
    for i, region in enumerate(regions):
        by_image.setdefault(region.image, []).append(i)
    found: dict[int, NDArray[np.float64]] = {}
    for name, numbers in by_image.items():
        means = features(project.image(name), [regions[i].box for i in numbers])
        found |= dict(zip(numbers, means, strict=True))
    return np.stack([found[i] for i in range(len(regions))])
