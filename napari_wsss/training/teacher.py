"""The teacher: a running mean of the student, buffers included."""

from __future__ import annotations

import copy

import torch
from torch import nn


def teacher_of(student: nn.Module) -> nn.Module:
    """A copy in evaluation mode that no gradient reaches."""
    return copy.deepcopy(student).eval().requires_grad_(False)


def weight_of_past(step: int, most: float) -> float:
    """min(1 - 1 / (step + 1), most): 0 at the first step, so that random weights do not linger."""
    return min(1 - 1 / (step + 1), most)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, past: float) -> None:
    """teacher <- past * teacher + (1 - past) * student; whole numbers are copied."""
    own = student.state_dict()
    for name, kept in teacher.state_dict().items():
        if kept.is_floating_point():
            kept.lerp_(own[name], 1 - past)
        else:
            kept.copy_(own[name])
