"""Where flipped views, or teacher and student, answer differently (needs ``predict --views 4`` or ``--student``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.acquisition._plain import Plain
from napari_wsss.errors import CannotFeed
from napari_wsss.models.doubt import box_mean
from napari_wsss.protocols import Doubt


class Disagreement(Plain):
    """Mean disagreement between views, or between teacher and student, over the region."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        if doubt.disagreement is None:
            raise CannotFeed(
                f"{doubt.name}: was predicted from one view of one network; use `napari-wsss predict --views 4` or"
                " `--student`"
            )
        return box_mean(doubt.disagreement, doubt.reach)


METHOD = Disagreement
