"""Views of a tile: flips and turns, colours, blur, noise; and whether a strong view still shows what it showed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

_KEPT = 0.5  # of each class that the teacher saw, at least


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Tiles: x (b, c, s', s'); places (b, 3, s', s'); inside, seed, noisy, sureness (b, s, s); allow (b, K, s, s)."""

    x: Tensor
    places: Tensor
    inside: Tensor
    seed: Tensor
    allow: Tensor
    noisy: Tensor
    sureness: Tensor

    def to(self, device: str) -> Batch:
        return replace(self, **{name: getattr(self, name).to(device) for name in self.__slots__})


def turned(batch: Batch, rng: np.random.Generator, upright: bool) -> Batch:
    """Each tile flipped at random and, where nothing stands upright, turned by quarters."""
    count = len(batch.x)
    mirrored = rng.random(count) < 0.5
    quarters = np.zeros(count, int) if upright else rng.integers(4, size=count)

    def one(name: str) -> Tensor:
        tiles = [
            torch.rot90(v2.functional.horizontal_flip(tile) if flip else tile, int(turn), (-2, -1))
            for tile, flip, turn in zip(getattr(batch, name), mirrored, quarters, strict=True)
        ]
        return torch.stack(tiles)

    return replace(batch, **{name: one(name) for name in batch.__slots__})


def recoloured(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and, of three channels, saturation and hue; (b, c, h, w) in [0, 1]."""
    jitter = v2.ColorJitter(strength, strength, *((strength, strength / 2) if x.shape[1] == 3 else ()))
    tiles = [jitter(tile) if x.shape[1] in (1, 3) else _each_channel(jitter, tile) for tile in x]
    gamma = np.exp(rng.uniform(-strength, strength, len(tiles)))
    return torch.stack([tile.clamp_min(1e-6) ** float(g) for tile, g in zip(tiles, gamma, strict=True)])


def _each_channel(jitter: v2.Transform, tile: Tensor) -> Tensor:
    changed: Tensor = jitter(tile[:, None])[:, 0]
    return changed


def strong(x: Tensor, rng: np.random.Generator) -> Tensor:
    """UniMatch's strong view of an image: colours 0.5 (p 0.8), grey (p 0.2, three channels), blur (p 0.5)."""
    views = []
    for tile in x:
        one = tile
        if rng.random() < 0.8:
            one = recoloured(one[None], 0.5, rng)[0]
        if len(one) == 3 and rng.random() < 0.2:
            one = v2.functional.rgb_to_grayscale(one, 3)
        if rng.random() < 0.5:
            one = v2.functional.gaussian_blur(one, [9, 9], [float(rng.uniform(0.1, 2.0))])
        views.append(one)
    return torch.stack(views)


def noisy_features(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The strong view of normalised features: Gaussian noise of a tenth to a half of their deviation."""
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), np.float32)).to(x)
    return x + float(rng.uniform(0.1, 0.5)) * noise


def content_kept(weak: Tensor, viewed: Tensor, sure: Tensor) -> Tensor:
    """bool (b,): the teacher still finds in the strong view at least half of each class that it surely saw before.

    Parameters
    ----------
    weak, viewed : (b, K, h, w)
        The teacher's probabilities on both views, before any mixing.
    sure : bool (b, h, w)
        Where the teacher was sure of the weak view; a view without such a pixel is kept.
    """
    before, after = weak.argmax(1), viewed.argmax(1)
    kept = torch.ones(len(weak), dtype=torch.bool, device=weak.device)
    for k in range(weak.shape[1]):
        mine = (before == k) & sure
        seen = mine.sum((1, 2))
        found = (mine & (after == k)).sum((1, 2))
        kept &= (found >= _KEPT * seen) | (seen == 0)
    return kept
