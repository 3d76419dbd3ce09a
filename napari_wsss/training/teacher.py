"""The teacher: a running mean of the student, buffers included."""

from __future__ import annotations

import copy

import torch
from torch import nn


def teacher_of(student: nn.Module) -> nn.Module:
    """A copy in evaluation mode that no gradient reaches."""
    return copy.deepcopy(student).eval().requires_grad_(False)


def weight_of_past(step: int, most: float) -> float:
    """min(step / (step + 10), most): 0 at the first step, so that random weights do not linger.

    The published 1 - 1 / (step + 1) makes the teacher the mean of all students so far until step 1 / (1 - most), which
    in a run of a hundred steps is never left; here the teacher looks back over a tenth of the run.
    """
    return min(step / (step + 10), most)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, past: float) -> None:
    """teacher <- past * teacher + (1 - past) * student; whole numbers are copied."""
    own = student.state_dict()
    for name, kept in teacher.state_dict().items():
        if kept.is_floating_point():
            kept.lerp_(own[name], 1 - past)
        else:
            kept.copy_(own[name])
