"""Everyday scenes: same seed same scene, tidy objects, visible borders, whole animals, camouflage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.drawing._animals import POSES, paint
from napari_wsss.drawing._backdrops import backdrop
from napari_wsss.drawing._easel import LEAST, Easel
from napari_wsss.drawing._grain import PATTERNS, cloud, noise, pattern
from napari_wsss.drawing.everyday import SCENES
from tests.drawing.scene_laws import same_seed_same_scene, tidy


@pytest.mark.parametrize("name", SCENES)
def test_the_same_seed_draws_the_same_scene_and_another_seed_another(name):
    same_seed_same_scene(SCENES[name])


@pytest.mark.parametrize("name", SCENES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), h=st.integers(48, 150), w=st.integers(48, 150))
def test_every_scene_is_tidy(name, seed, h, w):
    tidy(SCENES[name], seed, h, w, LEAST)


@pytest.mark.parametrize(
    ("name", "bound"), [("animals", 1.5), ("shapes", 1.5), ("camouflage", 1.1), ("heap", 1.3), ("streets", 1.5)]
)
def test_borders_of_objects_show(name, bound):
    ratios = []
    for seed in range(16):
        scene = SCENES[name](np.random.default_rng(seed), (96, 96))
        jumps = [np.abs(np.diff(scene.picture, axis=a)).sum(2) for a in (0, 1)]
        other = [np.diff(scene.objects[0].astype(int), axis=a) != 0 for a in (0, 1)]
        if any(o.any() for o in other):
            across = np.concatenate([j[o] for j, o in zip(jumps, other)])
            within = np.concatenate([j[~o] for j, o in zip(jumps, other)])
            ratios.append(across.mean() / within.mean())
    assert len(ratios) >= 14
    assert np.median(ratios) > bound


def test_a_camouflaged_object_has_nearly_the_grounds_mean_colour_more_often_than_a_shape():
    def contrast(name):
        found = []
        for seed in range(16):
            scene = SCENES[name](np.random.default_rng(seed), (96, 96))
            ids = scene.objects[0]
            ground = scene.picture[ids == 0].mean(0) if (ids == 0).any() else np.zeros(3)
            found += [np.abs(scene.picture[ids == k].mean(0) - ground).sum() for k in range(1, ids.max() + 1)]
        return np.median(found)

    assert contrast("camouflage") < 0.5 * contrast("shapes")


@pytest.mark.parametrize("pose", POSES)
def test_an_animal_is_mostly_one_piece_and_holds_its_head(pose):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        easel = Easel(np.zeros((160, 160, 3), np.float32))
        flesh = paint(rng, easel.whole(), pose(rng), 80.0, 80.0, 70.0, 0.0, False)
        body, head = flesh.share > 0.5, flesh.head > 0.5
        assert body.sum() > 150
        assert head.sum() > 15
        assert not (head & ~body).any()


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_vary_about_zero_at_any_shape(kind):
    for seed in range(4):
        plane = pattern(np.random.default_rng(seed), (64, 90), 12.0, kind)
        assert plane.shape == (64, 90)
        assert np.isfinite(plane).all()
        assert 0.05 < plane.std() < 2.5
        assert abs(plane.mean()) < 1.2


def test_noise_has_unit_spread_and_the_asked_direction():
    rng = np.random.default_rng(1)
    assert 0.8 < np.mean([noise(rng, (128, 128), 4.0).std() for _ in range(8)]) < 1.25
    assert 0.8 < np.mean([cloud(rng, (128, 128), 8.0, 3).std() for _ in range(8)]) < 1.25
    flat = noise(rng, (128, 128), 3.0, 0.0, 8.0)  # long along columns
    assert np.abs(np.diff(flat, axis=1)).mean() < 0.4 * np.abs(np.diff(flat, axis=0)).mean()


def test_a_backdrop_fills_any_shape():
    for seed in range(12):
        area = backdrop(np.random.default_rng(seed), (50, 77))
        assert area.shape == (50, 77, 3)
        assert area.min() >= 0
        assert area.max() <= 1
