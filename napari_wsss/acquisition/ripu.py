"""Region impurity times prediction uncertainty: where classes meet and the model is unsure (RIPU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_wsss.models.doubt import pixel_scores, region_scores
from napari_wsss.protocols import Context, Doubt


class Ripu:
    """Regions to label whole (RA), or single pixels to name (PA).

    Parameters
    ----------
    form : "regions" or "pixels"
    around : int
        ``pixels``: half side of the square whose impurity counts, in cells of the map.
    """

    @dataclass(frozen=True)
    class Params:
        form: Literal["regions", "pixels"] = "regions"
        around: int = 32

        def __post_init__(self) -> None:
            if self.around < 1:
                raise ValueError("around must be at least 1")

    model = ""

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context
        self.asks_pixels = params.form == "pixels"

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        if self.params.form == "pixels":
            return pixel_scores(doubt.probabilities, self.params.around)
        return region_scores(doubt.probabilities, doubt.reach).score


METHOD = Ripu
