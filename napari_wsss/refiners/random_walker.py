"""Random walker from human pixels and the surest pseudo-labels; no weights (scikit-image).

Each unlabelled pixel goes to the class whose seeds a random walker, which crosses edges of the image
reluctantly, is most likely to meet first (Grady, Random Walks for Image Segmentation, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from skimage.segmentation import random_walker
from skimage.transform import resize

from napari_wsss.errors import CannotFeed
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Float, Labels, Mask, PseudoLabels, Sample, State, WeakTarget

_OUTSIDE = -1  # scikit-image: a pixel that no walker enters


class RandomWalker:
    """Seeds are what a person labelled and the cores of each class's surest pseudo-labels.

    Parameters
    ----------
    beta : float
        How reluctantly a walker crosses an edge.
    confidence : float
        A pseudo-label is a seed where its probability reaches this.
    core : int
        Pixels that a seed keeps from the nearest pixel of another class or of doubt.
    work : int
        Thousands of unknowns (pixels times classes) to solve for; a larger image is solved at reduced size.
    tolerance : float
        When the solver stops.
    """

    @dataclass(frozen=True)
    class Params:
        beta: float = 130.0
        confidence: float = 0.9
        core: int = 2
        work: int = 40
        tolerance: float = 1e-2

        def __post_init__(self) -> None:
            if self.beta <= 0 or not 0 < self.confidence <= 1 or self.core < 0 or self.work < 1 or self.tolerance <= 0:
                raise ValueError("beta, tolerance > 0, 0 < confidence <= 1, core >= 0, work >= 1")

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    @property
    def model(self) -> str:
        return ""

    def __call__(self, sample: Sample, state: State) -> Mask:
        """Refine ``sample.pseudo``; pixels that no walker reaches keep their pseudo-label.

        Raises
        ------
        CannotFeed
            If there are no pseudo-labels.
        """
        pseudo = sample.pseudo
        if pseudo is None:
            raise CannotFeed(f"{sample.name}: no pseudo-labels to refine; run the stage 'pseudo' first")
        valid, target = sample.image.valid, sample.target
        seeds = self._seeds(pseudo, target, valid)
        classes = np.unique(seeds[seeds > 0])
        if len(classes) < 2:
            # Walkers need two sides; a single class says nothing about where it ends.
            kept = _with_human(np.where(_allowed(pseudo.labels, target), pseudo.labels, 0), target, valid)
            return Mask(kept, notes=("random walker: fewer than two classes have seeds; pseudo-labels kept",))
        walked = self._walk(sample.image.channels, valid, seeds, classes)
        everywhere = np.zeros((len(target.allow), *valid.shape), np.float32)
        everywhere[classes - 1] = walked
        everywhere *= target.allow
        reached = everywhere.max(0) > 0
        labels = np.where(
            reached, everywhere.argmax(0) + 1, np.where(_allowed(pseudo.labels, target), pseudo.labels, 0)
        )
        return Mask(_with_human(labels.astype(np.uint16), target, valid))

    def _seeds(self, pseudo: PseudoLabels, target: WeakTarget, valid: Bool) -> Labels:
        """Cores of confident pseudo-labels, where allowed, below the human pixels."""
        sure = pseudo.confidence >= self.params.confidence
        sure &= (pseudo.labels > 0) & valid & _allowed(pseudo.labels, target)
        seeds = np.zeros(valid.shape, np.uint16)
        for k in np.unique(pseudo.labels[sure]):
            # beyond the image's border nothing doubts
            inside = np.pad(sure & (pseudo.labels == k), 1, mode="edge")
            depth = distance_transform_edt(inside)[1:-1, 1:-1] if not inside.all() else np.full(valid.shape, np.inf)
            seeds[(depth > self.params.core) & sure] = k
        human = (target.seed > 0) & valid
        seeds[human] = target.seed[human]
        return seeds

    def _walk(self, channels: Float, valid: Bool, seeds: Labels, classes: NDArray[np.uint16]) -> Float:
        """Probabilities (classes, h, w) of meeting each class first, solved at a size that keeps the time."""
        h, w = valid.shape
        shrink = min(1.0, sqrt(self.params.work * 1000 / (h * w * len(classes))))
        small = max(8, round(h * shrink)), max(8, round(w * shrink))
        if shrink == 1.0 or small[0] >= h or small[1] >= w:
            return self._solve(channels, valid, seeds, classes)
        data = resize(channels, (len(channels), *small), order=1, anti_aliasing=True).astype(np.float32)
        rows, columns = (((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(small, (h, w)))
        nearest = np.ix_(rows, columns)
        small_seeds = _kept(seeds, small)
        walked = self._solve(data, valid[nearest] | (small_seeds > 0), small_seeds, classes)
        return cast("Float", resize(walked, (len(classes), h, w), order=1).astype(np.float32))

    def _solve(self, channels: Float, valid: Bool, seeds: Labels, classes: NDArray[np.uint16]) -> Float:
        numbers = np.zeros(int(seeds.max()) + 1, np.int32)
        numbers[classes] = np.arange(1, len(classes) + 1)
        labels = np.where(valid, numbers[seeds], _OUTSIDE)
        labels = _connected_to_seeds(labels)
        out = np.zeros((len(classes), *valid.shape), np.float32)
        if not (labels == 0).any():
            for i in range(len(classes)):
                out[i] = labels == i + 1
            return out
        present = np.unique(labels[labels > 0])
        compact = np.where(labels > 0, np.searchsorted(present, labels) + 1, labels)
        if len(present) < 2:
            out[present - 1] = (labels >= 0).astype(np.float32)
            return out
        walked = random_walker(
            np.ascontiguousarray(channels.transpose(1, 2, 0)),
            compact,
            beta=self.params.beta,
            mode="cg_j",
            tol=self.params.tolerance,
            prob_tol=1.0,  # an unfinished solution may leave [0, 1] a little; it is cut below
            return_full_prob=True,
            channel_axis=-1,
        )
        out[present - 1] = np.where(labels >= 0, np.clip(walked, 0, 1), 0)
        return out


def _allowed(labels: Labels, target: WeakTarget) -> Bool:
    """Where the label is a class that the person's tags and boxes still allow."""
    index = np.maximum(labels.astype(np.int64), 1) - 1
    allowed: Bool = np.take_along_axis(target.allow, index[None], 0)[0] & (labels > 0)
    return allowed


def _with_human(labels: Labels, target: WeakTarget, valid: Bool) -> Labels:
    out = np.where(valid, labels, 0).astype(np.uint16)
    human = target.seed > 0
    out[human] = target.seed[human]
    return out


def _kept(seeds: Labels, small: tuple[int, int]) -> Labels:
    """Seeds on a coarser grid: a cell takes any seed in it, so that thin strokes survive."""
    h, w = seeds.shape
    out = np.zeros(small, np.uint16)
    y, x = np.nonzero(seeds)
    out[y * small[0] // h, x * small[1] // w] = seeds[y, x]
    return out


def _connected_to_seeds(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Close islands that hold no seed: no walker that starts there meets any."""
    islands, n = label(labels >= 0)
    seeded = np.zeros(n + 1, bool)
    seeded[np.unique(islands[labels > 0])] = True
    return np.where(seeded[islands], labels, _OUTSIDE).astype(np.int32)


METHOD = RandomWalker
