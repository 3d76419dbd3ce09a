"""Mean smallness of the lead of the first class over the second, over the region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.acquisition._plain import Plain
from napari_wsss.models.doubt import box_mean, margin
from napari_wsss.protocols import Doubt


class Margin(Plain):
    """Where two classes are nearly equally likely."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        return box_mean(margin(doubt.probabilities), doubt.reach)


METHOD = Margin
