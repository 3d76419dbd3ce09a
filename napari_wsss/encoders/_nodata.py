"""What encoders do with pixels that hold no data: their values must influence nothing."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_wsss.types import Bool, Float


def filled(channels: Float, valid: Bool) -> Float:
    """Channels with every invalid pixel replaced by the nearest valid one (0 where there is none)."""
    if valid.all():
        return np.ascontiguousarray(channels)
    if not valid.any():
        return np.zeros_like(channels)
    nearest = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(channels[:, nearest[0], nearest[1]])


def any_in_cell(valid: Bool, stride: int) -> Bool:
    """Which cells of a grid of ``stride`` pixels hold a valid pixel: bool (ceil(h / stride), ceil(w / stride))."""
    if stride == 1:
        return valid
    height, width = (-(-n // stride) * stride for n in valid.shape)
    padded = np.zeros((height, width), bool)
    padded[: valid.shape[0], : valid.shape[1]] = valid
    cells: Bool = np.any(padded.reshape(height // stride, stride, width // stride, stride), axis=(1, 3))
    return cells
