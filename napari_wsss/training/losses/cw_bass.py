"""Confidence-weighted, boundary-aware self-training (CW-BASS), with the saturation-aware gate of its second version."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.training.losses.partial import pixel_cross_entropy

STRICT = 0.95
_LOWEST, _HIGHEST = 0.3, 0.95
_ENOUGH = 200  # held-out pixels of a class for a gate of its own
_KEEP = 0.99


def first_threshold(mean_confidence: float) -> float:
    """The first version's "dynamic" threshold; it moves between 0.300 and 0.337 only."""
    return min(max(0.6 / (1 + math.exp(-0.5 * (mean_confidence - 0.5))), 0.3), 0.8)


def wilson_lower(right: float, total: float, z: float = 1.96) -> float:
    """Lower end of Wilson's interval of a share; 0 without trials."""
    if total <= 0:
        return 0.0
    share = right / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - spread) / (1 + z * z / total)


@dataclass
class Gate:
    """How sure the teacher must be, a class: strict where held-out pixels show that it can be trusted, else a floor.

    Attributes
    ----------
    right, total : list of float
        A class, held-out pixels that the teacher is at least 0.95 sure of: those that are right, and all.
    running : float
        Running mean of the teacher's confidence on unlabelled pixels.
    """

    classes: int
    right: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    running: float = 0.5

    def __post_init__(self) -> None:
        self.right = self.right or [0.0] * self.classes
        self.total = self.total or [0.0] * self.classes

    def see(self, mean_confidence: float) -> None:
        self.running = _KEEP * self.running + (1 - _KEEP) * mean_confidence

    @property
    def floor(self) -> float:
        return min(max(STRICT * self.running, _LOWEST), _HIGHEST)

    def thresholds(self) -> list[float]:
        """One a class; a class with fewer than 200 held-out pixels goes by all of them."""
        everyone = wilson_lower(sum(self.right), sum(self.total)) >= STRICT
        own = [
            wilson_lower(r, n) >= STRICT if n >= _ENOUGH else everyone
            for r, n in zip(self.right, self.total, strict=True)
        ]
        return [STRICT if trusted else self.floor for trusted in own]


def boundary(labels: Tensor) -> Tensor:
    """bool (b, h, w): pixels with a 3 x 3 neighbour of another label (Sobel of the one-hot map is not zero)."""
    padded = F.pad(labels[:, None].float(), (1, 1, 1, 1), mode="replicate")
    highest = F.max_pool2d(padded, 3, 1)
    lowest = -F.max_pool2d(-padded, 3, 1)
    return (highest != lowest)[:, 0]


def confidence_weighted(
    logits: Tensor, labels: Tensor, confidence: Tensor, keep: Tensor, *, gamma: float = 1.0, decay: float = 0.9
) -> Tensor:
    """sum of (decay * c)^gamma * CE over kept pixels / their number.

    Parameters
    ----------
    labels : int (b, h, w), 1..K
    confidence : (b, h, w)
    keep : bool (b, h, w)
        Above the threshold, and inside the image.
    """
    ce = pixel_cross_entropy(logits, labels)
    weight = (decay * confidence) ** gamma
    return (weight * ce * keep).sum() / keep.sum().clamp_min(1)


def at_boundaries(logits: Tensor, labels: Tensor, keep: Tensor) -> Tensor:
    """Half the mean cross-entropy over kept pixels at boundaries of the pseudo-labels."""
    chosen = boundary(labels) & keep
    return 0.5 * (pixel_cross_entropy(logits, labels) * chosen).sum() / chosen.sum().clamp_min(1)


def sure(p: Tensor, thresholds: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Labels 1..K, their confidence, and where it exceeds its class's threshold."""
    confidence, index = p.max(1)
    limit = torch.tensor(thresholds, device=p.device, dtype=p.dtype)[index]
    return index + 1, confidence, confidence > limit
