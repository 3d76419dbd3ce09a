"""Where flipped views of the image are answered differently (needs predictions of several views)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import CannotFeed
from napari_wsss.models.doubt import box_sum, window_sizes
from napari_wsss.protocols import Context, Doubt


class Disagreement:
    """Mean disagreement between views over the region."""

    @dataclass(frozen=True)
    class Params:
        pass

    model = ""
    asks_pixels = False

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        if doubt.disagreement is None:
            raise CannotFeed(f"{doubt.name}: was predicted from one view; use `napari-wsss predict --views 4`")
        spread = doubt.disagreement.astype(np.float64)
        mean: NDArray[np.float64] = box_sum(spread, doubt.reach) / window_sizes(
            (spread.shape[0], spread.shape[1]), doubt.reach
        )
        return mean


METHOD = Disagreement
