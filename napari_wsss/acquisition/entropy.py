"""Mean entropy of the region: where the model is unsure, mixed or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.models.doubt import region_scores
from napari_wsss.protocols import Context, Doubt


class Entropy:
    """Uncertainty alone."""

    @dataclass(frozen=True)
    class Params:
        pass

    model = ""
    asks_pixels = False

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        return region_scores(doubt.probabilities, doubt.reach).uncertainty


METHOD = Entropy
