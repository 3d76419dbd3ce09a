"""Grad-CAM: the oracles of methods.md A.2."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.cams._multilabel import Tokens, normalised
from napari_wsss.cams.gradcam import METHOD as GradCam
from napari_wsss.cams.head import METHOD as Head
from napari_wsss.protocols import Context
from napari_wsss.types import Class, Classes

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "disc", "#ff0000")))
ALL = torch.ones(6, 5, dtype=torch.bool)


def methods(hidden):
    context = Context(CLASSES)
    return GradCam(GradCam.Params(hidden=hidden), context), Head(Head.Params(), context)


def tokens(seed, d=8):
    rng = torch.Generator().manual_seed(seed)
    return Tokens(torch.randn(d, 6, 5, generator=rng), torch.full((6, 5), 1 / 30))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_with_a_linear_head_it_is_the_classic_map(seed):
    gradcam, cam = methods(hidden=0)
    torch.manual_seed(seed)
    head = gradcam.network(8, 3)
    one = tokens(seed)
    ours, classic = (m.activation(one, head, [0, 1, 2]) for m in (gradcam, cam))
    assert torch.allclose(ours, classic, atol=1e-5)
    assert (normalised(ours, ALL, False) - normalised(classic, ALL, False)).abs().max() < 1e-4


@pytest.mark.parametrize("hidden", [0, 16])
def test_the_weights_are_the_mean_gradients_times_the_number_of_tokens(hidden):
    gradcam, _ = methods(hidden)
    torch.manual_seed(1)
    head = gradcam.network(8, 2)
    one = tokens(1)
    data = one.data.clone().requires_grad_(True)
    head(data.mean((1, 2))[None])[0, 1].backward()
    weights = data.grad.mean((1, 2)) * 30
    expected = torch.einsum("d,dhw->hw", weights, one.data)
    assert torch.allclose(gradcam.activation(one, head, [1])[0], expected, atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 16])
def test_negated_weights_move_the_map_to_the_complement(hidden):
    gradcam, _ = methods(hidden)
    torch.manual_seed(2)
    head = gradcam.network(8, 1)
    one = tokens(2)
    before = normalised(gradcam.activation(one, head, [0]), ALL, False)
    last = list(head.parameters())[-2]
    with torch.no_grad():
        last.neg_()
    after = normalised(gradcam.activation(one, head, [0]), ALL, False)
    assert (before > 0).any()
    assert (after > 0).any()
    assert not ((before > 0) & (after > 0)).any()
    assert ((before > 0) | (after > 0)).float().mean() > 0.95


def test_a_hidden_layer_weighs_features_by_what_the_image_shows():
    gradcam, _ = methods(hidden=2)
    head = gradcam.network(2, 1)
    with torch.no_grad():  # logit = relu(a - b) + relu(b - a): either feature alone speaks for the class
        head[0].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        head[0].bias.zero_()
        head[2].weight.copy_(torch.ones(1, 2))
        head[2].bias.zero_()
    data = torch.zeros(2, 6, 5)
    data[0, :2] = 1
    share = torch.full((6, 5), 1 / 30)
    first = gradcam.activation(Tokens(data, share), head, [0])
    second = gradcam.activation(Tokens(data.flip(0), share), head, [0])
    assert torch.allclose(first, second)
    assert (first[0, :2] > 0).all()
