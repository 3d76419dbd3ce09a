"""The embedded model's network: segment-anything's call and outputs, its prompts, folding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_wsss.models.embedded.blocks import Attention
from napari_wsss.models.embedded.decoder import MASKS, Resemblance
from napari_wsss.models.embedded.encoder import PACKED, STRIDE, ImageEncoder, unpack
from napari_wsss.models.embedded.network import EmbeddedNetwork, fold
from napari_wsss.models.embedded.prompts import CORNER, NEGATIVE, NOTHING, OPPOSITE, PLANES, POSITIVE, planes
from tests.models.drawn_nuclei import random_network

GRID = (8, 12)


@pytest.fixture(scope="module")
def network() -> EmbeddedNetwork:
    return random_network()


@pytest.fixture(scope="module")
def embedding(network: EmbeddedNetwork) -> torch.Tensor:
    frame = torch.rand(1, 3, GRID[0] * STRIDE, GRID[1] * STRIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network.image_encoder(frame)


def points(*rows: tuple[float, float, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """One object's (x, y, kind)."""
    data = torch.tensor([rows], dtype=torch.float32)
    return data[..., :2], data[..., 2]


# --------------------------------------------------------------------------- the call of segment-anything


def test_the_encoder_packs_tokens_and_two_skip_paths(embedding: torch.Tensor) -> None:
    assert embedding.shape == (1, PACKED, *GRID)
    tokens, quarter, half = unpack(embedding)
    assert tokens.shape == (1, 128, 8, 12)
    assert quarter.shape == (1, 32, 16, 24)
    assert half.shape == (1, 12, 32, 48)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("what", ["points", "boxes", "masks", "points and boxes", "all"])
def test_prompts_and_masks_have_segment_anythings_call_and_shapes(
    network: EmbeddedNetwork, embedding: torch.Tensor, what: str, multimask: bool
) -> None:
    clicks = points((20.0, 30.0, POSITIVE), (70.0, 12.0, NEGATIVE)) if "points" in what or what == "all" else None
    boxes = torch.tensor([[8.0, 8.0, 60.0, 40.0]]) if "boxes" in what or what == "all" else None
    masks = torch.randn(1, 1, 32, 48) if "masks" in what or what == "all" else None
    sparse, dense = network.prompt_encoder(clicks, boxes, masks, GRID)
    said = 2 * (clicks is not None) + 2 * (boxes is not None)
    assert sparse.shape == (1, max(1, said), 3)
    assert dense.shape == (1, 2, 16, 24)
    with torch.no_grad():
        found, iou = network.mask_decoder(
            image_embeddings=embedding,
            image_pe=None,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
    proposals = 3 if multimask else 1
    assert found.shape == (1, proposals, 32, 48)
    assert iou.shape == (1, proposals)
    assert ((iou > 0) & (iou < 1)).all()


def test_one_mask_and_three_are_the_four_of_decode(network: EmbeddedNetwork, embedding: torch.Tensor) -> None:
    sparse, dense = network.prompt_encoder(points((20.0, 30.0, POSITIVE)), None, None, GRID)
    with torch.no_grad():
        every, iou = network.mask_decoder.decode(embedding, sparse, dense)
        one, _ = network.mask_decoder(embedding, None, sparse, dense, False)
        three, opinion = network.mask_decoder(embedding, None, sparse, dense, True)
    assert every.shape[1] == MASKS == 4
    assert torch.equal(torch.cat([one, three], 1), every)
    assert torch.equal(opinion, iou[:, 1:])


def test_prompts_of_several_images_at_once_equal_each_alone(network: EmbeddedNetwork) -> None:
    frames = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    owner = torch.tensor([1, 0, 1])
    clicks = torch.tensor([[[20.0, 30.0, 1]], [[50.0, 9.0, 1]], [[80.0, 60.0, 1]]])
    dense = torch.zeros(3, 2, 16, 24)
    with torch.no_grad():
        embeddings = network.image_encoder(frames)
        together, iou = network.mask_decoder.decode(embeddings, clicks, dense, owner)
        for i, own in enumerate(owner):
            alone, opinion = network.mask_decoder.decode(embeddings[own, None], clicks[i, None], dense[i, None])
            assert torch.allclose(together[i], alone[0], atol=1e-4)
            assert torch.allclose(iou[i], opinion[0], atol=1e-5)


# --------------------------------------------------------------------------- prompts as planes


def test_a_click_is_nearest_where_it_is_and_a_box_is_one_inside() -> None:
    clicks = torch.tensor([[[41.5, 17.5, POSITIVE], [8.0, 8.0, CORNER], [56.0, 40.0, OPPOSITE], [0.0, 0.0, NOTHING]]])
    seen, belief = planes(clicks, torch.zeros(1, 2, 16, 24))
    assert seen.shape == (1, PLANES, 16, 24)
    for near in seen[0, :3]:
        assert np.unravel_index(int(near.argmax()), near.shape) == (4, 10)  # row 17.5 and column 41.5 at stride 4
    assert float(seen[0, 3:6].max()) < 1e-6  # nothing was negative
    inside = seen[0, 6] > 0.5
    assert (inside[2:10, 2:14]).all()
    assert inside.sum() == 8 * 12
    assert (seen[0, 7] == 1).all()
    assert torch.equal(belief[0, 0], seen[0, 6])


def test_a_former_mask_is_believed_before_a_box(network: EmbeddedNetwork) -> None:
    guess = torch.full((1, 1, 32, 48), -8.0)
    guess[:, :, :8, :8] = 8.0
    boxes = torch.tensor([[40.0, 20.0, 80.0, 60.0]])
    sparse, dense = network.prompt_encoder(None, boxes, guess, GRID)
    _, belief = planes(sparse, dense)
    assert (belief[0, 0, :4, :4] > 0.9).all()
    assert float(belief.sum()) == pytest.approx(16, abs=1)


def test_nothing_said_twice_is_nothing_said(network: EmbeddedNetwork, embedding: torch.Tensor) -> None:
    """A prompt that is padded to the length of others gives the same masks."""
    sparse, dense = network.prompt_encoder(points((20.0, 30.0, POSITIVE)), None, None, GRID)
    padded = torch.cat([sparse, torch.full((1, 3, 3), float(NOTHING))], 1)
    with torch.no_grad():
        masks, iou = network.mask_decoder.decode(embedding, sparse, dense)
        again, opinion = network.mask_decoder.decode(embedding, padded, dense)
    assert torch.allclose(masks, again, atol=1e-5)
    assert torch.allclose(iou, opinion, atol=1e-6)


def test_the_order_of_clicks_makes_no_difference(network: EmbeddedNetwork, embedding: torch.Tensor) -> None:
    rows = ((20.0, 30.0, POSITIVE), (70.0, 12.0, NEGATIVE), (50.0, 50.0, POSITIVE))
    dense = torch.zeros(1, 2, 16, 24)
    with torch.no_grad():
        found = [
            network.mask_decoder.decode(embedding, torch.tensor([order], dtype=torch.float32), dense)[0]
            for order in (rows, rows[::-1])
        ]
    assert torch.allclose(*found, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(row=st.integers(0, 5), column=st.integers(0, 8))
def test_a_place_resembles_itself_most(row: int, column: int) -> None:
    torch.manual_seed(0)
    alike = Resemblance(16, 4, 8)
    with torch.no_grad():
        keys = alike.keys(torch.randn(1, 16, 6, 9))
        click = torch.tensor([[[column * 8 + 3.5, row * 8 + 3.5, POSITIVE]]])
        cosines = alike.to_clicks(keys, click, 8)
    assert cosines.shape == (1, 8, 6, 9)
    assert torch.allclose(cosines[0, :4, row, column], torch.ones(4), atol=1e-4)
    assert float(cosines.max()) <= 1 + 1e-4
    assert (cosines[0, 4:] == -1).all()  # no negative click


# --------------------------------------------------------------------------- layers


def test_attention_treats_all_tokens_alike() -> None:
    """Without positions: moved tokens give moved results."""
    torch.manual_seed(0)
    layer = Attention(24, 6).eval()
    x = torch.randn(1, 24, 4, 6)
    with torch.no_grad():
        assert torch.allclose(layer(x.roll(2, 3)), layer(x).roll(2, 3), atol=1e-5)


def spread_logits(network: EmbeddedNetwork) -> EmbeddedNetwork:
    """Logits of trained size around 0, so that a tolerance means something."""
    last = network.mask_decoder.masks
    with torch.no_grad():
        frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
        said = torch.tensor([[[20.0, 30.0, POSITIVE]]])
        before, _ = network.mask_decoder.decode(network.image_encoder(frame), said, torch.zeros(1, 2, 16, 16))
        times = 3 / before.std((0, 2, 3))
        last.weight *= times[:, None, None, None]
        last.bias.copy_((last.bias - before.flatten(2).median(2).values[0]) * times)
    return network


def test_folding_gives_the_same_masks() -> None:
    """Tolerance: logits within 1e-3, and at least 99.99 % of the pixels of the masks."""
    network = spread_logits(random_network(3))
    folded = fold(copy.deepcopy(network))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    frame = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    said = torch.tensor([[[x, y, POSITIVE], [y, x, NEGATIVE]] for x, y in ((20.0, 30.0), (100.0, 64.0), (7.0, 120.0))])
    dense = torch.zeros(3, 2, 32, 40)
    with torch.no_grad():
        masks, iou = network.mask_decoder.decode(network.image_encoder(frame), said, dense)
        same, opinion = folded.mask_decoder.decode(folded.image_encoder(frame), said, dense)
    assert float(masks.std()) > 1  # there is something to compare
    assert 0.05 < float((masks > 0).float().mean()) < 0.95
    assert float((masks - same).abs().max()) <= 1e-3
    assert float((iou - opinion).abs().max()) <= 1e-3
    assert float(((masks > 0) == (same > 0)).float().mean()) >= 0.9999


def test_the_network_is_small_enough_to_ship() -> None:
    values = sum(v.numel() for v in EmbeddedNetwork().state_dict().values() if v.is_floating_point())
    assert 2 * values < 16e6  # half precision


def test_the_encoder_takes_any_multiple_of_its_step() -> None:
    encoder = ImageEncoder().eval()
    with torch.no_grad():
        for size in ((32, 32), (32, 160), (96, 64)):
            assert encoder(torch.rand(1, 3, *size)).shape == (1, PACKED, size[0] // STRIDE, size[1] // STRIDE)
