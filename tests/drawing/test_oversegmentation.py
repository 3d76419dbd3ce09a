"""Regions of real pictures: on edges, not too small, found again where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.drawing.everyday import SCENES
from napari_wsss.drawing.oversegmentation import LEAST, _neighbours, free_pictures, regions


@pytest.fixture(scope="module")
def free():
    return free_pictures()


def test_the_free_pictures_are_colour_pictures_of_the_installed_package(free):
    assert len(free) >= 12
    assert "chelsea" in free
    assert "ihc" not in free  # stained tissue: the study of generalisation must be able to do without
    for picture in free.values():
        assert picture.dtype == np.float32
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert 0 <= picture.min() < picture.max() <= 1


def test_regions_are_tidy_and_coarser_from_map_to_map(free):
    crop = free["coffee"][100:260, 100:300]
    scene = regions(crop, np.random.default_rng(0))
    assert np.array_equal(scene.picture, crop)
    assert len(scene.objects) == 3
    for ids in scene.objects:
        sizes = np.bincount(ids.ravel())[1:]
        assert (sizes >= LEAST).all()
        assert (sizes <= crop.shape[0] * crop.shape[1] * 0.51).all()
    typical = [np.median(np.bincount(ids.ravel())[1:]) for ids in scene.objects]
    assert typical[2] > typical[0]


def test_two_flat_colours_give_the_disc_and_flat_grey_gives_nothing():
    y, x = np.mgrid[:120, :140]
    disc = (y - 60) ** 2 + (x - 70) ** 2 < 30**2
    picture = np.where(disc[..., None], [0.8, 0.5, 0.3], [0.2, 0.3, 0.5]).astype(np.float32)
    for seed in range(4):
        scene = regions(picture, np.random.default_rng(seed))
        best = max(
            (ids == k)[disc].sum() / ((ids == k) | disc).sum() for ids in scene.objects for k in range(1, ids.max() + 1)
        )
        assert best > 0.8
    grey = regions(np.full((80, 80, 3), 0.5, np.float32), np.random.default_rng(0))
    assert all(ids.max() == 0 for ids in grey.objects)


def test_drawn_shapes_are_found_again_better_than_by_chance():
    scene = SCENES["shapes"](np.random.default_rng(2), (128, 128))
    found = regions(scene.picture, np.random.default_rng(0))
    truth = scene.objects[0]
    overlaps = []
    for k in range(1, truth.max() + 1):
        mask = truth == k
        touching = [(ids, i) for ids in found.objects for i in np.unique(ids[mask]) if i]
        overlaps.append(
            max((((ids == i) & mask).sum() / ((ids == i) | mask).sum() for ids, i in touching), default=0.0)
        )
    assert np.mean(overlaps) > 0.35


def test_the_same_generator_gives_the_same_regions(free):
    crop = free["chelsea"][50:150, 100:220]
    one, again = (regions(crop, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.objects, again.objects, strict=True))


def test_neighbours_are_the_pairs_that_share_a_side():
    parts = np.array([[0, 0, 1], [2, 2, 1], [3, 3, 3]])
    assert _neighbours(parts).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
