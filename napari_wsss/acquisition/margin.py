"""Mean smallness of the lead of the first class over the second, over the region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.models.doubt import box_sum, margin, window_sizes
from napari_wsss.protocols import Context, Doubt


class Margin:
    """Where two classes are nearly equally likely."""

    @dataclass(frozen=True)
    class Params:
        pass

    model = ""
    asks_pixels = False

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        narrow = margin(doubt.probabilities)
        mean: NDArray[np.float64] = box_sum(narrow, doubt.reach) / window_sizes(
            (narrow.shape[0], narrow.shape[1]), doubt.reach
        )
        return mean


METHOD = Margin
