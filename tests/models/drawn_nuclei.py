"""Drawn nuclei with clicks on them, for tests of the promptable model that ships with the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from napari_wsss.drawing import nuclei
from napari_wsss.models.embedded.network import EmbeddedNetwork
from napari_wsss.models.prompts import Prediction, Prompt
from napari_wsss.types import Image


@dataclass(frozen=True, eq=False)
class Nucleus:
    """One drawn nucleus: its mask, and the pixel deepest inside it."""

    truth: np.ndarray
    click: tuple[int, int]

    @property
    def box(self) -> tuple[int, int, int, int]:
        y, x = np.nonzero(self.truth)
        return int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1


def deepest(mask: np.ndarray) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y), int(x)


def image_of(channels: np.ndarray, key: str = "") -> Image:
    """channels (c, h, w) in [0, 1]."""
    shown = np.ascontiguousarray(channels, np.float32)
    rgb = (0, 1, 2) if len(shown) > 2 else (0, 0, 0)
    return Image("picture", key, shown, np.ones(shown.shape[1:], bool), rgb)


def drawn(seed: int, count: int = 26, shape: tuple[int, int] = (320, 320), least: int = 200):
    """A picture of nuclei (1, h, w) and those of them of which ``least`` pixels are seen."""
    drawing = nuclei(seed, count, shape)
    low, high = np.percentile(drawing.pixels, (0.5, 99.8))
    masks = (drawing.instances == i for i in range(1, count + 1))
    found = [Nucleus(m, deepest(m)) for m in masks if m.sum() >= least]
    return np.clip((drawing.pixels - low) / (high - low), 0, 1).astype(np.float32)[None], found


def prompt(points=(), positive=None, box=None, guess=None) -> Prompt:
    places = np.array(points, np.int64).reshape(-1, 2)
    kinds = np.ones(len(places), bool) if positive is None else np.array(positive, bool)
    return Prompt(places, kinds, box, guess)


def best(prediction: Prediction) -> np.ndarray:
    """The mask that the predictor itself thinks best."""
    return prediction.masks[int(prediction.iou.argmax())]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def random_network(seed: int = 0) -> EmbeddedNetwork:
    """The architecture with random weights and random running statistics."""
    torch.manual_seed(seed)
    network = EmbeddedNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()
