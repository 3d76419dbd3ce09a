"""Mean entropy of the region: where the model is unsure, mixed or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.acquisition._plain import Plain
from napari_wsss.models.doubt import region_scores
from napari_wsss.protocols import Doubt


class Entropy(Plain):
    """Uncertainty alone."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        return region_scores(doubt.probabilities, doubt.reach).uncertainty


METHOD = Entropy
