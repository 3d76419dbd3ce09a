"""Where predicted classes meet, sure or not: half of RIPU, to compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.acquisition._plain import Plain
from napari_wsss.models.doubt import impurity
from napari_wsss.protocols import Doubt


class Impurity(Plain):
    """Impurity alone."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        return impurity(doubt.probabilities, doubt.reach)


METHOD = Impurity
