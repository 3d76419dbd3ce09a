"""A segmenter that knows what lies where: skies above roads, for images of scenes that have an up.

To the logits of any network a small one adds what the place alone says of each class. Where the look of a pixel and
its place are independent given the class, the sum is Bayes' rule (compare the height-driven attention of HANet: Choi,
Kim and Choo, Cars can't fly up in the sky, CVPR 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from napari_wsss.models.multi_scale_head import Seen, resized
from napari_wsss.types import Box4, Float

PLANES = 3
"""Planes that tell a place: down, across (left and right alike), from the middle."""

_WIDTH = 32


def places(shape: tuple[int, int], box: Box4, step: int = 1) -> Float:
    """Where the cells of a box lie in their image.

    Parameters
    ----------
    shape : (h, w)
        Of the image.
    box : (y0, x0, y1, x1)
        In image pixels; may reach beyond the image.
    step : int
        Image pixels a cell.

    Returns
    -------
    float32 (3, h', w')
        0 in the middle of the image, -1 to 1 at its sides.
    """
    y0, x0, y1, x1 = box
    down = (np.arange(y0, y1, step) + step / 2) / shape[0] * 2 - 1
    across = np.abs((np.arange(x0, x1, step) + step / 2) / shape[1] * 2 - 1)
    planes = [*np.broadcast_arrays(down[:, None], across[None]), np.hypot(down[:, None], across[None])]
    return np.stack(planes).astype(np.float32)


class Placed(nn.Module):
    """A network whose input ends with the planes of :func:`places`; it begins as the network without them.

    Parameters
    ----------
    network : nn.Module
        As ``Segmenter.network`` makes it.
    classes : int
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        last = nn.Conv2d(_WIDTH, classes, 1)
        self.prior = nn.Sequential(nn.Conv2d(PLANES, _WIDTH, 1), nn.ReLU(), last)
        for value in last.parameters():
            nn.init.zeros_(value)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None, drop: Tensor | None = None) -> Seen:
        """Logits at ``size`` (default: the network's own)."""
        seen: Seen = self.network(x[:, :-PLANES], size, drop)
        return Seen(seen.logits + resized(self.prior(x[:, -PLANES:]), seen.logits.shape[-2:]), seen.fused)


def own(network: nn.Module) -> Any:
    """The network as its segmenter made it."""
    return network.network if isinstance(network, Placed) else network
