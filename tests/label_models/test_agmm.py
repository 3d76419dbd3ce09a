"""AGMM on frozen features: tests T1 to T9 of methods.md B.3, and its recipes for each weak label."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy import ndimage

from napari_wsss import registry
from napari_wsss.errors import Cancelled, CannotFeed, UsageError
from napari_wsss.label_models.agmm import METHOD, Agmm
from napari_wsss.protocols import Context
from napari_wsss.types import (
    Box,
    Cam,
    Class,
    Classes,
    Features,
    Image,
    Point,
    Sample,
    Stroke,
    Tags,
    WeakLabels,
    WeakTarget,
)


def classes_of(*names: str) -> Classes:
    return Classes(tuple(Class(i, n, "#000000") for i, n in enumerate(names, 1)))


TWO = classes_of("one", "two")


def target_of(shape, marks, k, allow=None, background_outside=None, complete=False) -> WeakTarget:
    """Points (one pixel), strokes and background outside boxes as a target, written out by hand."""
    seed, component = np.zeros(shape, np.uint16), np.zeros(shape, np.int32)
    for m in marks:
        if isinstance(m, Point):
            seed[m.y, m.x], component[m.y, m.x] = m.class_id, component.max() + 1
        elif isinstance(m, Stroke):
            y, x = np.nonzero(m.raster)
            seed[y + m.y0, x + m.x0] = m.raster[y, x]
            component[y + m.y0, x + m.x0] = component.max() + m.raster[y, x]
    if background_outside is not None:
        seed[background_outside] = 1
        component[background_outside] = component.max() + 1
    full = np.ones((k, *shape), bool) if allow is None else allow
    return WeakTarget(seed, component, full, complete)


def run(features, target, classes, *, labels=None, cam=None, valid=None, stride=1.0, context=None, **params):
    data = np.asarray(features, np.float32)
    valid = np.ones(target.shape, bool) if valid is None else valid
    image = Image("image", "key", np.zeros((1, *target.shape), np.float32), valid, (0, 0, 0))
    sample = Sample(
        "image",
        labels or WeakLabels(),
        target=lambda: target,
        image=lambda: image,
        features=lambda: Features(data, stride),
        cam=lambda: cam,
    )
    method = Agmm(Agmm.Params(**{"min_area": 1, **params}), context or Context(classes))
    return method(sample, {})


def stripes(seed=0, size=16, d=256, noise=0.1, width=2):
    """Interleaved vertical stripes of two random prototypes; the truth and its features."""
    rng = np.random.default_rng(seed)
    truth = np.broadcast_to(np.arange(size) // width % 2 + 1, (size, size)).astype(np.uint16)
    prototypes = rng.normal(size=(2, d))
    features = prototypes[truth - 1].transpose(2, 0, 1) + noise * rng.normal(size=(d, size, size))
    return features, truth


CLICKS = (Point(7, 4, 1), Point(7, 10, 2))


def toy_features(image):
    """Intensity, local mean and deviation, Sobel, LoG and coordinates (methods.md 0.3)."""
    h, w = image.shape
    means = [ndimage.uniform_filter(image, s) for s in (3, 7)]
    squares = [ndimage.uniform_filter(image**2, s) for s in (3, 7)]
    stds = [np.sqrt(np.maximum(q - m**2, 0)) for m, q in zip(means, squares, strict=True)]
    edges = [ndimage.sobel(image, 0), ndimage.sobel(image, 1), ndimage.gaussian_laplace(image, 1.5)]
    y, x = np.mgrid[:h, :w]
    return np.stack([image, *means, *stds, *edges, y / h, x / w])


@pytest.mark.parametrize("seed", range(5))
def test_T1_interleaved_stripes_are_not_voronoi(seed):
    features, truth = stripes(seed)
    result = run(features, target_of(truth.shape, CLICKS, 2), TWO)
    assert (result.labels == truth).mean() == 1.0
    y, x = np.mgrid[:16, :16]
    nearest = np.argmin([np.hypot(y - p.y, x - p.x) for p in CLICKS], 0) + 1
    assert (nearest == truth).mean() < 0.8


def test_T2_equal_colour_different_texture():
    rng = np.random.default_rng(0)
    h, w = 48, 64
    truth = np.ones((h, w), np.uint16)
    truth[:, w // 2 :] = 2
    fine = rng.normal(size=(h, w))
    image = np.where(truth == 1, 0.05 * fine, 0.6 * np.sign(fine))
    marks = (Stroke(5, 5, np.full((38, 2), 1, np.uint16)), Stroke(5, 56, np.full((38, 2), 2, np.uint16)))
    result = run(toy_features(image), target_of((h, w), marks, 2), TWO, margin=0.0, typicality=0.0)
    assert (result.labels == truth).mean() >= 0.95
    best_threshold = max(((image > t) + 1 == truth).mean() for t in np.linspace(-1, 1, 41))
    assert best_threshold < 0.8


def test_T3_a_class_that_is_not_allowed_changes_nothing():
    features, truth = stripes()
    two = run(features, target_of(truth.shape, CLICKS, 2), TWO)
    allow = np.ones((3, *truth.shape), bool)
    allow[2] = False
    three = run(features, target_of(truth.shape, CLICKS, 3, allow), classes_of("one", "two", "three"))
    assert not three.probabilities[2].any()
    assert np.array_equal(three.probabilities[:2], two.probabilities)
    marked = (*CLICKS, Point(0, 0, 3))
    with_seed = run(features, target_of(truth.shape, marked, 3, allow), classes_of("one", "two", "three"))
    assert with_seed.probabilities[2].astype(bool).sum() == 1  # the pixel that a person gave


def test_T4_permuted_classes_and_repeated_runs():
    features, truth = stripes(noise=1.0)
    marks = (*CLICKS, Point(2, 0, 3))
    names = classes_of("a", "b", "c")
    one = run(features, target_of(truth.shape, marks, 3), names)
    again = run(features, target_of(truth.shape, marks, 3), names)
    for field in ("probabilities", "labels", "typicality"):
        assert getattr(one, field).tobytes() == getattr(again, field).tobytes()
    to = np.array([0, 3, 1, 2], np.uint16)
    moved = tuple(Point(p.y, p.x, int(to[p.class_id])) for p in marks)
    other = run(features, target_of(truth.shape, moved, 3), names)
    assert np.array_equal(to[one.labels], other.labels)
    assert np.allclose(one.probabilities, other.probabilities[to[1:] - 1], atol=1e-3)


@pytest.mark.parametrize("noise", [0.1, 0.5, 0.7])
def test_T5_a_second_right_click_never_hurts_and_a_wrong_one_is_told(noise):
    features, truth = stripes(noise=noise, d=64)
    one = run(features, target_of(truth.shape, CLICKS, 2), TWO)
    second = (*CLICKS, Point(12, 1, 1), Point(3, 14, 2))
    two = run(features, target_of(truth.shape, second, 2), TWO)
    assert (two.labels == truth).mean() >= (one.labels == truth).mean() - 0.005
    assert not two.contradictions
    wrong = (*CLICKS, Point(12, 0, 2))
    bad = run(features, target_of(truth.shape, wrong, 2), TWO)
    assert [set(c.classes) for c in bad.contradictions] == [{1, 2}]
    assert {bad.contradictions[0].first, bad.contradictions[0].second} == {(7, 4), (12, 0)}
    assert (bad.labels[truth == 2] == 2).mean() >= 0.99
    assert not (bad.labels[truth == 1] == 2).sum() > 1  # only the wrong click itself


def test_T6_scale_invariance_and_the_fixed_sigma_that_lacks_it():
    features, truth = stripes(noise=1.0)
    target = target_of(truth.shape, CLICKS, 2)
    assert np.array_equal(run(features, target, TWO).labels, run(10 * features, target, TWO).labels)
    fixed = [run(s * features, target, TWO, fixed_sigma=True).labels for s in (0.2, 2.0)]
    assert not np.array_equal(*fixed)


def test_T7_what_is_like_no_class_is_not_answered():
    features, truth = stripes(d=64, noise=0.3, size=32)
    patch = np.zeros(truth.shape, bool)
    patch[20:28, 20:28] = True
    rng = np.random.default_rng(9)
    features[:, patch] = 6 * rng.normal(size=(64, 1)) + 0.3 * rng.normal(size=(64, 64))
    labels = run(features, target_of(truth.shape, CLICKS, 2), TWO).labels
    assert (labels[patch] == 0).mean() >= 0.95
    assert (labels[~patch] == 0).mean() < 0.05
    assert (labels[~patch] == truth[~patch])[labels[~patch] > 0].all()


def disc_in_box(noise=0.3):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:48, :48]
    disc = np.hypot(y - 24, x - 22) <= 10
    box = Box(12, 10, 36, 35, 2)
    prototypes = rng.normal(size=(2, 16))
    features = prototypes[disc.astype(int)].transpose(2, 0, 1) + noise * rng.normal(size=(16, 48, 48))
    outside = np.ones((48, 48), bool)
    outside[box.y0 : box.y1, box.x0 : box.x1] = False
    allow = np.ones((2, 48, 48), bool)
    allow[1] = ~outside
    return features, disc, box, target_of((48, 48), (), 2, allow, outside)


@pytest.mark.parametrize("with_cam", [False, True])
def test_T8_an_object_in_a_loose_box(with_cam):
    features, disc, box, target = disc_in_box()
    cam = None
    if with_cam:
        y, x = np.mgrid[:48, :48]
        blob = np.exp(-((y - 24) ** 2 + (x - 22) ** 2) / 100).astype(np.float32)
        cam = Cam(blob[None], (2,), np.ones(1, np.float32), np.zeros((48, 48), np.uint16))
    labels = WeakLabels(marks=(box,))
    result = run(features, target, classes_of("background", "object"), labels=labels, cam=cam, min_area=16)
    found = result.labels == 2
    assert (found & disc).sum() / (found | disc).sum() >= 0.85
    inside = np.zeros_like(found)
    inside[box.y0 : box.y1, box.x0 : box.x1] = True
    assert not found[~inside].any()
    part = found[box.y0 : box.y1, box.x0 : box.x1]
    assert part[:3].any()
    assert part[-3:].any()
    assert part[:, :3].any()
    assert part[:, -3:].any()


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("names", [("one",), ("one", "two")])
def test_T9_one_class_labelled_is_not_the_whole_image(share, names):
    features, _ = stripes(d=64, noise=0.5)
    rng = np.random.default_rng(5)
    truth = np.broadcast_to(np.arange(16) < 16 * share, (16, 16))
    prototypes = rng.normal(size=(2, 64))
    features = prototypes[truth.astype(int)].transpose(2, 0, 1) + 0.5 * rng.normal(size=(64, 16, 16))
    result = run(features, target_of((16, 16), (Point(7, 1, 1),), len(names)), classes_of(*names))
    assert np.array_equal(result.labels == 1, truth)


# --------------------------------------------------------------------------- recipes and promises


def test_tags_start_from_the_maps_seeds_and_only_in_tagged_classes():
    features, truth = stripes(d=32, noise=0.3, size=32, width=8)
    names = classes_of("background", "thing", "other")
    scores = np.stack([(truth == 2) * 0.8 + 0.1, np.full(truth.shape, 0.4)]).astype(np.float32)
    seeds = np.zeros(truth.shape, np.uint16)
    seeds[4:10] = truth[4:10]
    seeds[20:22, :4] = 3  # noise of the map of a class that nobody tagged
    cam = Cam(scores, (2, 3), np.ones(2, np.float32), seeds)
    target = target_of(truth.shape, (), 3)
    result = run(features, target, names, labels=WeakLabels(Tags(frozenset({2}))), cam=cam)
    assert (result.labels == truth).mean() > 0.99
    assert not result.probabilities[2].any()


def test_without_marks_and_maps_there_is_nothing_to_start_from():
    features, truth = stripes()
    with pytest.raises(CannotFeed, match="image: no marks"):
        run(features, target_of(truth.shape, (), 2), TWO)


@pytest.mark.parametrize("stride", [1.0, 2.0, 8 / 3, 4.0])
def test_probabilities_sum_to_one_where_valid_and_human_pixels_stay(stride):
    rng = np.random.default_rng(0)
    h, w = 37, 53
    tokens = (int(np.ceil(h / stride)), int(np.ceil(w / stride)))
    features = rng.normal(size=(20, *tokens))
    features[:, 0, 0] = np.nan
    valid = np.ones((h, w), bool)
    valid[30:] = False
    marks = [Point(int(y), int(x), int(k)) for y, x, k in rng.integers((0, 0, 1), (30, w, 4), (30, 3))]
    target = target_of((h, w), marks, 3)
    result = run(features, target, classes_of("a", "b", "c"), valid=valid, stride=stride, min_area=16)
    total = result.probabilities.astype(np.float64).sum(0)
    assert np.abs(total[valid] - 1).max() < 2e-3
    assert not total[~valid].any()
    assert not result.labels[~valid].any()
    assert np.array_equal(result.labels[target.seed > 0], target.seed[target.seed > 0])
    assert result.probabilities.dtype == result.typicality.dtype == np.float16
    assert ((result.typicality >= 0) & (result.typicality <= 1)).all()


def test_pixels_without_a_possible_class_are_not_answered(caplog):
    features, truth = stripes()
    allow = np.ones((2, *truth.shape), bool)
    allow[:, 3, 3] = False
    result = run(features, target_of(truth.shape, CLICKS, 2, allow), TWO)
    assert result.labels[3, 3] == 0
    assert result.probabilities[:, 3, 3].tolist() == [0.5, 0.5]
    assert "no class is possible on 1 pixels, the first at (3, 3)" in caplog.text


def test_a_class_of_two_looks_keeps_a_component_for_each():
    """One Gaussian a class would put its centre between the two looks (methods.md B.2)."""
    rng = np.random.default_rng(3)
    looks = np.repeat(np.arange(4), 8)[None].repeat(32, 0)
    truth = np.array([1, 2, 1, 2])[looks].astype(np.uint16)
    features = rng.normal(size=(4, 64))[looks].transpose(2, 0, 1) + 0.5 * rng.normal(size=(64, 32, 32))
    clicks = tuple(Point(10, 8 * i + 4, int(truth[0, 8 * i])) for i in range(4))
    result = run(features, target_of(truth.shape, clicks, 2), TWO)
    assert (result.labels == truth).mean() > 0.99
    merged = run(features, target_of(truth.shape, clicks, 2), TWO, components=1)
    assert (merged.labels == truth).mean() < 0.95


def test_many_marks_are_merged_and_a_big_block_costs_no_more_than_its_share():
    features, truth = stripes(d=32, noise=0.5, size=64, width=16)
    rng = np.random.default_rng(0)
    clicks = [Point(int(y), int(x), int(truth[y, x])) for y, x in rng.integers(0, 64, (200, 2))]
    assert (run(features, target_of(truth.shape, clicks, 2), TWO).labels == truth).mean() > 0.99
    mask = (Stroke(0, 0, truth[:32]),)
    assert (run(features, target_of(truth.shape, mask, 2), TWO).labels == truth).mean() > 0.99


def test_a_click_in_a_strokes_midst_is_told_but_does_not_undo_the_stroke():
    features, truth = stripes(d=64, noise=0.3, size=32, width=8)
    strokes = (Stroke(2, 2, np.full((28, 2), 1, np.uint16)), Stroke(2, 10, np.full((28, 2), 2, np.uint16)))
    result = run(features, target_of(truth.shape, (*strokes, Point(10, 20, 2)), 2), TWO)
    assert [set(c.classes) for c in result.contradictions] == [{1, 2}]
    assert (result.labels[truth == 1] == 1).mean() > 0.4
    assert (result.labels[truth == 2] == 2).mean() > 0.99


def test_cancelling_reaches_the_mixture():
    features, truth = stripes()

    def stop(done, total, what):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run(features, target_of(truth.shape, CLICKS, 2), TWO, context=Context(TWO, progress=stop))


def test_it_is_a_label_model():
    assert registry.load("label_models", "agmm") is METHOD is Agmm
    assert Agmm(registry.parameters(Agmm, {"dims": "8"}, "agmm"), Context(TWO)).params.dims == 8
    with pytest.raises(UsageError, match="agmm: dims"):
        registry.parameters(Agmm, {"dims": "0"}, "agmm")
    assert "Gaussian" in registry.summary("label_models", "agmm")


def test_boxes_without_a_background_class_start_from_what_stands_out_in_them():
    features, disc, box, _ = disc_in_box()
    allow = np.ones((2, 48, 48), bool)
    allow[1] = False
    allow[1, box.y0 : box.y1, box.x0 : box.x1] = True
    target = target_of((48, 48), (Point(2, 2, 1),), 2, allow)
    result = run(features, target, classes_of("soil", "object"), labels=WeakLabels(marks=(box,)), min_area=16)
    found = result.labels == 2
    assert (found & disc).sum() / (found | disc).sum() >= 0.85


def test_a_large_box_is_read_on_a_coarser_grid():
    y, x = np.mgrid[:150, :170]
    disc = np.hypot(y - 75, x - 80) <= 50
    box = Box(24, 28, 126, 133, 2)
    outside = np.ones(disc.shape, bool)
    outside[box.y0 : box.y1, box.x0 : box.x1] = False
    allow = np.stack([np.ones(disc.shape, bool), ~outside])
    rng = np.random.default_rng(4)
    features = rng.normal(size=(2, 8))[disc.astype(int)].transpose(2, 0, 1) + 0.3 * rng.normal(size=(8, *disc.shape))
    target = target_of(disc.shape, (), 2, allow, outside)
    for stride, data in ((1.0, features), (2.0, features[:, ::2, ::2])):
        labels = WeakLabels(marks=(box,))
        found = run(data, target, classes_of("background", "thing"), labels=labels, stride=stride).labels == 2
        assert (found & disc).sum() / (found | disc).sum() >= 0.85


def test_a_shared_image_is_labelled_better_than_by_the_nearest_click(shared_data):
    """Land cover from its truth's clicks: likeness beats nearness on a real picture too."""
    stem = (shared_data / "dubai_landcover" / "train.txt").read_text().split()[0]
    picture = next((shared_data / "dubai_landcover" / "images").glob(f"{stem}.*"))
    colours = np.asarray(Pillow.open(picture), np.float32)[::2, ::2, :3].transpose(2, 0, 1) / 255
    truth = np.asarray(Pillow.open(shared_data / "dubai_landcover" / "masks" / f"{stem}.png"))[::2, ::2]
    smooth = [ndimage.gaussian_filter(colours, (0, s, s)) for s in (1, 3)]
    rng = np.random.default_rng(0)
    ys, xs = np.nonzero(truth)
    chosen = rng.choice(len(ys), 40, replace=False)
    clicks = [Point(int(y), int(x), int(truth[y, x])) for y, x in zip(ys[chosen], xs[chosen], strict=True)]
    target = target_of(truth.shape, clicks, int(truth.max()))
    names = classes_of(*(f"c{i}" for i in range(truth.max())))
    result = run(np.concatenate(smooth), target, names)
    by_likeness = result.probabilities.argmax(0) + 1
    _, (near_y, near_x) = ndimage.distance_transform_edt(target.seed == 0, return_indices=True)
    labelled = truth > 0
    assert (by_likeness == truth)[labelled].mean() > (target.seed[near_y, near_x] == truth)[labelled].mean()
