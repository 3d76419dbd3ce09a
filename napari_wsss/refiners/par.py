"""Pixel-adaptive refinement: probabilities flow along the image's own edges; no weights.

The refiner of ToCo, ExCEL and WeCLIP, from its equations (methods.md A.17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_wsss.errors import CannotFeed
from napari_wsss.models.pixel_adaptive import MIN_CONTRAST, refine_maps
from napari_wsss.protocols import Context
from napari_wsss.refiners._par import clamped, decided
from napari_wsss.types import Mask, Sample, State


class Par:
    """Averages each pixel's class probabilities over neighbours that look alike, several times.

    Parameters
    ----------
    iterations : int
        How often; the reach grows with it.
    reach : int
        Largest distance of a neighbour, pixels: those of 1, 2, 4, 8, 12 and 24 up to it are used.
    min_contrast : float
        Where the image varies less than this (0 to 1) there is no edge to follow and nothing is changed.
    """

    @dataclass(frozen=True)
    class Params:
        iterations: int = 10
        reach: int = 24
        min_contrast: float = MIN_CONTRAST

        def __post_init__(self) -> None:
            if self.iterations < 1 or self.reach < 1 or self.min_contrast < 0:
                raise ValueError("iterations and reach must be at least 1, min_contrast not negative")

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    @property
    def model(self) -> str:
        return ""

    def __call__(self, sample: Sample, state: State) -> Mask:
        """Refine ``sample.pseudo``.

        Raises
        ------
        CannotFeed
            If there are no pseudo-labels.
        """
        if sample.pseudo is None:
            raise CannotFeed(f"{sample.name}: no pseudo-labels to refine; run the stage 'pseudo' first")
        device = torch.device(self.context.device)
        image, target = sample.image, sample.target
        valid = torch.tensor(image.valid, device=device)
        probabilities = torch.tensor(sample.pseudo.probabilities.astype(np.float32), device=device)
        start, human = clamped(probabilities, target)
        refined = refine_maps(
            start,
            torch.tensor(image.channels, device=device),
            valid,
            fixed=human,
            iterations=self.params.iterations,
            dilations=[d for d in (1, 2, 4, 8, 12, 24) if d <= self.params.reach],
            min_contrast=self.params.min_contrast,
        )
        return Mask(decided(refined, target, valid))


METHOD = Par
