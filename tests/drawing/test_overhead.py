"""Scenes from above: same seed same scene, tidy objects, exact and visible borders, in every family."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_wsss.drawing._easel import LEAST, Easel
from napari_wsss.drawing._roofs import Plan, Wing, build, roofing
from napari_wsss.drawing.overhead import SCENES
from tests.drawing.scene_laws import same_seed_same_scene, tidy


def step_at_borders(scene):
    """Mean change of colour between neighbours of different objects, over that between neighbours of one object."""
    jumps = [np.abs(np.diff(scene.picture, axis=a)).sum(2) for a in (0, 1)]
    other = [np.diff(scene.objects[0].astype(int), axis=a) != 0 for a in (0, 1)]
    across = np.concatenate([j[o] for j, o in zip(jumps, other)])
    within = np.concatenate([j[~o] for j, o in zip(jumps, other)])
    return across.mean() / within.mean() if across.size else np.nan


@pytest.mark.parametrize("name", SCENES)
def test_the_same_seed_draws_the_same_scene_and_another_seed_another(name):
    same_seed_same_scene(SCENES[name])


@pytest.mark.parametrize("name", SCENES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), h=st.integers(48, 150), w=st.integers(48, 150))
def test_every_scene_is_tidy(name, seed, h, w):
    tidy(SCENES[name], seed, h, w, LEAST)


@pytest.mark.parametrize("name", SCENES)
def test_borders_of_objects_show(name):
    ratios = [step_at_borders(SCENES[name](np.random.default_rng(s), (100, 100))) for s in range(6)]
    assert np.nanmedian(ratios) > 1.3


@pytest.mark.parametrize("name", SCENES)
def test_scenes_hold_objects_of_many_sizes(name):
    scenes = [SCENES[name](np.random.default_rng(s), (100, 100)) for s in range(6)]
    counts = [int(s.objects[0].max()) for s in scenes]
    assert min(counts) > 0
    sizes = np.concatenate([np.bincount(s.objects[0].ravel())[1:] for s in scenes])
    assert sizes.max() > 4 * sizes.min()


def test_a_roof_is_where_its_plan_says_and_its_shadow_is_not_part_of_it():
    rng = np.random.default_rng(0)
    easel = Easel(np.full((80, 100, 3), 0.6, np.float32))
    spot = Plan(40.0, 50.0, 0.0, 0.0, (Wing(0.0, 0.0, 20.0, 12.0, False, 1),))
    build(rng, easel, spot, roofing(rng, 20), 0.8, 9.0, None)
    ids = easel.maps[0]
    truth = np.zeros((80, 100), bool)
    truth[29:52, 31:70] = True  # centres less than 12 and 20 pixels away
    assert np.array_equal(ids > 0, truth)
    shaded = (np.abs(easel.picture - 0.6).max(2) > 0.1) & ~truth
    assert shaded.sum() > 100  # a shadow fell, outside the object


def test_what_is_laid_later_hides_what_is_behind_and_keeps_what_it_lies_on():
    easel = Easel(np.zeros((30, 30, 3), np.float32), levels=2)
    where, full = easel.whole(), np.zeros((30, 30), np.float32)
    colour = np.ones(3, np.float32)
    roof, panel, tree = full.copy(), full.copy(), full.copy()
    roof[2:28, 2:28], panel[5:15, 5:15], tree[10:30, 10:30] = 1, 1, 1
    easel.thing(where, roof, colour)
    easel.thing(where, panel, colour, level=1)
    easel.cover(where, tree, colour)
    low, high = easel.scene().objects
    assert (low > 0).sum() == 26 * 26 - 18 * 18
    assert (high > 0).sum() == 100 - 25
    assert not low[tree > 0].any()
    assert not high[tree > 0].any()
    assert ndimage.label(high)[1] == 1
