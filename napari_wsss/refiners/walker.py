"""Random walker with a prior: hints spread along the image until its edges stop them. No weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.errors import CannotFeed
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Mask, Sample, State

_SMALLEST = 32  # no coarser level is made of a side of so many pixels or fewer
_LEAST = 1e-7  # weight of a prior, also where it says nothing, as outside of what is valid
_LEAK = 1e-4  # an edge never stops a walker for good, so that no region is left without an answer


class Walker:
    """Random walker with prior models, solved from coarse to fine.

    A walker starts at a pixel, steps to a neighbour with a probability that falls with the square of
    the colour difference, and is stopped either by a human-given pixel, whose class it takes, or by
    the pixel's pseudo-label probability. Accepted objects end where the person says: no walker crosses
    their borders. Grady, "Multilabel random walker image segmentation using prior models", CVPR 2005;
    the multilevel Jacobi solver is our own.

    Parameters of ``Params``
    ------------------------
    edge : float
        How strongly colour differences stop a walker (differences are divided by their mean square).
    prior : float
        Weight of the pseudo-label against one neighbour; small lets human-given pixels reach far. Times the
        square of the trust that the label model itself has in the classes that it names there, where it says so.
    alone : float
        The same in an image without human-given pixels, where there is nothing else to hold thin things.
    iterations : int
        Sweeps a level.
    levels : int
        Coarser levels that start the solution.
    """

    @dataclass(frozen=True)
    class Params:
        edge: float = 3.0
        prior: float = 0.003
        alone: float = 0.02
        iterations: int = 40
        levels: int = 4

        def __post_init__(self) -> None:
            if self.edge < 0 or min(self.prior, self.alone) <= 0 or self.iterations < 1 or self.levels < 0:
                raise ValueError("edge and levels must not be negative, prior, alone and iterations must be positive")

    model: ClassVar[str] = ""
    parallel: ClassVar[bool] = True  # calls share nothing that changes

    def __init__(self, params: Any, context: Context) -> None:
        self.params: Walker.Params = params
        self.context = context

    def __call__(self, sample: Sample, state: State) -> Mask:
        """The finished mask: an answer on every valid pixel of an image that has any contrast.

        Raises
        ------
        CannotFeed
            Where the image has no pseudo-labels.
        """
        pseudo, image, target = sample.pseudo, sample.image, sample.target
        if pseudo is None:
            raise CannotFeed(f"{sample.name}: no pseudo-labels to refine")
        if image.is_flat:
            labels = np.where(target.seed > 0, target.seed, pseudo.labels)
            return Mask(np.where(image.valid, labels, 0).astype(np.uint16), notes=("no contrast to walk along",))
        device = torch.device(self.context.device)
        answer = walk(
            torch.as_tensor(pseudo.probabilities.astype(np.float32), device=device),
            torch.as_tensor(target.seed.astype(np.int64), device=device),
            torch.as_tensor(image.channels, device=device),
            torch.as_tensor(image.valid, device=device),
            self.params,
            torch.as_tensor(_accepted(sample), device=device),
            pseudo.trust,
        )
        answer = answer.masked_fill(~torch.as_tensor(np.ascontiguousarray(target.allow), device=device), -1.0)
        best, label = answer.max(0)
        labels = torch.where(best > 0, label + 1, 0).cpu().numpy().astype(np.uint16)
        labels = np.where(target.seed > 0, target.seed, labels)
        return Mask(np.where(image.valid, labels, np.uint16(0)))


def _accepted(sample: Sample) -> Bool:
    """Pixels of the accepted mask. It ends where the person says, while a stroke or a click is a part of a thing."""
    mask = sample.labels.mask
    return np.zeros(sample.image.shape, bool) if mask is None else mask > 0


def walk(
    prior: Tensor,
    seed: Tensor,
    colours: Tensor,
    valid: Tensor,
    params: Walker.Params,
    fenced: Tensor | None = None,
    trust: Sequence[float] = (),
) -> Tensor:
    """Probability that a walker from each pixel ends in each class.

    Parameters
    ----------
    prior : float32 (K, h, w)
        Sums to 1 a pixel.
    seed : int64 (h, w)
        Human-given class ids, 0 = none.
    colours : float32 (c, h, w)
    valid : bool (h, w)
        No walker enters an invalid pixel.
    fenced : bool (h, w), optional
        No walker steps between a fenced pixel and one that is not.
    trust : K floats, or empty
        Of the prior, by class; empty = all alike. In an image without seeds, which has nothing else to go by, all are.

    Returns
    -------
    float32 (K, h, w)
    """
    outside = valid if fenced is None else valid & ~fenced
    hinted = bool(((seed > 0) & outside).any())
    weight = torch.full_like(prior[:1], params.prior if hinted else params.alone)
    if hinted and len(trust):
        believed = torch.as_tensor(trust, dtype=prior.dtype, device=prior.device).square()
        weight = (weight * (believed[:, None, None] * prior).sum(0)).clamp(min=_LEAST)
    yards = torch.stack([outside, valid & ~outside]).float()
    return _level(prior, _one_hot(seed, len(prior)), colours, yards, params, weight, params.levels)


def _one_hot(seed: Tensor, n: int) -> Tensor:
    return F.one_hot(seed, n + 1).movedim(-1, 0)[1:].float()


def _level(
    prior: Tensor, seeds: Tensor, colours: Tensor, yards: Tensor, params: Walker.Params, weight: Tensor, levels: int
) -> Tensor:
    h, w = prior.shape[-2:]
    if levels and min(h, w) > _SMALLEST:
        coarse = ((h + 1) // 2, (w + 1) // 2)
        ours = (_pooled(yards, coarse) > 0.5).float()
        start = _level(
            _pooled(prior, coarse),
            sum((_unanimous(seeds * yard, coarse) * our for yard, our in zip(yards, ours)), torch.zeros(())),
            _pooled(colours, coarse),
            ours,
            params,
            2 * _pooled(weight, coarse),  # half as many steps cross the same distance
            levels - 1,
        )
        start = F.interpolate(start[None], (h, w), mode="bilinear", align_corners=False)[0]
    else:
        start = prior
    return _swept(start, prior, seeds, _conductances(colours, yards, params.edge), weight, params.iterations)


def _swept(
    start: Tensor, prior: Tensor, seeds: Tensor, steps: Sequence[Tensor], weight: Tensor, iterations: int
) -> Tensor:
    """Jacobi sweeps: each pixel becomes the mean of its neighbours and of its prior, seeds stay.

    Written in place between two buffers with a frame of zeros: this is where the time of refining goes.
    """
    held = seeds.sum(0, keepdim=True) > 0
    share = torch.where(held, 0.0, 1 / (steps[0] + steps[1] + steps[2] + steps[3] + weight))
    above, below, left, right = (step * share for step in steps)
    own = torch.where(held, seeds, weight * prior * share)
    now = F.pad(torch.where(held, seeds, start), (1, 1, 1, 1))
    then = torch.zeros_like(now)
    for _ in range(iterations):
        into = then[:, 1:-1, 1:-1]
        torch.addcmul(own, above, now[:, :-2, 1:-1], out=into)
        into.addcmul_(below, now[:, 2:, 1:-1])
        into.addcmul_(left, now[:, 1:-1, :-2])
        into.addcmul_(right, now[:, 1:-1, 2:])
        now, then = then, now
    return now[:, 1:-1, 1:-1]


def _pooled(values: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.adaptive_avg_pool2d(values[None], shape)[0]


def _unanimous(seeds: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coarser seeds; a coarse pixel in which classes differ is none."""
    coarse = F.adaptive_max_pool2d(seeds[None], shape)[0]
    return coarse * (coarse.sum(0, keepdim=True) == 1)


def _conductances(colours: Tensor, yards: Tensor, edge: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How easily a walker steps up, down, left and right from each pixel, float32 (h, w) each.

    ``yards`` (n, h, w): no walker leaves the one in which it starts.
    """
    down = (colours[:, 1:] - colours[:, :-1]).square().sum(0)
    right = (colours[:, :, 1:] - colours[:, :, :-1]).square().sum(0)
    both_down, both_right = (yards[:, 1:] * yards[:, :-1]).sum(0), (yards[:, :, 1:] * yards[:, :, :-1]).sum(0)
    pairs = (both_down.sum() + both_right.sum()).clamp(min=1)
    scale = ((down * both_down).sum() + (right * both_right).sum()) / pairs + 1e-8
    down = (torch.exp(-edge * down / scale) + _LEAK) * both_down
    right = (torch.exp(-edge * right / scale) + _LEAK) * both_right
    return F.pad(down, (0, 0, 1, 0)), F.pad(down, (0, 0, 0, 1)), F.pad(right, (1, 0)), F.pad(right, (0, 1))


METHOD = Walker
