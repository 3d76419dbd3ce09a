"""Where a pixel lies: the planes that tell it, and a network that learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_wsss.models.multi_scale_head import Seen
from napari_wsss.models.placed import PLANES, Placed, own, places
from napari_wsss.trained import Recipe, located

WHOLE = (0, 0, 40, 60)


class Blind(nn.Module):
    """Sees nothing: every class is as likely as the others."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Conv2d(1, 2, 1)
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, x, size=None, drop=None) -> Seen:
        assert x.shape[1] == 1  # the planes are not shown to it
        return Seen(self.classify(x), x)


def test_planes_tell_down_across_and_from_the_middle():
    down, across, away = places((40, 60), WHOLE)
    assert np.allclose(down[:, 0], np.linspace(-39 / 40, 39 / 40, 40), atol=1e-6)
    assert np.allclose(across, across[:, ::-1], atol=1e-6)  # left as right
    assert np.allclose(away, np.hypot(down, across), atol=1e-6)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_part_is_told_as_in_the_whole_image(step):
    y0, x0, y1, x1 = 8, 16, 24, 48
    part, whole = places((40, 60), (y0, x0, y1, x1), step), places((40, 60), WHOLE, step)
    assert np.allclose(part, whole[:, y0 // step : y1 // step, x0 // step : x1 // step], atol=1e-6)


def test_it_begins_as_the_network_without_places_and_learns_what_lies_above():
    torch.manual_seed(0)
    network = Placed(Blind(), 2)
    where = torch.from_numpy(places((40, 60), WHOLE))[None]
    x = torch.cat([torch.rand(1, 1, 40, 60), where], 1)
    assert torch.equal(network(x).logits, Blind()(x[:, :1]).logits)
    truth = (where[:, 0] > 0).long()
    optimiser = torch.optim.Adam(network.prior.parameters(), 0.05)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x).logits, truth).backward()
        optimiser.step()
    assert (network(x).logits.argmax(1) == truth).float().mean() > 0.97


def test_only_a_placed_recipe_adds_planes_and_a_wrapper():
    recipe = Recipe("plain", {}, "image", 1, ("a", "b"), mean=(0.0,), std=(1.0,))
    x, where = torch.rand(2, 1, 8, 8), torch.rand(2, PLANES, 8, 8)
    assert located(x, where, recipe) is x
    assert located(x, where, replace(recipe, placed=True)).shape == (2, 1 + PLANES, 8, 8)
    bare = Blind()
    assert own(bare) is bare
    assert own(Placed(bare, 2)) is bare
