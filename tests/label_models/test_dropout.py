"""Dropout: how many elements go, that they go one by one, and that the mean stays."""

from __future__ import annotations

import pytest
import torch

from napari_wsss.label_models._dropout import Dropout


def dropped(share: float, shape: tuple[int, ...] = (500, 401), seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(share)(torch.ones(shape))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_the_share_is_zeroed_and_the_mean_stays(share: float):
    found = dropped(share)
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.008)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    assert len(found.unique()) == 2


def test_elements_go_independently_of_their_neighbours():
    gone = (dropped(0.5) == 0).double()
    for down, right in ((0, 1), (1, 0), (0, 8), (3, 5)):
        a, b = gone[: 500 - down, : 401 - right], gone[down:, right:]
        assert float((a * b).mean()) == pytest.approx(0.25, abs=0.01)
    assert not torch.equal(dropped(0.5, seed=1), dropped(0.5, seed=2))
    assert torch.equal(dropped(0.5, seed=1), dropped(0.5, seed=1))


def test_gradients_pass_where_elements_stay():
    x = torch.ones(64, 3, requires_grad=True)
    torch.manual_seed(0)
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_nothing_goes_outside_training_or_with_no_share():
    x = torch.randn(7, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert Dropout(0.5)(x[:0]).shape == (0, 5)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_beyond_its_range_is_refused(share: float):
    with pytest.raises(ValueError, match="share"):
        Dropout(share)
