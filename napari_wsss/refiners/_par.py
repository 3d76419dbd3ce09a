"""From refined class probabilities to labels, with what a person said put back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_wsss.types import Labels, WeakTarget

_DECIDED = 1e-3  # the winner's lead; below it, nothing speaks for any class


def clamped(probabilities: Tensor, target: WeakTarget) -> tuple[Tensor, Tensor]:
    """Probabilities (K, h, w) with forbidden classes at 0 and human pixels at their class; and those pixels."""
    allow = torch.tensor(target.allow, device=probabilities.device)
    seed = torch.tensor(target.seed.astype(np.int64), device=probabilities.device)
    human = seed > 0
    known = torch.nn.functional.one_hot(seed.clamp_min(1) - 1, len(probabilities)).permute(2, 0, 1)
    kept = torch.where(human, known.to(probabilities.dtype), probabilities * allow)
    return kept / kept.sum(0).clamp_min(1e-9), human


def decided(probabilities: Tensor, target: WeakTarget, valid: Tensor) -> Labels:
    """Most probable allowed class of each valid pixel, 0 where none leads; human pixels as the person said."""
    allow = torch.tensor(target.allow, device=probabilities.device)
    possible = probabilities * allow
    first = possible.topk(min(2, len(possible)), 0)
    lead = first.values[0] - (first.values[1] if len(possible) > 1 else 0)
    labels = torch.where(valid & (lead > _DECIDED), first.indices[0] + 1, 0)
    answer: Labels = labels.to(torch.int32).cpu().numpy().astype(np.uint16)
    human = target.seed > 0
    answer[human] = target.seed[human]
    return answer
