"""The annotator: knows the truth, answers what it is asked and nothing else, and counts what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import ndimage

from napari_wsss.evaluation import TruthFolder
from napari_wsss.types import Labels, Point, Region

Kind = Literal["regions", "class", "points"]
"""How a region is answered: every pixel of it, one class for all of it, or the class of its middle pixel."""

QUESTION = 2.0
"""Seconds to look at a queued region and answer in one stroke."""
EDIT = 10.0
"""Seconds more to draw a border through a region that holds several classes."""
POINT = 22.1
"""Seconds for an image's points, one a class."""


@dataclass(eq=False)
class Oracle:
    """Answers from a folder of ground truth.

    Attributes
    ----------
    truth : TruthFolder
    names : mapping of str to str
        Images that may be asked about, each with its name in the folder of truth.
    pixels : int
        Pixels whose class was told. One told twice counts once.
    questions : int
        Regions and first points asked.
    seconds : float
        Modelled: 2 s a question, 10 s more where a region is mixed and answered whole, 22.1 s an image for points.
    """

    truth: TruthFolder
    names: Mapping[str, str]
    pixels: int = 0
    questions: int = 0
    seconds: float = 0.0
    _told: dict[str, Labels] = field(default_factory=dict)
    _known: dict[str, Labels] = field(default_factory=dict)

    def start(self, classes: int, seed: int) -> dict[str, tuple[Point, ...]]:
        """One point of each class for all images together: in a random image that has it, well inside."""
        rng = np.random.default_rng([seed, 11])
        found: dict[str, list[Point]] = {}
        for k in range(1, classes + 1):
            for i in rng.permutation(len(self.names)):
                name = list(self.names)[int(i)]
                depth = ndimage.distance_transform_edt(np.pad(self._of(name) == k, 1))[1:-1, 1:-1]
                if depth.max() >= 1:
                    inside = np.argwhere(depth >= 0.7 * depth.max())
                    y, x = inside[int(rng.integers(len(inside)))].tolist()
                    found.setdefault(name, []).append(Point(y, x, k))
                    break
        self.questions += sum(map(len, found.values()))
        self.seconds += POINT * len(found)
        return {name: tuple(points) for name, points in found.items()}

    def count(self, name: str, labels: Labels) -> None:
        """Charge what an image's labels hold now; a pixel that was charged before costs nothing."""
        before = self._told.get(name)
        fresh = labels > 0 if before is None else (labels > 0) & (before == 0)
        self.pixels += int(fresh.sum())
        self._told[name] = labels.copy() if before is None else np.where(fresh, labels, before).astype(np.uint16)

    def answer(self, region: Region, kind: Kind) -> Labels:
        """Class ids of the region's box, 0 where nothing is said; one question."""
        y0, x0, y1, x1 = region.box
        truth = self._of(region.image)[y0:y1, x0:x1]
        self.questions += 1
        self.seconds += QUESTION
        if kind == "regions":
            self.seconds += EDIT * (len(np.unique(truth[truth > 0])) > 1)
            return truth.copy()
        said = np.zeros_like(truth)
        if kind == "points":
            y, x = (y1 - y0) // 2, (x1 - x0) // 2
            said[y, x] = truth[y, x]
        elif truth.any():
            said[:] = np.bincount(truth[truth > 0]).argmax()
        return said

    def whole(self, name: str) -> Labels:
        """The full mask, for the ceiling; not charged."""
        return self._of(name).copy()

    def _of(self, name: str) -> Labels:
        if name not in self._known:
            found = self.truth.mask(self.names[name])
            if found is None:
                raise ValueError(f"{name} has no truth")
            self._known[name] = found
        return self._known[name]
