"""The simulated annotator against answers that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_wsss.evaluation import clicks
from napari_wsss.evaluation.clicks import CAP, Click, clicks_to, deepest, figures, iou, iou_at, jittered, next_click

SHAPE = (40, 50)
EVERYTHING = np.ones(SHAPE, bool)
NOTHING = np.zeros(SHAPE, bool)


def disc(y, x, radius, shape=SHAPE):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def rectangle(y0, x0, y1, x1, shape=SHAPE):
    out = np.zeros(shape, bool)
    out[y0:y1, x0:x1] = True
    return out


masks = arrays(bool, (9, 11))


def test_the_first_click_on_a_disc_is_its_centre():
    assert next_click(NOTHING, disc(17, 23, 9), EVERYTHING) == Click(17, 23, True)


def test_the_first_click_is_in_the_larger_part_of_an_object():
    assert next_click(NOTHING, disc(8, 8, 4) | disc(25, 35, 7), EVERYTHING) == Click(25, 35, True)


@pytest.mark.parametrize(("missed", "wrong", "expected"), [(7, 4, (True, 30)), (4, 7, (False, 10))])
def test_the_next_click_is_in_the_larger_error_of_either_kind(missed, wrong, expected):
    truth, answer = disc(20, 30, missed), disc(20, 10, wrong)
    positive, x = expected
    assert next_click(answer, truth, EVERYTHING) == Click(20, x, positive)


def test_the_largest_connected_error_counts_not_the_largest_sum():
    many = rectangle(2, 2, 6, 6) | rectangle(2, 10, 6, 14) | rectangle(2, 18, 6, 22)  # 3 x 16 missed
    answer = rectangle(20, 20, 25, 25)  # 25 wrong
    click = next_click(answer, many, EVERYTHING)
    assert click == Click(22, 22, False)


def test_regions_that_touch_at_a_corner_are_two():
    truth = rectangle(10, 10, 14, 14) | rectangle(14, 14, 18, 18)
    assert next_click(NOTHING, truth, EVERYTHING) == Click(11, 11, True)


def test_of_equal_errors_the_missed_one_goes_first_then_the_upper_left():
    one, other = rectangle(5, 5, 10, 10), rectangle(20, 30, 25, 35)
    assert next_click(one, other, EVERYTHING) == Click(22, 32, True)
    assert next_click(other, one, EVERYTHING) == Click(7, 7, True)
    assert next_click(NOTHING, one | other, EVERYTHING) == Click(7, 7, True)


def test_outside_the_image_is_no_object_so_that_a_cut_object_is_clicked_in_the_middle_of_what_is_seen():
    assert next_click(NOTHING, rectangle(0, 0, 9, 9), EVERYTHING) == Click(4, 4, True)
    assert next_click(NOTHING, EVERYTHING, EVERYTHING).positive


def test_pixels_that_are_not_scored_are_no_error_and_no_depth():
    truth, scored = rectangle(10, 10, 19, 30), EVERYTHING.copy()
    scored[:, 19:] = False
    assert next_click(NOTHING, truth, scored) == Click(14, 14, True)
    assert iou(truth & scored, truth, scored) == 1
    assert iou(truth | ~scored, truth, scored) == 1
    assert next_click(truth | ~scored, truth, scored) is None


def test_no_pixel_is_clicked_twice_and_a_used_up_error_gives_way_to_the_next():
    truth = rectangle(5, 5, 7, 6) | rectangle(20, 20, 21, 21)
    given = [Click(5, 5, True)]
    assert next_click(NOTHING, truth, EVERYTHING, given) == Click(6, 5, True)
    assert next_click(NOTHING, truth, EVERYTHING, [*given, Click(6, 5, True)]) == Click(20, 20, True)
    assert next_click(NOTHING, truth, EVERYTHING, [*given, Click(6, 5, True), Click(20, 20, True)]) is None


@given(masks, masks, masks)
def test_a_click_is_on_a_scored_error_and_tells_the_truth(answer, truth, scored):
    click = next_click(answer, truth, scored)
    wrong = (answer != truth) & scored
    assert (click is None) == (not wrong.any())
    if click is not None:
        assert wrong[click.y, click.x]
        assert truth[click.y, click.x] == click.positive


@given(masks, masks, masks)
def test_no_error_of_one_kind_is_larger_than_the_clicked_one(answer, truth, scored):
    click = next_click(answer, truth, scored)
    if click is None:
        return
    sizes = {}
    for positive, wrong in ((True, truth & ~answer & scored), (False, answer & ~truth & scored)):
        numbered, _ = ndimage.label(wrong)
        sizes[positive] = np.bincount(numbered.ravel()), numbered
    counts, numbered = sizes[click.positive]
    largest = max(int(c[1:].max(initial=0)) for c, _ in sizes.values())
    assert counts[numbered[click.y, click.x]] == largest


@given(masks, masks, masks, st.integers(0, 2**32))
def test_the_jittered_annotator_clicks_in_the_same_error_and_again_the_same(answer, truth, scored, seed):
    plain = next_click(answer, truth, scored)
    one, other = (next_click(answer, truth, scored, place=jittered(seed)) for _ in range(2))
    assert one == other
    assert (one is None) == (plain is None)
    if one is not None:
        wrong = (truth if plain.positive else answer) & (truth != answer) & scored
        numbered, _ = ndimage.label(wrong)
        assert numbered[one.y, one.x] == numbered[plain.y, plain.x]


def test_the_jittered_annotator_prefers_depth_in_proportion():
    depth = np.array([[0.0, 1.0, 3.0]])
    place = jittered(0)
    found = np.bincount([place(depth)[1] for _ in range(4000)], minlength=3) / 4000
    assert found == pytest.approx([0, 0.25, 0.75], abs=0.03)
    assert deepest(depth) == (0, 2)


def test_a_perfect_method_needs_one_click():
    truth = disc(20, 20, 8)
    ious = clicks.simulate(truth, EVERYTHING, lambda given: truth)
    own = figures([ious])
    assert ious == (1.0,)
    assert own.iou == {1: 1.0, 3: 1.0, 5: 1.0}
    assert own.noc == {0.85: 1, 0.90: 1}
    assert own.failures == {0.85: 0, 0.90: 0}


def test_a_method_that_never_answers_needs_twenty_and_fails():
    ious = clicks.simulate(disc(20, 20, 8), EVERYTHING, lambda given: NOTHING)
    own = figures([ious])
    assert ious == (0.0,) * CAP
    assert own.noc == {0.85: CAP, 0.90: CAP}
    assert own.failures == {0.85: 1, 0.90: 1}


def test_a_method_that_paints_what_was_clicked_gets_every_click_once_and_in_order():
    truth, asked = rectangle(10, 10, 16, 16), []

    def painter(given):
        asked.append(given)
        out = np.zeros(SHAPE, bool)
        for click in given:
            out[click.y, click.x] = click.positive
        return out

    ious = clicks.simulate(truth, EVERYTHING, painter)
    assert ious == tuple(n / 36 for n in range(1, CAP + 1))
    assert all(len(set(given)) == len(given) == n for n, given in enumerate(asked, 1))
    assert all(asked[n] == asked[-1][: n + 1] for n in range(CAP))


def test_a_simulation_goes_on_to_five_clicks_and_then_until_enough():
    truth = rectangle(10, 10, 20, 30)

    def good_at_once(given):
        out = truth.copy()
        out[10, 10:20] = False  # 0.95
        return out

    assert len(clicks.simulate(truth, EVERYTHING, good_at_once)) == 5
    assert len(clicks.simulate(truth, EVERYTHING, lambda given: truth if len(given) == 8 else NOTHING)) == 8


def test_reaching_the_goal_with_the_last_click_is_no_failure():
    ious = (0.2,) * 19 + (0.86,)
    own = figures([ious])
    assert own.noc[0.85] == 20
    assert own.failures == {0.85: 0, 0.90: 1}


def test_means_are_over_objects():
    own = figures([(0.5, 0.9, 0.9, 0.9, 0.95), (0.9, 0.7, 0.6, 0.8, 0.85)])
    assert own.objects == 2
    assert own.iou == pytest.approx({1: 0.7, 3: 0.75, 5: 0.9})
    assert own.noc == {0.85: 1.5, 0.90: 1.5}
    with pytest.raises(ValueError, match="no object"):
        figures([])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=CAP))
def test_bookkeeping_is_monotone(ious):
    counts = [clicks_to(ious, goal) or CAP + 1 for goal in (0.5, 0.85, 0.9)]
    assert counts == sorted(counts)
    assert all(ious[n - 1] >= goal for n, goal in zip(counts, (0.5, 0.85, 0.9)) if n <= CAP)
    assert iou_at(ious, 1) == ious[0]
    assert iou_at(ious, CAP) == ious[-1]


@given(masks, masks, masks)
def test_iou_is_symmetric_and_only_of_scored_pixels(one, other, scored):
    assert iou(one, other, scored) == iou(other, one, scored)
    assert iou(one, other, scored) == iou(one & scored, other | ~scored, scored)
    assert 0 <= iou(one, other, scored) <= 1
    assert iou(one, one, scored) == 1
