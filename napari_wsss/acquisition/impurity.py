"""Where predicted classes meet, sure or not: half of RIPU, to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.models.doubt import impurity
from napari_wsss.protocols import Context, Doubt


class Impurity:
    """Impurity alone."""

    @dataclass(frozen=True)
    class Params:
        pass

    model = ""
    asks_pixels = False

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        return impurity(doubt.probabilities, doubt.reach)


METHOD = Impurity
