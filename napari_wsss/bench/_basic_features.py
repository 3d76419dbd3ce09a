"""scikit-image's multiscale features: the reference of the filter encoder, and what the random forest sees."""

from __future__ import annotations

import inspect

import numpy as np
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features

# 0.26 renamed the parameter
_WORKERS = "workers" if "workers" in inspect.signature(multiscale_basic_features).parameters else "num_workers"


def basic_features(image: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """float32 (h, w, d) of an image (h, w) or (h, w, c): intensity, edges and texture at scales 1, 2, 4, 8, 16."""
    axis = -1 if image.ndim == 3 else None
    found: NDArray[np.float32] = multiscale_basic_features(
        image, sigma_min=1, sigma_max=16, channel_axis=axis, **{_WORKERS: threads}
    )
    return found
