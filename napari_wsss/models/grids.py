"""Dense features on another grid: their stride need not be a whole number, the trainer's must."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_wsss.types import Features, Float


def whole_step(stride: float, most: int) -> int:
    """The largest power of two that is no coarser than the stride, at most ``most``; 1 for strides below 2."""
    step = 1
    while step * 2 <= min(stride, most):
        step *= 2
    return step


def on_grid(features: Features, step: int, shape: tuple[int, int]) -> Float:
    """Features float32 (d, ceil(h / step), ceil(w / step)) of an image of ``shape``, interpolated linearly.

    Cells are areas: cell i covers the pixels from ``i * step`` on. Beyond the outermost centres the edge goes on.
    """
    data = features.data
    cells = tuple(-(-n // step) for n in shape)
    if features.stride == step and data.shape[1:] == cells:
        return data
    for axis, count in enumerate(cells, 1):
        data = _along(data, axis, (np.arange(count, dtype=np.float64) + 0.5) * (step / features.stride) - 0.5)
    return data


def _along(data: Float, axis: int, at: NDArray[np.float64]) -> Float:
    at = np.clip(at, 0, data.shape[axis] - 1)
    low = np.floor(at).astype(np.intp)
    share = (at - low).astype(np.float32).reshape([-1 if n == axis else 1 for n in range(data.ndim)])
    high = np.minimum(low + 1, data.shape[axis] - 1)
    out: Float = data.take(low, axis) * (1 - share) + data.take(high, axis) * share
    return out
