"""What the network is asked for: exact masks cost nothing, the best of three counts, opinions are of the real IoU."""

from __future__ import annotations

import pytest
import torch

from napari_wsss.pretraining.losses import OTHERS, mask_loss, overlap, total_loss


def disc(radius: float, size: int = 48) -> torch.Tensor:
    place = torch.arange(size) - size / 2 + 0.5
    return (place[:, None] ** 2 + place**2 < radius**2).float()[None, None]


def logits_of(*masks: torch.Tensor, sure: float = 12.0) -> torch.Tensor:
    return torch.cat([sure * (2 * m - 1) for m in masks], 1)


def test_perfect_logits_cost_nothing_and_the_opposite_much() -> None:
    truth = disc(12)
    assert float(mask_loss(logits_of(truth), truth)) < 0.01
    assert float(mask_loss(-logits_of(truth), truth)) > 5


def test_a_larger_error_costs_more_and_small_objects_as_much_as_large_ones() -> None:
    truth = disc(12)
    costs = [float(mask_loss(logits_of(disc(radius)), truth)) for radius in (12, 13, 15, 20)]
    assert costs == sorted(costs)
    halves = []
    for radius in (5, 20):
        truth = disc(radius)
        half = truth.clone()
        half[..., :24] = 0
        halves.append(float(mask_loss(logits_of(half), truth)))
    assert halves[0] == pytest.approx(halves[1], rel=0.1)


def test_overlap_is_the_iou() -> None:
    one, other = disc(10), disc(14)
    both = torch.cat([logits_of(one), logits_of(other)], 1)
    assert overlap(both, one)[0].tolist() == pytest.approx([1, float(one.sum() / other.sum())])
    assert overlap(logits_of(one * 0), one * 0).tolist() == [[0]]  # nothing found of nothing: no division by zero


def test_of_three_masks_the_best_counts() -> None:
    truth = disc(12)
    right, wrong = logits_of(truth), logits_of(disc(20))

    def cost(*others: torch.Tensor) -> float:
        logits = torch.cat([right, *others], 1)
        return float(total_loss(logits, overlap(logits, truth), truth))

    one_right, none_right = cost(right, wrong, wrong), cost(wrong, wrong, wrong)
    share = float(mask_loss(wrong, truth))
    assert one_right == pytest.approx(OTHERS * share * 2 / 3, abs=0.02)
    assert none_right == pytest.approx(share, abs=0.02)
    assert cost(wrong, right, wrong) == pytest.approx(one_right)
    assert cost(right, right, right) < 0.02


def test_the_first_mask_has_to_be_right_itself() -> None:
    truth = disc(12)
    right, wrong = logits_of(truth), logits_of(disc(20))
    logits = torch.cat([wrong, right, right, right], 1)
    assert float(total_loss(logits, overlap(logits, truth), truth)) > 0.9 * float(mask_loss(wrong, truth))


def test_an_opinion_is_of_the_real_iou_and_does_not_move_the_masks() -> None:
    truth = disc(12)
    logits = logits_of(*[disc(radius) for radius in (12, 14, 16, 18)]).requires_grad_()
    real = overlap(logits, truth).detach()
    honest, proud = (total_loss(logits, iou, truth) for iou in (real, torch.ones_like(real)))
    assert float(honest.detach()) < float(proud.detach())
    assert float((proud - honest).detach()) == pytest.approx(2 * float(((1 - real) ** 2).mean()), rel=1e-4)
    gradients = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (honest, proud)]
    assert torch.equal(*gradients)


def test_shares_of_cells_are_learnt_as_shares() -> None:
    """At an edge cell of one half, a logit of 0 costs less than a sure one."""
    truth = torch.full((1, 1, 8, 8), 0.5)
    assert float(mask_loss(torch.zeros(1, 1, 8, 8), truth)) < float(mask_loss(torch.full((1, 1, 8, 8), 8.0), truth))
