"""Where the network learnt that pixels are hard (needs a segmenter trained with ``training.hardness=yes``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.acquisition._plain import Plain
from napari_wsss.errors import CannotFeed
from napari_wsss.models.doubt import box_mean
from napari_wsss.protocols import Doubt


class Hardness(Plain):
    """Mean over the region of what the hardness head (HL) predicts."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        if doubt.hardness is None:
            raise CannotFeed(
                f"{doubt.name}: its segmenter has no hardness head; train with `--param training.hardness=yes` and"
                " predict again"
            )
        return box_mean(doubt.hardness, doubt.reach)


METHOD = Hardness
