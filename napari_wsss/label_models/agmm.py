"""Adaptive Gaussian mixture on frozen features: spreads an image's own hints by likeness."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_wsss.errors import CannotFeed
from napari_wsss.label_models._agmm import MixtureParams, mixture_answer, prepared
from napari_wsss.label_models._answered import labels_of
from napari_wsss.label_models._automatic_seeds import box_seeds, cam_prior, cam_seeds
from napari_wsss.label_models._feature_grid import FeatureGrid
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Box, Labels, PseudoLabels, Sample, State, WeakTarget

_log = logging.getLogger(__name__)


class Agmm:
    """One Gaussian a mark with a tied adaptive scale (AGMM, CVPR 2023, restated for frozen features).

    Every image by itself: nothing is learnt from the others. Points, strokes, blocks, boxes and
    accepted pixels start the components; where a class has none of these, activation maps do.

    Parameters of ``Params``
    ------------------------
    dims : int
        Features are reduced to so many principal components.
    components : int
        Most components of a class; more marks than that are merged by likeness.
    passes : int
        Updates of the mixture; 0 leaves the nearest mark's class.
    prior_weight : float
        Weight of the log of the activation maps.
    gate : float
        Pixels surer than this take part in an update.
    margin, typicality : float
        A pixel is answered where the best class leads by ``margin`` and the pixel is at least so
        typical of it.
    fixed_sigma : bool
        The public code's fixed scale on features as they come; for comparison only.
    min_area : int
        Smaller regions (pixels) without a human-given pixel are not answered.
    """

    @dataclass(frozen=True)
    class Params(MixtureParams):
        min_area: int = 16

        def __post_init__(self) -> None:
            if self.dims < 1 or self.components < 1 or self.passes < 0 or self.prior_weight < 0:
                raise ValueError("dims and components must be at least 1, passes and prior_weight at least 0")
            if not all(0 <= share <= 1 for share in (self.gate, self.margin, self.typicality)):
                raise ValueError("gate, margin and typicality must lie between 0 and 1")

    def __init__(self, params: Any, context: Context) -> None:
        self.params: Agmm.Params = params
        self.context = context

    @property
    def model(self) -> str:
        return ""

    def __call__(self, sample: Sample, state: State) -> PseudoLabels:
        """Pseudo-labels of one image.

        Raises
        ------
        CannotFeed
            Where the image has neither marks nor activation maps.
        """
        target, valid, features = sample.target, sample.image.valid, sample.features
        data = torch.as_tensor(np.asarray(features.data, np.float32), device=torch.device(self.context.device))
        seed = self.context.seed
        grid, known = prepared(data, features.stride, target.shape, valid, self.params, seed)
        guesses = self._guesses(sample, grid, known)
        prior = None if sample.cam is None else cam_prior(sample.cam, self.context.classes)
        answer = mixture_answer(grid, known, target, prior, guesses, self.params, seed, self.context.progress)
        if answer is None:
            raise CannotFeed(f"{sample.name}: no marks and no activation maps to start the mixture from")
        _tell_impossible(sample.name, known & (answer.best == 0), target)
        labels = labels_of(answer, target, _boxes(sample), self.params, self.params.min_area)
        return PseudoLabels(_spread(answer.probabilities, valid), labels, answer.typicality, answer.contradictions)

    def _guesses(self, sample: Sample, grid: FeatureGrid, known: Bool) -> Labels | None:
        """Automatic seeds of the image: from boxes, else from activation maps."""
        boxes, cam, classes = _boxes(sample), sample.cam, self.context.classes
        guesses = None
        if cam is not None:
            guesses = cam_seeds(cam, sample.target, sample.labels.tags, classes)
        if boxes:
            boxed = box_seeds(boxes, grid, known, sample.target, cam, classes, self.context.seed)
            guesses = boxed if guesses is None else np.where(boxed > 0, boxed, guesses)
        return guesses


def _boxes(sample: Sample) -> list[Box]:
    """Unfilled boxes (a filled one is a block, whose pixels are seeds already)."""
    return [b for b in sample.labels.boxes if not b.fill]


def _spread(probabilities: NDArray[np.float16], valid: Bool) -> NDArray[np.float16]:
    """Probabilities that sum to 1 on every valid pixel: even where features are missing."""
    silent = valid & (probabilities.max(0) == 0)
    probabilities[:, silent] = 1 / len(probabilities)
    return probabilities


def _tell_impossible(name: str, impossible: Bool, target: WeakTarget) -> None:
    """Log where tags and boxes together leave no class that could be there."""
    empty = impossible & ~target.allow.any(0)
    if empty.any():
        y, x = np.argwhere(empty)[0]
        _log.warning("%s: no class is possible on %s pixels, the first at (%s, %s)", name, empty.sum(), y, x)


METHOD = Agmm
