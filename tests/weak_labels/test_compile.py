"""The six laws of methods.md 0.2, and what contract.md says of class ids, tags and boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.errors import WsssError
from napari_wsss.types import Box, Class, Classes, Point, Stroke, Tags, WeakLabels
from napari_wsss.weak_labels import compile_target, cropped_stroke, polyline, scope_of

K, H, W = 4, 24, 28


def make_classes(background: int | None = 1, order=range(1, K + 1)) -> Classes:
    """K classes; ``background`` is the place in ``order`` of the class of this name."""
    names = ["background" if k == background else f"class{k}" for k in order]
    return Classes(tuple(Class(i, name, "#000000") for i, name in enumerate(names, 1)))


ids = st.integers(1, K)
points = st.builds(Point, st.integers(0, H - 1), st.integers(0, W - 1), ids)
lines = st.builds(
    lambda a, b, k, w: polyline([a, b], k, w),
    st.tuples(st.integers(0, H - 1), st.integers(0, W - 1)),
    st.tuples(st.integers(0, H - 1), st.integers(0, W - 1)),
    ids,
    st.integers(1, 3),
)
boxes = st.builds(
    lambda y, x, h, w, k, fill: Box(y, x, min(y + h, H), min(x + w, W), k, fill),
    st.integers(0, H - 2),
    st.integers(0, W - 2),
    st.integers(1, 12),
    st.integers(1, 12),
    ids,
    st.booleans(),
)
marks = st.lists(st.one_of(points, lines, boxes), max_size=8).map(tuple)
tag_lists = st.builds(
    lambda present, absent, complete: Tags(present - absent, absent, complete),
    st.frozensets(ids),
    st.frozensets(ids, max_size=2),
    st.booleans(),
)
masks = st.none() | st.integers(0, 2**32 - 1).map(
    lambda s: (
        (np.random.default_rng(s).random((H, W)) < 0.1)
        * np.random.default_rng(s).integers(1, K + 1, (H, W)).astype(np.uint16)
    )
)
labels_st = st.builds(WeakLabels, tag_lists, marks, masks)
backgrounds = st.sampled_from([1, 3, None])
radii = st.sampled_from([0, 1, 2.5])


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("seed", "component", "allow", "complete"))


@settings(deadline=None)
@given(labels_st, backgrounds, radii)
def test_law_i_a_seeds_class_is_allowed_on_it(labels, background, radius):
    target = compile_target(labels, make_classes(background), (H, W), point_radius=radius)
    y, x = np.nonzero(target.seed)
    assert target.allow[target.seed[y, x] - 1, y, x].all()
    assert ((target.component > 0) == (target.seed > 0)).all()
    assert set(np.unique(target.component)) - {0} == set(range(1, target.component.max() + 1))
    for c in range(1, target.component.max() + 1):
        assert len(np.unique(target.seed[target.component == c])) == 1


@settings(deadline=None)
@given(labels_st, backgrounds, radii)
def test_law_ii_idempotent(labels, background, radius):
    classes = make_classes(background)
    target = compile_target(labels, classes, (H, W), point_radius=radius)
    assert same(target, compile_target(labels, classes, (H, W), point_radius=radius))
    scope = scope_of(labels, classes, (H, W), radius)
    again = compile_target(replace(labels, mask=target.seed), classes, (H, W), point_radius=radius, scope=scope)
    assert np.array_equal(target.seed, again.seed)
    assert np.array_equal(target.allow, again.allow)


def permuted(labels: WeakLabels, to: np.ndarray) -> WeakLabels:
    def mark(m):
        return replace(m, raster=to[m.raster]) if isinstance(m, Stroke) else replace(m, class_id=int(to[m.class_id]))

    tags = labels.tags
    moved = Tags(frozenset(int(to[k]) for k in tags.present), frozenset(int(to[k]) for k in tags.absent), tags.complete)
    mask = None if labels.mask is None else to[labels.mask]
    return WeakLabels(moved, tuple(mark(m) for m in labels.marks), mask)


@settings(deadline=None)
@given(labels_st, backgrounds, radii, st.permutations(range(1, K + 1)))
def test_law_iii_permuting_class_ids_permutes_the_outputs(labels, background, radius, order):
    to = np.array([0, *(order.index(k) + 1 for k in range(1, K + 1))], np.uint16)
    one = compile_target(labels, make_classes(background), (H, W), point_radius=radius)
    two = compile_target(permuted(labels, to), make_classes(background, order), (H, W), point_radius=radius)
    assert np.array_equal(to[one.seed], two.seed)
    assert np.array_equal(one.component, two.component)
    assert np.array_equal(one.allow, two.allow[to[1:] - 1])


def cropped(labels: WeakLabels, y0: int, x0: int, y1: int, x1: int) -> WeakLabels:
    def mark(m):
        if isinstance(m, Point):
            return replace(m, y=m.y - y0, x=m.x - x0)
        if isinstance(m, Stroke):
            return replace(m, y0=m.y0 - y0, x0=m.x0 - x0)
        return replace(m, y0=m.y0 - y0, x0=m.x0 - x0, y1=m.y1 - y0, x1=m.x1 - x0)

    mask = None if labels.mask is None else labels.mask[y0:y1, x0:x1]
    return WeakLabels(labels.tags, tuple(mark(m) for m in labels.marks), mask)


@settings(deadline=None)
@given(labels_st, backgrounds, radii, st.integers(0, 8), st.integers(0, 8), st.integers(12, H), st.integers(12, W))
def test_law_iv_crop_then_compile_is_compile_then_crop(labels, background, radius, y0, x0, y1, x1):
    classes = make_classes(background)
    whole = compile_target(labels, classes, (H, W), point_radius=radius)
    scope = scope_of(labels, classes, (H, W), radius)
    part = compile_target(
        cropped(labels, y0, x0, y1, x1), classes, (y1 - y0, x1 - x0), point_radius=radius, scope=scope
    )
    assert np.array_equal(part.seed, whole.seed[y0:y1, x0:x1])
    assert np.array_equal(part.allow, whole.allow[:, y0:y1, x0:x1])
    pairs = {(a, b) for a, b in zip(part.component.ravel(), whole.component[y0:y1, x0:x1].ravel(), strict=True)}
    assert len(pairs) == len(np.unique(part.component))


@settings(deadline=None)
@given(labels_st, backgrounds)
def test_law_v_a_class_absent_from_a_complete_list_is_allowed_nowhere_but_on_its_own_seeds(labels, background):
    labels = replace(labels, tags=replace(labels.tags, complete=True))
    target = compile_target(labels, make_classes(background), (H, W))
    assert target.complete
    for k in set(range(1, K + 1)) - labels.tags.present - {background}:
        assert not target.allow[k - 1][target.seed != k].any()
    for k in labels.tags.absent:
        assert not target.allow[k - 1][target.seed != k].any()


@settings(deadline=None)
@given(labels_st, backgrounds, st.one_of(points, lines, boxes), st.integers(0, 8))
def test_law_vi_removing_a_label_restores_the_earlier_compile(labels, background, extra, place):
    classes = make_classes(background)
    before = compile_target(labels, classes, (H, W))
    more = replace(labels, marks=(*labels.marks[:place], extra, *labels.marks[place:]))
    compile_target(more, classes, (H, W))
    undone = replace(more, marks=tuple(m for m in more.marks if m is not extra))
    assert same(before, compile_target(undone, classes, (H, W)))


@settings(deadline=None)
@given(marks.filter(any), st.randoms())
def test_precedence(marks, random):
    """Accepted mask over point and stroke (newest first) over block, pixel by pixel."""
    classes = make_classes(None)
    mask = np.zeros((H, W), np.uint16)
    mask[random.randrange(H), :] = 2
    seed = compile_target(WeakLabels(marks=marks, mask=mask), classes, (H, W), point_radius=0).seed
    expected = np.zeros((H, W), np.uint16)
    for m in marks:
        if isinstance(m, Box) and m.fill:
            expected[m.y0 : m.y1, m.x0 : m.x1] = m.class_id
    for m in marks:
        if isinstance(m, Point):
            expected[m.y, m.x] = m.class_id
        elif isinstance(m, Stroke):
            y, x = np.nonzero(m.raster)
            y, x, ids = y + m.y0, x + m.x0, m.raster[y, x]
            inside = (y >= 0) & (y < H) & (x >= 0) & (x < W)  # a brush may reach out of the image
            expected[y[inside], x[inside]] = ids[inside]
    expected[mask > 0] = mask[mask > 0]
    assert np.array_equal(seed, expected)


def test_a_point_is_a_disc_kept_from_points_of_another_class():
    classes = make_classes()
    alone = compile_target(WeakLabels(marks=(Point(10, 10, 2),)), classes, (H, W), point_radius=3)
    assert (alone.seed == 2).sum() == 29  # pixels within 3 of a pixel
    two = compile_target(WeakLabels(marks=(Point(10, 10, 2), Point(10, 14, 3))), classes, (H, W), point_radius=3)
    assert (two.seed == 2).sum() == (two.seed == 3).sum() == 9  # nearer than 2
    assert two.seed[10, 12] == 0
    same_class = compile_target(WeakLabels(marks=(Point(10, 10, 2), Point(10, 14, 2))), classes, (H, W), point_radius=3)
    assert same_class.component.max() == 2


def test_every_point_stroke_part_and_block_is_a_component_of_its_own():
    raster = np.zeros((H, W), np.uint16)
    raster[2, 2:10] = 2
    raster[12, 2:10] = 2
    raster[12, 12:20] = 3
    stroke = cropped_stroke(raster)
    labels = WeakLabels(marks=(Box(15, 15, 20, 20, 2, True), Box(20, 20, 24, 24, 2, True), stroke, Point(5, 5, 2)))
    target = compile_target(labels, make_classes(), (H, W))
    assert target.component.max() == 6


def test_nodata_is_never_a_seed():
    valid = np.ones((H, W), bool)
    valid[:, :14] = False
    labels = WeakLabels(marks=(Box(2, 2, 8, 26, 2), Point(5, 5, 2), Point(5, 20, 2)))
    target = compile_target(labels, make_classes(), (H, W), valid)
    assert not target.seed[~valid].any()
    assert not target.component[~valid].any()
    assert (target.seed == 1).any()


def test_outside_all_boxes_is_background_and_inside_only_the_boxes_classes():
    labels = WeakLabels(marks=(Box(2, 2, 8, 8, 2), Box(6, 6, 12, 12, 3)))
    target = compile_target(labels, make_classes(), (H, W))
    covered = np.zeros((H, W), bool)
    covered[2:8, 2:8] = covered[6:12, 6:12] = True
    assert np.array_equal(target.seed == 1, ~covered)
    assert not target.seed[covered].any()
    assert target.allow[:, 3, 3].tolist() == [True, True, False, False]
    assert target.allow[:, 7, 7].tolist() == [True, True, True, False]


def test_without_a_background_class_a_box_says_only_where_its_class_cannot_be():
    target = compile_target(WeakLabels(marks=(Box(2, 2, 8, 8, 2),)), make_classes(None), (H, W))
    assert not target.seed.any()
    assert target.allow[:, 20, 20].tolist() == [True, False, True, True]
    assert target.allow[:, 3, 3].all()


@pytest.mark.parametrize("more", [{"marks": (Box(2, 2, 8, 8, 2), Point(20, 20, 3))}, {"tags": Tags(frozenset({2, 3}))}])
def test_boxes_are_not_complete_for_a_class_known_to_be_elsewhere(more):
    labels = replace(WeakLabels(marks=(Box(2, 2, 8, 8, 2),)), **more)
    target = compile_target(labels, make_classes(), (H, W))
    assert target.allow[2].all()
    assert not target.allow[1, 15, 15]
    assert target.seed[15, 15] == 0
    told = compile_target(labels, make_classes(), (H, W), boxes_complete=frozenset({2, 3, 4}))
    assert told.seed[15, 15] == 1


@pytest.mark.parametrize(
    ("tags", "background", "expected"),
    [
        (Tags(), 1, [1, 1, 1, 1]),
        (Tags(frozenset({2})), 1, [1, 1, 0, 0]),
        (Tags(frozenset({2})), None, [0, 1, 0, 0]),
        (Tags(absent=frozenset({2})), 1, [1, 0, 1, 1]),
        (Tags(absent=frozenset({1}), present=frozenset({3})), 1, [0, 0, 1, 0]),
        (Tags(frozenset(), frozenset(), True), 1, [1, 0, 0, 0]),
        (Tags(frozenset({2, 4}), frozenset(), True), 3, [0, 1, 1, 1]),
    ],
)
def test_tags(tags, background, expected):
    target = compile_target(WeakLabels(tags), make_classes(background), (H, W))
    assert target.allow[:, 0, 0].tolist() == [bool(e) for e in expected]
    assert target.allow.strides[1:] == (0, 0)
    assert target.complete == tags.complete


def test_a_mark_is_as_good_as_a_tag_where_the_list_is_incomplete_and_opens_its_own_pixels_otherwise():
    marks = (Point(5, 5, 3),)
    open_list = compile_target(WeakLabels(Tags(frozenset({2})), marks), make_classes(), (H, W))
    assert open_list.allow[:, 20, 20].tolist() == [True, True, True, False]
    complete = compile_target(WeakLabels(Tags(frozenset({2}), complete=True), marks), make_classes(), (H, W))
    assert np.array_equal(complete.allow[2], complete.seed == 3)


def test_labels_that_do_not_fit_the_project_are_named():
    with pytest.raises(WsssError, match="class 9"):
        compile_target(WeakLabels(marks=(Point(1, 1, 9),)), make_classes(), (H, W))
    with pytest.raises(WsssError, match="accept it again"):
        compile_target(WeakLabels(mask=np.zeros((3, 3), np.uint16)), make_classes(), (H, W))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, H - 1), st.integers(0, W - 1)), min_size=1, max_size=5), st.integers(1, 5))
def test_a_polyline_is_connected_and_passes_its_vertices(vertices, width):
    stroke = polyline(vertices, 3, width)
    assert all(stroke.raster[y - stroke.y0, x - stroke.x0] == 3 for y, x in vertices)
    target = compile_target(WeakLabels(marks=(stroke,)), make_classes(), (H, W))
    assert target.component.max() == 1
