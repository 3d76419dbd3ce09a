"""First prompts lie on their objects; windows show what the whole shows, where they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.models.embedded.prompts import CORNER, NOTHING, OPPOSITE, POSITIVE
from napari_wsss.pretraining.batches import CELL, collate
from napari_wsss.pretraining.crops import SIDE, crop
from napari_wsss.pretraining.prompted import Prompted, first_prompts, unprompted, windows
from tests.pretraining.toy_scenes import coloured, dice

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def said() -> Prompted:
    """24 objects of six crops, so that there are prompts of all kinds."""
    made = (crop(coloured(), np.random.default_rng(seed), 4) for seed in range(30))
    truth = collate([c for c in made if c is not None][:6]).truth(CPU)
    return first_prompts(truth, dice(1), 2)


def test_every_object_gets_a_first_prompt_and_room_for_more(said: Prompted) -> None:
    assert said.sparse.shape == (24, 5, 3)
    assert (said.sparse[:, :3, 2] != NOTHING).any(1).all()
    assert (said.sparse[:, 3:, 2] == NOTHING).all()
    assert not said.former[~said.guessed].any()
    assert said.former[said.guessed].any()


def test_first_clicks_are_on_the_object_and_boxes_around_it(said: Prompted) -> None:
    kinds = set()
    for truth, sparse in zip(said.truth[:, 0], said.sparse):
        y, x = torch.nonzero(truth >= 0.5, as_tuple=True)
        for column, row, kind in sparse.tolist():
            kinds.add(kind)
            if kind == POSITIVE:
                assert truth[int((row + 0.5) // CELL), int((column + 0.5) // CELL)] > 0
            slack = 0.15 * SIDE + 2 + CELL
            if kind == CORNER:
                assert abs(column - CELL * int(x.min())) < slack
                assert abs(row - CELL * int(y.min())) < slack
            if kind == OPPOSITE:
                assert abs(column - CELL * int(x.max())) < slack
                assert abs(row - CELL * int(y.max())) < slack
    assert kinds == {NOTHING, POSITIVE, CORNER, OPPOSITE}


def test_of_a_tiny_object_every_cell_that_it_touches_is_the_object() -> None:
    truth = torch.zeros(2, 1, 4, 4)
    truth[0, 0, 1, 1], truth[1, 0, 2, 2], truth[1, 0, 2, 3] = 0.25, 1.0, 0.25
    assert unprompted(truth, 1).whole.sum((1, 2)).tolist() == [1, 1]


def test_a_window_shows_the_same_cell_under_the_click(said: Prompted) -> None:
    """The embedding knows its owner and place; so the window's can be checked against the whole."""
    grid, tokens = SIDE // STRIDE, 16
    owner = torch.arange(6).repeat_interleave(4)
    places = torch.stack(torch.meshgrid(*[torch.arange(grid)] * 2, indexing="ij")).float()
    whole = torch.stack([torch.cat([torch.full((1, grid, grid), float(n)), places]) for n in range(6)])
    cut, moved = windows(said, whole, owner, tokens, dice(1))
    assert cut.shape == (24, 3, tokens, tokens)
    assert moved.truth.shape == moved.former.shape == (24, 1, tokens * 4, tokens * 4)
    seen = 0
    for i in range(24):
        assert (cut[i, 0] == owner[i]).all()
        top, left = cut[i, 1:, 0, 0].int().tolist()
        assert torch.equal(cut[i, 1:], places[:, top : top + tokens, left : left + tokens])
        y, x = top * STRIDE // CELL, left * STRIDE // CELL
        assert torch.equal(moved.truth[i], said.truth[i, :, y : y + tokens * 4, x : x + tokens * 4])
        assert torch.equal(moved.former[i], said.former[i, :, y : y + tokens * 4, x : x + tokens * 4])
        shift = torch.tensor([left * STRIDE, top * STRIDE, 0.0])
        assert torch.allclose(moved.sparse[i] + shift, said.sparse[i])
        first = moved.sparse[i, 0]
        seen += int(first[2] == POSITIVE and bool(((first[:2] >= 0) & (first[:2] < tokens * STRIDE)).all()))
    assert seen >= 12
