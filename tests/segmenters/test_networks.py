"""The networks: sizes, views, and what they see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_wsss import registry
from napari_wsss.errors import UsageError
from napari_wsss.models.embedded.predictor import load_embedded
from napari_wsss.models.plain_encoder import SIZES, layers_of, receptive_field
from napari_wsss.protocols import Context
from napari_wsss.trained import Recipe, measured
from napari_wsss.training import Training
from napari_wsss.training.learner import new_learner
from napari_wsss.types import Class, Classes

CONTEXT = Context(Classes((Class(1, "a", "#000000"), Class(2, "b", "#ffffff"))))
SAMPLE = np.stack([np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)]), np.ones((4, 4), bool)


def made(segmenter: str, channels: int, classes: int = 3, /, **params):
    method = registry.load("segmenters", segmenter)
    torch.manual_seed(0)
    return method(method.Params(**params), CONTEXT).network(channels, classes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_logits_have_the_input_size_whatever_it_is(size, channels):
    network = made("plain", channels, size=size).eval()
    for height, width in ((33, 70), (64, 64)):
        seen = network(torch.rand(1, channels, height, width))
        assert seen.logits.shape == (1, 3, height, width)
        assert torch.isfinite(seen.logits).all()


def test_the_receptive_field_is_as_stated_and_at_least_half_a_tile():
    assert receptive_field(layers_of(SIZES["tiny"])) == 559
    assert receptive_field(layers_of(SIZES["small"])) == 559
    assert receptive_field(layers_of(SIZES["base"])) == 895
    assert receptive_field([(3, 1)]) == 3
    assert receptive_field([(3, 2), (3, 1)]) == 7


def test_the_middle_sees_pixels_64_away():
    network = made("plain", 1)
    for block in network.modules():  # blocks begin as their short cut; give every path a weight
        if hasattr(block, "norms"):
            torch.nn.init.ones_(block.norms[1].weight)
    x = torch.rand(1, 1, 256, 256, requires_grad=True)
    network(x).logits[0, 0, 128, 128].backward()
    assert x.grad is not None
    for dy, dx in ((64, 0), (0, 64), (-64, -64), (0, -100)):
        assert x.grad[0, 0, 126 + dy : 130 + dy, 126 + dx : 130 + dx].abs().max() > 0


def test_a_timm_encoder_goes_under_the_same_head(tmp_path):
    network = made("timm", 5, name="resnet18").eval()
    assert network(torch.rand(1, 5, 45, 60)).logits.shape == (1, 3, 45, 60)
    torch.save(network.encoder.body.state_dict(), tmp_path / "w.pt")
    again = made("timm", 5, name="resnet18", weights=str(tmp_path / "w.pt"))
    assert torch.equal(again.encoder.body.conv1.weight, network.encoder.body.conv1.weight)
    with pytest.raises(UsageError, match="fits only"):
        made("timm", 5, name="resnet34", weights=str(tmp_path / "w.pt"))
    with pytest.raises(UsageError, match="no encoder 'nonsense'"):
        made("timm", 3, name="nonsense")


def test_the_frozen_head_answers_at_the_size_asked_for():
    network = made("frozen", 11)
    assert network(torch.rand(2, 11, 9, 13)).logits.shape == (2, 3, 9, 13)
    assert network(torch.rand(2, 11, 9, 13), (70, 100)).logits.shape == (2, 3, 70, 100)


@pytest.mark.parametrize(("name", "channels"), [("plain", 2), ("frozen", 8)])
def test_dropped_channels_change_the_answer_and_none_dropped_does_not(name, channels):
    network = made(name, channels).eval()
    x = torch.rand(2, channels, 64, 64)
    whole = network(x).logits
    ones = torch.ones(2, network.drop_width)
    assert torch.equal(network(x, drop=ones).logits, whole)
    assert not torch.allclose(network(x, drop=ones * 0).logits, whole)


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_the_model_inside_takes_any_number_of_channels_and_any_size(channels):
    network = made("embedded", channels, weights="").eval()
    seen = network(torch.rand(1, channels, 45, 70))
    assert seen.logits.shape == (1, 3, 45, 70)
    assert torch.isfinite(seen.logits).all()


def test_training_begins_with_the_weights_of_the_model_inside():
    method = registry.load("segmenters", "embedded")
    begun = method(method.Params(), CONTEXT)
    colour, grey = begun.network(3, 2), begun.network(1, 2)
    for network in (colour, grey):
        before = network.encoder.body.tokens[1].first[0].weight.clone()
        begun.begin(network)
        assert not torch.equal(network.encoder.body.tokens[1].first[0].weight, before)
        assert all(p.requires_grad for p in network.parameters())
    theirs = load_embedded().network.image_encoder
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        for mine, other, of_grey in zip(
            colour.encoder(x.repeat(1, 3, 1, 1)), theirs.pyramid(x.repeat(1, 3, 1, 1)), grey.encoder(x), strict=True
        ):
            assert torch.allclose(mine, other, atol=1e-4)
            assert torch.allclose(mine, of_grey, atol=1e-4)
    with torch.no_grad():
        colour.encoder.body.stem[0][0].weight.zero_()
    assert theirs.stem[0][0].weight.any()  # the model that clicks are asked of keeps its own


def test_a_trained_network_is_read_without_the_weights_it_began_with(monkeypatch):
    def missing(*_):
        raise AssertionError("looked for the weights")

    monkeypatch.setattr("napari_wsss.models.embedded.fine_tuned.load_embedded", missing)
    recipe = Recipe("embedded", {}, "image", 3, ("a", "b"))
    assert recipe.network(CONTEXT)
    with pytest.raises(AssertionError, match="looked"):
        recipe.network(CONTEXT, begun=True)


def test_a_begun_encoder_learns_at_its_own_pace_and_is_fed_as_it_was_taught():
    recipe = measured(Recipe("embedded", {"weights": "", "pace": 0.25}, "image", 0, ("a", "b")), [SAMPLE])
    assert (recipe.channels, recipe.mean, recipe.std) == (2, (0.5, 0.5), (0.25, 0.25))
    optimiser = new_learner(recipe, Training(), CONTEXT, 0).optimiser
    head, encoder = optimiser.param_groups
    assert (head["pace"], encoder["pace"]) == (1.0, 0.25)
    network = recipe.network(CONTEXT)
    assert len(encoder["params"]) == len(list(network.encoder.parameters()))
    assert len(head["params"]) + len(encoder["params"]) == len(list(network.parameters()))
    plain = measured(Recipe("plain", {}, "image", 0, ("a", "b")), [SAMPLE])
    assert plain.mean == pytest.approx((0.0, 1.0))
