"""A segmenter's prediction as an eye wants it: the mask, where it is unsure, and where asking pays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss.active_learning import cell_reach
from napari_wsss.models.doubt import entropy, region_scores
from napari_wsss.project import Project
from napari_wsss.types import Float, Labels, Prediction


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """What is shown of a prediction.

    Attributes
    ----------
    labels : uint16 (h, w)
    uncertainty : float32 (ceil(h / stride), ceil(w / stride)) in [0, 1]
        Normalised entropy; 0 on nodata.
    worth : float32, same shape, in [0, 1]
        RIPU's score of the region around each cell: impurity times uncertainty.
    stride : int
        Image pixels a cell.
    """

    labels: Labels
    uncertainty: Float
    worth: Float
    stride: int


def read(project: Project, name: str) -> Predicted | None:
    """The image's prediction; None if there is none. Takes as long as the image is large."""
    found = project.result(name, "predicted")
    if not isinstance(found, Prediction):
        return None
    p = found.probabilities.astype(np.float32)
    seen = p.sum(0) > 0
    worth = region_scores(p, cell_reach(found.labels.shape, 0, found.stride)).score
    unsure, asked = (np.where(seen, np.clip(m, 0, 1), 0).astype(np.float32) for m in (entropy(p), worth))
    return Predicted(found.labels, unsure, asked, found.stride)
