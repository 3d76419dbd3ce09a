"""Crops and batches: masks lie on their objects after the warp, prompts on their masks, windows where they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_wsss.drawing.scene import Scene
from napari_wsss.pretraining import crops as crops_module
from napari_wsss.pretraining.batches import CELL, Crops, collate, loader
from napari_wsss.pretraining.crops import SIDE, crop
from napari_wsss.pretraining.specimens import specimen
from tests.pretraining.toy_scenes import coloured

STEP = 40


@pytest.fixture
def unspoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, no change of contrast."""
    monkeypatch.setattr(crops_module, "_seen", lambda picture, rng: picture.transpose(2, 0, 1))


def test_masks_lie_on_their_objects_after_the_warp(unspoilt: None, count) -> None:
    """Each object has a grey level of its own; so has each mask, but for the blurred edge."""
    toy = coloured(colour_step=STEP)
    sizes = []
    for seed in range(count(40, 400)):
        made = crop(toy, np.random.default_rng(seed), 3)
        if made is None:
            continue
        assert made.picture.shape == (3, SIDE, SIDE)
        assert made.masks.shape == (3, SIDE, SIDE)
        for mask in made.masks:
            sizes.append(np.sqrt(mask.sum()))
            inner = ndimage.binary_erosion(mask, iterations=4)
            if inner.any():
                levels = np.rint(made.picture[0, inner] * 255 / STEP)
                assert len(np.unique(levels)) == 1
                assert levels[0] > 0
                outside = ~ndimage.binary_dilation(mask, iterations=4)
                assert (np.rint(made.picture[0, outside] * 255 / STEP) != levels[0]).mean() > 0.99
    assert len(sizes) > 60
    assert max(sizes) > 4 * min(sizes)  # many scales


def test_objects_are_seen_well_enough_to_be_meant(unspoilt: None) -> None:
    toy = coloured()
    for seed in range(30):
        made = crop(toy, np.random.default_rng(seed), 2)
        if made is not None:
            areas = made.masks.sum((1, 2))
            assert (areas >= 30).all()
            assert (areas <= 0.75 * SIDE**2).all()


def test_a_crop_is_its_seeds_and_seeds_differ() -> None:
    one, same, other = (crop(coloured(), np.random.default_rng(seed), 2) for seed in (5, 5, 6))
    assert one is not None
    assert same is not None
    assert other is not None
    assert np.array_equal(one.picture, same.picture)
    assert np.array_equal(one.masks, same.masks)
    assert not np.array_equal(one.picture, other.picture)
    assert one.picture.dtype == np.float32
    assert one.picture.min() >= 0
    assert one.picture.max() <= 1


def test_what_fills_the_picture_is_not_meant() -> None:
    scene = Scene(np.zeros((64, 64, 3), np.float32), (np.ones((64, 64), np.uint16),))
    whole = specimen("toy", "whole", scene)
    assert whole is not None
    found = [crop(whole, np.random.default_rng(seed), 1) for seed in range(20)]
    assert all(made is None or made.masks.mean() <= 0.75 for made in found)


# --------------------------------------------------------------------------- batches


def test_a_batch_has_equally_many_objects_a_crop_and_says_whose_they_are() -> None:
    made = (crop(coloured(), np.random.default_rng(seed), 4) for seed in range(30))
    crops = [c for c in made if c is not None][:6]
    batch, cpu = collate(crops), torch.device("cpu")
    assert batch.owner(cpu).tolist() == [i for i in range(6) for _ in range(4)]
    assert np.abs(batch.seen(cpu).numpy() - np.stack([c.picture for c in crops])).max() <= 0.5 / 255 + 1e-6
    truth = batch.truth(cpu)
    assert truth.shape == (24, 1, SIDE // CELL, SIDE // CELL)
    masks = np.concatenate([c.masks for c in crops]).astype(np.float32)
    assert torch.equal(truth, torch.nn.functional.avg_pool2d(torch.from_numpy(masks)[:, None], CELL))


def test_families_come_as_often_as_they_weigh() -> None:
    toy = coloured()
    rare = specimen("rare", "one", Scene(toy.picture.astype(np.float32) / 255, toy.objects))
    assert rare is not None
    crops = Crops([toy, rare], {"toy": 3.0, "rare": 1.0}, 2, 2, seed=0)
    assert [g[0].family for g in crops.groups] == ["rare", "toy"]
    assert crops.chance.tolist() == [0.25, 0.75]


def test_batches_go_on_and_are_their_seeds() -> None:
    crops = [iter(loader(Crops([coloured()], {}, 1, 2, seed), 0)) for seed in (0, 0, 1)]
    one, same, other = (next(c).pictures for c in crops)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one, next(crops[0]).pictures)
