"""Weak-to-strong consistency (UniMatch V2): a strong view must be answered as the teacher answers the weak one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_wsss.training.losses.partial import pixel_cross_entropy

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False, slots=True)
class Target:
    """What a view should be answered: labels 1..K, the teacher's confidence, and which pixels count at all."""

    labels: Tensor
    confidence: Tensor
    inside: Tensor


def consistency(logits: Tensor, target: Target, threshold: float = CONFIDENCE) -> Tensor:
    """CE where the teacher is at least so sure, divided by all pixels inside (small at first, as intended)."""
    kept = (target.confidence >= threshold) & target.inside
    return (pixel_cross_entropy(logits, target.labels) * kept).sum() / target.inside.sum().clamp_min(1)


def mixed_boxes(
    count: int, size: tuple[int, int], rng: np.random.Generator, share: float = 0.5
) -> list[tuple[int, int, int, int] | None]:
    """CutMix boxes (y0, x0, y1, x1): 0.02 to 0.4 of the tile, one side 0.3 to 1 / 0.3 of the other; None = no mix."""
    boxes: list[tuple[int, int, int, int] | None] = []
    for _ in range(count):
        if rng.random() >= share:
            boxes.append(None)
            continue
        area = rng.uniform(0.02, 0.4) * size[0] * size[1]
        ratio = float(np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3))))
        height = min(size[0], max(1, round(float(np.sqrt(area * ratio)))))
        width = min(size[1], max(1, round(float(np.sqrt(area / ratio)))))
        y, x = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
        boxes.append((y, x, y + height, x + width))
    return boxes


def cutmix(x: Tensor, target: Target, boxes: list[tuple[int, int, int, int] | None]) -> tuple[Tensor, Target]:
    """Boxes of the reversed batch laid over image, labels, confidence and mask alike.

    ``x`` (b, c, h', w') may lie on a coarser grid than the labels; boxes are then rounded to it.
    """
    step = target.labels.shape[-1] / x.shape[-1]
    x = x.clone()
    maps = [t.clone() for t in (target.labels, target.confidence, target.inside)]
    other = x.flip(0).clone()
    others = [t.flip(0).clone() for t in maps]
    for i, box in enumerate(boxes):
        if box is None:
            continue
        y0, x0, y1, x1 = (round(v / step) for v in box)
        x[i, :, y0:y1, x0:x1] = other[i, :, y0:y1, x0:x1]
        part = np.s_[i, round(y0 * step) : round(y1 * step), round(x0 * step) : round(x1 * step)]
        for mine, theirs in zip(maps, others, strict=True):
            mine[part] = theirs[part]
    return x, Target(*maps)


def complementary_drops(count: int, channels: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Two masks (b, d) of channels with 0 or 2 whose sum is 2; half of the samples keep all (1 and 1)."""
    first = 2.0 * (rng.random((count, channels)) < 0.5)
    whole = rng.permutation(count) < count // 2
    first[whole] = 1.0
    mask = torch.from_numpy(first.astype(np.float32))
    return mask, 2.0 - mask
