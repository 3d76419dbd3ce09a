"""A window's answers brought to the pixels of the image."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.models.embedded.frames import Frame
from napari_wsss.models.embedded.window import Window
from napari_wsss.types import Box4


def at_pixels(logits: Tensor, window: Window, frame: Frame) -> tuple[Box4, Tensor]:
    """Logits of the pixels whose centres lie in the window, bilinear.

    Parameters
    ----------
    logits : float32 (m, 4 * rows, 4 * columns)
        Of the window's tokens at stride 2.
    window : Window
    frame : Frame

    Returns
    -------
    box : (y0, x0, y1, x1)
        In the image; half open.
    pixels : float32 (m, y1 - y0, x1 - x0)
    """
    down, across = frame.scale
    y0, y1, y = _centres(window.y, window.height, down, frame.shape[0])
    x0, x1, x = _centres(window.x, window.width, across, frame.shape[1])
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(logits.device)
    return (y0, x0, y1, x1), F.grid_sample(logits[None], places[None], "bilinear", "border", align_corners=False)[0]


def _centres(first: int, length: int, scale: float, size: int) -> tuple[int, int, Tensor]:
    """The pixels of ``length`` tokens from ``first`` on, and where their centres are, from -1 to 1."""
    start = max(0, math.ceil(first * STRIDE / scale - 0.5))
    end = min(size, math.ceil((first + length) * STRIDE / scale - 0.5))
    places = ((np.arange(start, end) + 0.5) * scale / STRIDE - first) / length * 2 - 1
    return start, end, torch.from_numpy(places).float()
