"""Drawn microscopy: the same from the same seed, with truth that agrees with what is to be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from napari_wsss.drawing._blobs import LEAST, Crowd, Form, blob, stroke, tidy, tile
from napari_wsss.drawing._micro_fields import blurred, clouds, fibres, grain, texture
from napari_wsss.drawing.microscopy import SCENES
from napari_wsss.drawing.scene import Scene

NAMES = sorted(SCENES)
by_name = pytest.mark.parametrize("name", NAMES)


def draw(name: str, seed: int, shape: tuple[int, int] = (128, 128)) -> Scene:
    return SCENES[name](np.random.default_rng([NAMES.index(name), seed]), shape)


def check(scene: Scene, shape: tuple[int, int]) -> None:
    """What holds for every scene."""
    assert scene.picture.shape == (*shape, 3)
    assert scene.picture.dtype == np.float32
    assert np.isfinite(scene.picture).all()
    assert scene.picture.min() >= 0
    assert scene.picture.max() <= 1
    assert 1 <= len(scene.objects) <= 3
    for ids in scene.objects:
        assert ids.shape == shape
        assert ids.dtype == np.uint16
        sizes = np.bincount(ids.ravel())[1:]
        assert (sizes >= LEAST).all(), sizes  # ids without gaps, no crumbs
        pieces = label(ids, connectivity=1, background=0)
        assert pieces.max() == ids.max()  # an object is one piece
    assert any(ids.any() for ids in scene.objects)


@by_name
def test_one_seed_is_one_scene(name):
    first, again, other = draw(name, 1), draw(name, 1), draw(name, 2)
    assert np.array_equal(first.picture, again.picture)
    assert all(np.array_equal(a, b) for a, b in zip(first.objects, again.objects, strict=True))
    assert not np.array_equal(first.picture, other.picture)


@by_name
@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 10**6), h=st.integers(64, 120), w=st.integers(64, 120))
def test_a_scene_is_well_formed_in_any_shape(name, seed, h, w):
    check(draw(name, seed, (h, w)), (h, w))


def edge_steps(scene: Scene, ids: np.ndarray) -> tuple[list[float], list[float]]:
    """Difference of mean colour within and beyond 3 px of each object's outline, and its standard error."""
    found, errors = [], []
    for number, box in enumerate(ndimage.find_objects(ids), 1):
        wide = tuple(slice(max(s.start - 5, 0), s.stop + 5) for s in box)
        own, colours = ids[wide] == number, scene.picture[wide]
        rim = ndimage.binary_dilation(own, iterations=3) & ~ndimage.binary_dilation(own)
        inner = own & ~ndimage.binary_erosion(own, iterations=4)
        if rim.sum() > 10:
            found.append(float(np.abs(colours[inner].mean(0) - colours[rim].mean(0)).max()))
            errors.append(
                float(colours[rim].std(0).max() / rim.sum() ** 0.5 + colours[inner].std(0).max() / inner.sum() ** 0.5)
            )
    return found, errors


ONLY_TEXTURE = {"textured areas", "scratch"}  # areas that differ in texture, not in light, on purpose


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ONLY_TEXTURE])
def test_most_objects_of_most_scenes_can_be_seen(name):
    clear = []
    for seed in range(6):
        scene = draw(name, 100 + seed)
        found, errors = edge_steps(scene, scene.objects[0])
        clear += [np.mean(np.array(found) > 2 * np.array(errors))] if found else []
    assert np.mean(clear) > 0.5, clear


@pytest.mark.parametrize("name", sorted(ONLY_TEXTURE))
def test_areas_differ_in_their_texture_or_light(name):
    spans = []
    for seed in range(8):
        scene = draw(name, seed, (160, 160))
        light = scene.picture.mean(2)
        ids = scene.objects[0]
        areas = [light[ids == k] for k in range(1, int(ids.max()) + 1)] + [light[ids == 0]] * bool((ids == 0).any())
        spread = [a.std() for a in areas]
        spans.append((max(spread) - min(spread)) / max(max(spread), 1e-6))
    assert np.median(spans) > 0.2, spans


def test_scenes_vary_in_number_and_size_of_objects():
    counts, sizes = [], []
    for name in NAMES:
        for seed in range(2):
            ids = draw(name, seed).objects[0]
            counts.append(int(ids.max()))
            sizes += list(np.bincount(ids.ravel())[1:])
    assert min(counts) <= 3
    assert max(counts) >= 40  # in 128 x 128 px
    assert np.quantile(sizes, 0.02) < 40
    assert np.quantile(sizes, 0.98) > 1500


def test_some_nuclei_touch():
    ids = draw("crowded nuclei", 3).objects[0].astype(int)
    right, left = ids[:, 1:], ids[:, :-1]
    below, above = ids[1:], ids[:-1]
    assert ((right != left) & (right > 0) & (left > 0)).any() or ((below != above) & (below > 0) & (above > 0)).any()


def test_nuclei_and_vacuoles_lie_in_their_cells():
    for seed in range(6):
        nuclei, cells = draw("smear", seed, (160, 160)).objects
        assert (cells[nuclei > 0] > 0).mean() > 0.95


def test_a_picture_too_small_for_any_object_is_refused():
    with pytest.raises(ValueError, match="ask for a larger picture"):
        draw("fluorescent nuclei", 1, (5, 5))


# --------------------------------------------------------------------------- the parts


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), radius=st.floats(8, 30))
def test_a_disc_has_its_area_and_depth(seed, radius):
    patch = blob(np.random.default_rng(seed), (90, 90), (45.0, 45.0), Form(radius, radius))
    assert np.count_nonzero(patch.inside) == pytest.approx(np.pi * radius**2, rel=0.06)
    assert patch.depth.max() == pytest.approx(radius, abs=0.8)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (-3.0, 20.0), (39.0, 31.0)])
def test_a_blob_over_the_edge_keeps_to_the_picture(centre):
    patch = blob(np.random.default_rng(0), (40, 32), centre, Form(9, 6, 0.4, 0.1))
    rows, columns = patch.window
    assert patch.rho.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert (rows.stop, columns.stop) <= (40, 32)


def test_a_stroke_is_as_wide_as_asked():
    path = np.stack([np.full(81, 30.0), np.arange(10, 91)], 1)
    for width in (3.0, 6.0, 20.0):
        patch = stroke((60, 100), path, width)
        columns = patch.inside.sum(0)
        assert np.median(columns[columns > 0]) == pytest.approx(width, abs=1)


def test_a_stroke_beside_the_picture_covers_nothing():
    patch = stroke((20, 20), np.array([[90.0, 90.0], [91.0, 91.0]]), 4)
    assert not patch.inside.any()
    assert not Crowd((20, 20)).settle(patch, 1.0)


def test_a_crowd_refuses_what_would_lie_over_others():
    rng, crowd = np.random.default_rng(0), Crowd((60, 60))
    disc = blob(rng, (60, 60), (30.0, 30.0), Form(10, 10))
    near = blob(rng, (60, 60), (30.0, 36.0), Form(10, 10))
    assert crowd.settle(disc, 0)
    assert not crowd.settle(near, 0.3)
    assert crowd.settle(near, 0.8)
    assert (crowd.ids[near.window][near.inside] == 2).all()  # the later one is on top


def test_tidy_keeps_the_largest_piece_and_drops_crumbs():
    ids = np.zeros((20, 20), np.int64)
    ids[2:8, 2:8], ids[2:6, 12:16], ids[12:14, 2:4], ids[12:18, 10:16] = 5, 5, 9, 7
    tidied = tidy(ids)
    assert set(np.unique(tidied)) == {0, 1, 2}
    assert np.count_nonzero(tidied) == 36 + 36
    assert (tidied[2:8, 2:8] > 0).all()


def test_a_tiling_gives_each_pixel_to_the_nearest_of_equal_discs():
    rng, centres = np.random.default_rng(0), [(10.0, 10.0), (10.0, 30.0), (30.0, 20.0)]
    tiling = tile((40, 40), [blob(rng, (40, 40), c, Form(5, 5), margin=90) for c in centres])
    far = [np.hypot(np.arange(40)[:, None] - y, np.arange(40) - x) for y, x in centres]
    nearest = np.argmin(far, 0) + 1
    clear = tiling.border > 0.01
    assert np.array_equal(tiling.owner[clear], nearest[clear])
    assert tiling.border[10, 20] == pytest.approx(0, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.6, 40), h=st.integers(40, 90), w=st.integers(40, 90))
def test_fields_are_finite_with_mean_0_and_deviation_1(seed, scale, h, w):
    for make in (grain, texture):
        field = make(np.random.default_rng(seed), (h, w), scale)
        assert field.shape == (h, w)
        assert field.dtype == np.float32
        assert abs(field.mean()) < 1e-3
        assert field.std() == pytest.approx(1, abs=1e-3) or not field.any()


def test_coarser_grain_is_smoother():
    steps = [np.abs(np.diff(grain(np.random.default_rng(3), (128, 128), s), axis=1)).mean() for s in (1, 3, 9, 27)]
    assert steps == sorted(steps, reverse=True)
    assert np.isfinite(clouds(np.random.default_rng(0), (50, 60), 12)).all()
    assert np.isfinite(fibres(np.random.default_rng(0), (50, 60), 3, 30, 5)).all()


def test_a_wide_blur_of_a_thinned_copy_is_the_blur():
    field = grain(np.random.default_rng(5), (96, 120), 6)
    whole = ndimage.gaussian_filter(field, 8)
    middle = (slice(16, -16), slice(16, -16))
    assert np.abs(blurred(field, 8) - whole)[middle].max() < 0.1 * np.ptp(whole)
