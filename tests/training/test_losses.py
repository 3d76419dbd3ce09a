"""The losses against their oracles (methods.md B.3 T10, D.1, D.2, D.6)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.training.losses import agmm, allowed, cw_bass, hardness, partial, unimatch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def logits_like(b=2, k=3, h=6, w=7):
    return torch.randn(b, k, h, w, requires_grad=True)


# --------------------------------------------------------------------------- partial


def test_pixels_that_nobody_labelled_change_nothing():
    logits, labels = logits_like(), torch.zeros(2, 6, 7, dtype=torch.long)
    labels[0, 1, 2], labels[1, 3, 3] = 2, 1
    loss = partial.cross_entropy(logits, labels) + partial.dice(logits, labels)
    loss.backward()
    known = labels > 0
    assert logits.grad.movedim(1, -1)[~known].abs().max() == 0
    assert logits.grad.movedim(1, -1)[known].abs().min() > 0


def test_no_label_at_all_gives_nought():
    logits, labels = logits_like(), torch.zeros(2, 6, 7, dtype=torch.long)
    assert partial.cross_entropy(logits, labels) == 0
    assert partial.dice(logits, labels) == 0


def test_the_right_answer_costs_nothing_and_the_wrong_one_much():
    labels = torch.randint(1, 4, (2, 6, 7))
    right = torch.nn.functional.one_hot(labels - 1, 3).movedim(-1, 1).float() * 40
    wrong = right.roll(1, 1)
    assert partial.cross_entropy(right, labels) < 1e-6
    assert partial.dice(right, labels) < 1e-6
    assert partial.cross_entropy(wrong, labels) > 30
    assert partial.dice(wrong, labels) > 0.5


@pytest.mark.parametrize("q", [0.3, 0.5, 1.0])
def test_doubted_pixels_have_the_gradient_of_generalised_cross_entropy(q):
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.arange(32).view(2, 4, 4) % 4
    ce = partial.doubted(logits, labels, q) * partial.pixel_cross_entropy(logits, labels)
    (ours,) = torch.autograd.grad(ce.sum(), logits)
    p = logits.softmax(1).gather(1, (labels - 1).clamp_min(0)[:, None])[:, 0]
    (wanted,) = torch.autograd.grad(((1 - p**q) / q)[labels > 0].sum(), logits)
    assert torch.allclose(ours, wanted, atol=1e-6)


def test_rare_classes_weigh_more_but_not_without_bound():
    weights = partial.class_weights(torch.tensor([10_000, 400, 1, 0]))
    assert weights[0] < weights[1] < weights[2] <= 10 * weights[0] + 1e-5
    assert torch.isfinite(weights).all()
    share = torch.tensor([10_000, 400, 1]) / 10_401
    assert (weights[:3] * share).sum() == pytest.approx(1)


def test_only_ruled_out_classes_are_pushed_down():
    logits = logits_like()
    allow, inside = torch.ones(2, 3, 6, 7, dtype=torch.bool), torch.ones(2, 6, 7, dtype=torch.bool)
    assert allowed.ruled_out(logits, allow, inside) == 0
    allow[:, 1] = False
    inside[:, :, 0] = False
    p = logits.softmax(1)[:, 1][inside]
    assert allowed.ruled_out(logits, allow, inside).item() == pytest.approx(-(1 - p + 1e-6).log().mean().item())


# --------------------------------------------------------------------------- AGMM


def mixture_of(seed=0):
    torch.manual_seed(seed)
    features = torch.randn(2, 5, 6, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(2, 6, 6, dtype=torch.long)
    labels[0, 0, 0], labels[0, 3, 3], labels[1, 2, 2], labels[1, 4, 1] = 1, 2, 1, 2
    return features, labels


def test_the_response_is_one_at_a_prototype_and_nought_for_absent_classes():
    features, labels = mixture_of()
    mixture = agmm.prototypes(features, labels, 3)
    inside = torch.ones(2, 6, 6, dtype=torch.bool)
    inside[1, 5] = False
    r, _ = agmm.responses(features, mixture, torch.full((2, 3, 6, 6), 1 / 3, dtype=torch.float64), (6, 6), inside)
    assert r[0, 0, 0, 0].item() == pytest.approx(1)
    assert r[0, 1, 3, 3].item() == pytest.approx(1)
    assert r[:, 2].abs().max() == 0
    assert r[1, :, 5].abs().max() == 0


def test_an_adaptive_scale_does_not_mind_larger_features_and_a_fixed_one_does():
    features, labels = mixture_of()
    inside, p = torch.ones(2, 6, 6, dtype=torch.bool), torch.full((2, 2, 6, 6), 0.5, dtype=torch.float64)

    def response(factor, scale):
        grown = features * factor
        return agmm.responses(grown, agmm.prototypes(grown, labels, 2), scale, (6, 6), inside)[0]

    assert torch.allclose(response(1, p), response(10, p))
    assert not torch.allclose(response(1, None), response(10, None))


def test_gradients_of_the_gaussian_terms_are_those_of_finite_differences():
    features, labels = mixture_of()
    logits = torch.randn(2, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    inside = torch.ones(2, 6, 6, dtype=torch.bool)
    fixed = torch.ones(2, 2, dtype=torch.float64)

    def terms(f, lo):
        mixture = agmm.prototypes(f, labels, 2)
        r, _ = agmm.responses(f, mixture, None, (6, 6), inside)
        p = lo.softmax(1)
        return (
            agmm.agreement(r, p, mixture.present, inside),
            agmm.answers(r, labels, mixture.present),
            agmm.separation(mixture, fixed),
        )

    assert torch.autograd.gradcheck(terms, (features, logits), eps=1e-5, atol=1e-4)


def test_separation_moves_prototypes_apart():
    features, labels = mixture_of()

    def gap(f):
        means = agmm.prototypes(f, labels, 2).means.mean(0)
        return (means[0] - means[1]).abs().mean()

    loss = agmm.separation(agmm.prototypes(features, labels, 2), torch.ones(2, 2, dtype=torch.float64))
    loss.backward()
    assert gap(features - 0.5 * features.grad) > gap(features)


def test_before_it_is_settled_the_response_gets_no_gradient_of_the_agreement():
    features, labels = mixture_of()
    logits = torch.randn(2, 2, 6, 6)
    inside = torch.ones(2, 6, 6, dtype=torch.bool)
    (early,) = torch.autograd.grad(agmm.gaussian(features.float(), logits, labels, inside, False), features)
    (late,) = torch.autograd.grad(agmm.gaussian(features.float(), logits, labels, inside, True), features)
    assert not torch.allclose(early, late)


# --------------------------------------------------------------------------- CW-BASS


def test_the_first_threshold_hardly_moves():
    assert cw_bass.first_threshold(1) > cw_bass.first_threshold(0)
    assert cw_bass.first_threshold(0.5) == pytest.approx(0.3)
    assert cw_bass.first_threshold(1) == pytest.approx(0.337, abs=1e-3)


def test_the_gate_is_strict_where_the_held_out_pixels_are_right_and_a_floor_elsewhere():
    gate = cw_bass.Gate(3, right=[1000.0, 600.0, 10.0], total=[1000.0, 1000.0, 10.0], running=0.8)
    assert gate.thresholds()[0] == 0.95
    assert gate.thresholds()[1] == pytest.approx(0.95 * 0.8)
    assert gate.thresholds()[2] == pytest.approx(0.95 * 0.8)  # too few of its own; all together are not trusted
    assert cw_bass.Gate(1, [1000.0], [1000.0]).thresholds() == [0.95]
    assert cw_bass.Gate(1, running=0.1).floor == 0.3
    assert cw_bass.wilson_lower(95, 100) < 0.95 < cw_bass.wilson_lower(990, 1000)


def test_without_confidence_and_decay_it_is_the_plain_masked_loss():
    logits, labels = logits_like(), torch.randint(1, 4, (2, 6, 7))
    keep = torch.rand(2, 6, 7) > 0.4
    got = cw_bass.confidence_weighted(logits, labels, torch.rand(2, 6, 7), keep, gamma=0, decay=1)
    want = torch.nn.functional.cross_entropy(logits, torch.where(keep, labels - 1, -100), ignore_index=-100)
    assert torch.allclose(got, want)


def test_twice_the_confidence_is_twice_the_weight():
    labels, keep = torch.ones(1, 4, 4, dtype=torch.long), torch.ones(1, 4, 4, dtype=torch.bool)
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    confidence = torch.full((1, 4, 4), 0.4)
    confidence[:, :2] = 0.8
    cw_bass.confidence_weighted(logits, labels, confidence, keep).backward()
    assert torch.allclose(logits.grad[0, :, :2] / logits.grad[0, :, 2:], torch.tensor(2.0))


def test_boundaries_are_two_pixels_thick_and_absent_where_all_is_one():
    labels = torch.ones(1, 6, 8, dtype=torch.long)
    assert not cw_bass.boundary(labels).any()
    labels[:, :, 4:] = 2
    assert cw_bass.boundary(labels)[0].nonzero()[:, 1].unique().tolist() == [3, 4]
    logits = torch.zeros(1, 2, 6, 8)
    keep = torch.ones(1, 6, 8, dtype=torch.bool)
    assert cw_bass.at_boundaries(logits, labels, keep).item() == pytest.approx(0.5 * math.log(2))
    assert cw_bass.at_boundaries(logits, torch.ones_like(labels), keep) == 0


# --------------------------------------------------------------------------- UniMatch


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 99))
def test_complementary_drops_sum_to_two_and_half_of_the_samples_keep_all(count, channels, seed):
    one, two = unimatch.complementary_drops(count, channels, np.random.default_rng(seed))
    assert torch.equal(one + two, torch.full((count, channels), 2.0))
    assert int((one == 1).all(1).sum()) == count // 2


def test_an_impossible_confidence_teaches_nothing():
    target = unimatch.Target(
        torch.ones(2, 6, 7, dtype=torch.long), torch.ones(2, 6, 7), torch.ones(2, 6, 7, dtype=torch.bool)
    )
    assert unimatch.consistency(logits_like(), target, 1.01) == 0
    assert unimatch.consistency(logits_like(), target, 0.9) > 0


def test_cutmix_moves_image_labels_confidence_and_mask_by_one_box():
    x = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    labels = torch.stack([torch.ones(8, 8), torch.full((8, 8), 2)]).long()
    target = unimatch.Target(labels, labels / 4, labels == 1)
    view, mixed = unimatch.cutmix(x, target, [(2, 1, 5, 7), None])
    assert (view[0] == 1).sum() == 18
    assert torch.equal(view[0, 0] + 1, mixed.labels[0].float())
    assert torch.equal(mixed.confidence[0] * 4, mixed.labels[0].float())
    assert torch.equal(mixed.inside[0], mixed.labels[0] == 1)
    assert torch.equal(view[1], x[1])
    assert x[0].max() == 0  # the given tiles are left alone


def test_boxes_lie_inside_and_have_the_stated_area():
    for box in unimatch.mixed_boxes(200, (50, 60), np.random.default_rng(0), share=1.0):
        y0, x0, y1, x1 = box
        assert 0 <= y0 < y1 <= 50
        assert 0 <= x0 < x1 <= 60
        assert (y1 - y0) * (x1 - x0) <= 0.45 * 3000


# --------------------------------------------------------------------------- hardness


def test_hardness_weighs_hard_pixels_up_and_teaches_the_features_nothing():
    fused = torch.randn(1, 8, 5, 5, requires_grad=True)
    head, known = hardness.HardnessHead(8), torch.ones(1, 5, 5, dtype=torch.bool)
    known[0, 0] = False
    weights = hardness.hardness(head(fused, (5, 5)), known)
    assert weights.sum().item() == pytest.approx(1)
    assert weights[~known].abs().max() == 0
    assert weights[known].max() / weights[known].min() <= 11
    hardness.hardness_loss(weights, torch.rand(1, 5, 5)).backward()
    assert fused.grad is None
    assert any(p.grad.abs().max() > 0 for p in head.parameters())


def test_the_head_climbs_to_where_the_loss_is_large():
    fused, ce = torch.randn(1, 8, 6, 6), torch.full((1, 6, 6), 0.1)
    ce[0, :, 3] = 2.0
    fused[0, 0, :, 3] = 4
    head, known = hardness.HardnessHead(8), torch.ones(1, 6, 6, dtype=torch.bool)
    optimiser = torch.optim.Adam(head.parameters(), 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        hardness.hardness_loss(hardness.hardness(head(fused, (6, 6)), known), ce).backward()
        optimiser.step()
    weights = hardness.hardness(head(fused, (6, 6)), known)
    assert weights[0, :, 3].mean() > 2 * weights[0, :, :2].mean()
