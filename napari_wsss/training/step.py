"""One step: views of labelled and unlabelled tiles, the losses that are switched on, and the update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.models.placed import own
from napari_wsss.trained import located, normalise
from napari_wsss.training.augmentation import Batch, content_kept, noisy_features, recoloured, strong, turned
from napari_wsss.training.learner import Learner
from napari_wsss.training.losses import agmm, allowed, cw_bass, hardness, partial, unimatch
from napari_wsss.training.settings import Training
from napari_wsss.training.teacher import follow, weight_of_past
from napari_wsss.training.team import ALONE, Alone
from napari_wsss.training.tiles import Tile

_WARM = 0.05  # of the run, while the rate rises
_SETTLED = 0.2  # of the run, after which AGMM's responses follow the probabilities too
_KNOWING = 0.2  # of the run, after which the student may doubt pseudo-labels
_LONGEST = 1.0  # norm of a gradient


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a run's steps have in common.

    Attributes
    ----------
    upright : bool
        Tiles are not turned: the classes lie at different heights.
    class_weights : float (K,) or None
    """

    settings: Training
    device: str
    upright: bool
    class_weights: Tensor | None


def rate_at(settings: Training, progress: float) -> float:
    """Learning rate: rises over the first twentieth, then falls as a cosine to a hundredth."""
    if progress < _WARM:
        return settings.rate * (0.1 + 0.9 * progress / _WARM)
    along = min(1.0, (progress - _WARM) / (1 - _WARM))
    return settings.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * along)) / 2)


def batch_of(tiles: Sequence[Tile]) -> Batch:
    """Tiles of one size as tensors."""
    return Batch(*(torch.from_numpy(np.stack([getattr(t, name) for t in tiles])) for name in Batch.__slots__))


def do_step(
    learner: Learner,
    teaching: Teaching,
    labelled: Batch | None,
    bare: Batch | None,
    progress: float,
    rng: np.random.Generator,
    team: Alone = ALONE,
) -> dict[str, float]:
    """Change the networks by one step; the losses by name.

    Parameters
    ----------
    labelled : Batch or None
        None = this process has no tile in this step, others of its team have.
    bare : Batch or None
        Tiles whose labels are not looked at; None = nothing is learnt without labels in this step.
    progress : float in [0, 1]
        Of the run.
    """
    learner.optimiser.zero_grad(set_to_none=True)
    losses = {} if labelled is None else _losses(learner, teaching, labelled, bare, progress, rng)
    weight = 0
    if labelled is not None:
        total = torch.stack(list(losses.values())).sum()
        if torch.isfinite(total):
            torch.autograd.backward(total)
            weight = len(labelled.x)
    if team.average([p for group in learner.optimiser.param_groups for p in group["params"]], weight):
        _update(learner, teaching, progress)
    return {name: float(value.detach()) for name, value in losses.items()}


def _update(learner: Learner, teaching: Teaching, progress: float) -> None:
    for group in learner.optimiser.param_groups:
        group["lr"] = rate_at(teaching.settings, progress) * group["pace"]
    torch.nn.utils.clip_grad_norm_(learner.student.parameters(), _LONGEST)
    learner.optimiser.step()
    follow(learner.teacher, learner.student, weight_of_past(learner.step, teaching.settings.ema))


def _losses(
    learner: Learner, teaching: Teaching, labelled: Batch, bare: Batch | None, progress: float, rng: np.random.Generator
) -> dict[str, Tensor]:
    batch = turned(scaled(labelled.to(teaching.device), learner, teaching), rng, teaching.upright)
    image = learner.recipe.inputs == "image"
    x = normalise(recoloured(batch.x, 0.25, rng) if image else batch.x, learner.recipe)
    x = located(x, batch.places, learner.recipe)
    learner.student.train()
    with _mixed(teaching.device):
        seen = learner.student(_laid_out(x), (batch.seed.shape[-2], batch.seed.shape[-1]))
        losses = _of_labels(learner, teaching, seen, batch, progress)
        if bare is not None:
            other = turned(scaled(bare.to(teaching.device), learner, teaching), rng, teaching.upright)
            losses |= _of_bare(learner, teaching, other, rng)
    return losses


def _of_labels(learner: Learner, teaching: Teaching, seen: Any, batch: Batch, progress: float) -> dict[str, Tensor]:
    """Losses of what a person said, and of pseudo-labels where a person said nothing."""
    settings, logits = teaching.settings, seen.logits.float()
    labels, weights = _told(batch, logits, settings, progress)
    losses = {"cross_entropy": partial.cross_entropy(logits, labels, teaching.class_weights, weights)}
    if learner.hardness is not None:
        losses |= _hard(learner, seen.fused, logits, batch.seed)
    if settings.dice:
        losses["dice"] = settings.dice * partial.dice(logits, labels)
    if settings.allowed and not batch.allow.all():
        losses["allowed"] = settings.allowed * allowed.ruled_out(logits, batch.allow, batch.inside)
    if settings.gaussian and ((batch.seed == 0) & batch.inside).any():
        of_mixture = agmm.gaussian(seen.fused, logits, batch.seed, batch.inside, progress >= _SETTLED)
        losses["gaussian"] = settings.gaussian * of_mixture
    return losses


def _told(batch: Batch, logits: Tensor, settings: Training, progress: float) -> tuple[Tensor, Tensor | None]:
    """Labels and how much each weighs: 1 what a person gave; pseudo-labels elsewhere by the square of their sureness.

    Both are in one mean. In a mean of its own the little that strokes cover, the middles of things, would weigh as
    much as all the rest, and the borders between things nothing. Once the student knows something, a pseudo-label
    that it doubts weighs less.
    """
    extra = batch.noisy * (batch.seed == 0) * batch.inside
    if not settings.noisy or not extra.any():
        return batch.seed, None
    weights = settings.noisy * batch.sureness**2
    if settings.doubt and progress >= _KNOWING:
        weights = weights * partial.doubted(logits, extra, settings.doubt)
    return batch.seed + extra, torch.where(batch.seed > 0, torch.ones_like(weights), weights)


def _hard(learner: Learner, fused: Tensor, logits: Tensor, seed: Tensor) -> dict[str, Tensor]:
    assert learner.hardness is not None
    weights = hardness.hardness(learner.hardness(fused.float(), (seed.shape[-2], seed.shape[-1])), seed > 0)
    ce = partial.pixel_cross_entropy(logits, seed)
    return {
        "hard_pixels": hardness.segmentation_loss(weights, ce),
        "hardness": hardness.hardness_loss(weights, ce),
    }


def _of_bare(learner: Learner, teaching: Teaching, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
    """Losses of pixels that nobody labelled: the teacher answers a weak view, the student a strong one."""
    settings, size = teaching.settings, (batch.inside.shape[-2], batch.inside.shape[-1])
    image = learner.recipe.inputs == "image"
    weak = normalise(batch.x, learner.recipe)
    views = 2 if settings.unlabelled == "unimatch" else 1
    changed = [
        normalise(strong(batch.x, rng), learner.recipe) if image else noisy_features(weak, rng) for _ in range(views)
    ]
    weak, *changed = (located(view, batch.places, learner.recipe) for view in (weak, *changed))
    with torch.no_grad():
        p = learner.teacher(_laid_out(weak), size).logits.float().softmax(1)
        labels, confidence, sure = cw_bass.sure(p, learner.gate.thresholds())
        learner.gate.see(float(confidence[batch.inside].mean()) if batch.inside.any() else 0.0)
        kept = [_kept(learner, teaching, p, view, sure & batch.inside) for view in changed]
    targets = [unimatch.Target(labels, confidence, batch.inside & k[:, None, None]) for k in kept]
    mixed = [
        unimatch.cutmix(view, target, unimatch.mixed_boxes(len(view), size, rng))
        for view, target in zip(changed, targets, strict=True)
    ]
    if settings.unlabelled == "unimatch":
        return {"consistency": settings.unlabelled_weight * _consistency(learner, mixed, size, rng)}
    view, target = mixed[0]
    logits = learner.student(_laid_out(view), size).logits.float()
    thresholds = torch.tensor(learner.gate.thresholds(), device=logits.device)
    keep = target.inside & (target.confidence > thresholds[target.labels - 1])
    return {
        "self_training": settings.unlabelled_weight
        * cw_bass.confidence_weighted(logits, target.labels, target.confidence, keep),
        "boundary": settings.unlabelled_weight * cw_bass.at_boundaries(logits, target.labels, keep),
    }


def _kept(learner: Learner, teaching: Teaching, p: Tensor, view: Tensor, sure: Tensor) -> Tensor:
    """bool (b,): views that still show what they showed."""
    if not teaching.settings.content_check:
        return torch.ones(len(p), dtype=torch.bool, device=p.device)
    after = learner.teacher(_laid_out(view), (p.shape[-2], p.shape[-1])).logits.float().softmax(1)
    return content_kept(p, after, sure)


def _consistency(
    learner: Learner, mixed: list[tuple[Tensor, unimatch.Target]], size: tuple[int, int], rng: np.random.Generator
) -> Tensor:
    """Half the sum over two strong views, each with one of two complementary sets of channels."""
    width = int(own(learner.student).drop_width)
    drops = unimatch.complementary_drops(len(mixed[0][0]), width, rng)
    each = []
    for (view, target), drop in zip(mixed, drops, strict=True):
        logits = learner.student(_laid_out(view), size, drop.to(view.device)).logits.float()
        each.append(unimatch.consistency(logits, target))
    return torch.stack(each).mean()


def scaled(batch: Batch, learner: Learner, teaching: Teaching) -> Batch:
    """Images cut larger or smaller than a tile brought to its side, labels by the nearest pixel."""
    side = teaching.settings.tile
    if learner.recipe.inputs != "image" or batch.x.shape[-1] == side:
        return batch

    def nearest(maps: Tensor) -> Tensor:
        planes = maps if maps.ndim == 4 else maps[:, None]
        changed = F.interpolate(planes.float(), (side, side), mode="nearest-exact").to(maps.dtype)
        return changed if maps.ndim == 4 else changed[:, 0]

    x = F.interpolate(batch.x, (side, side), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    return Batch(x, *(nearest(getattr(batch, name)) for name in Batch.__slots__[1:]))


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _mixed(device: str) -> Any:
    return torch.autocast(device.partition(":")[0], torch.bfloat16) if in_half(device) else nullcontext()


def in_half(device: str) -> bool:
    """Whether steps go in half precision: where the processor multiplies bfloat16 (a CPU is then a third faster)."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.startswith("cpu") and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
