"""What to label next: places with reasons, a stable queue, answers that label only what is open."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from napari_wsss.active_learning import Asking, answer, next_regions, rank
from napari_wsss.errors import UsageError
from napari_wsss.project import Project
from napari_wsss.types import Mask, Prediction, Provenance
from tests.toy_projects import BY, draw

MADE = Provenance("method", "toy", "2026-11-20T10:00:00Z")
SHAPE = (48, 56)


def halves(border: int, best: float = 0.8) -> Prediction:
    """Class 1 left of a border, class 2 right of it."""
    p = np.full((2, *SHAPE), 1 - best, np.float16)
    p[0, :, :border] = best
    p[1, :, border:] = best
    return Prediction((p.argmax(0) + 1).astype(np.uint16), p)


def overlapping(regions) -> bool:
    """Whether any two regions of an image share a pixel."""
    painted = {r.image: np.zeros(SHAPE, int) for r in regions}
    for r in regions:
        painted[r.image][r.box[0] : r.box[2], r.box[1] : r.box[3]] += 1
    return any(p.max() > 1 for p in painted.values())


@pytest.fixture
def project(tmp_path):
    draw(tmp_path / "images", 3)
    with Project.create(tmp_path / "project", ["ground", "thing"]) as project:
        project.add_images([tmp_path / "images"])
        for n, best in enumerate((0.95, 0.6, 0.8)):
            project.put_result(f"{n}.png", "predicted", halves(20 + n, best), "k", MADE)
        yield project


def test_the_unsurest_border_comes_first_with_its_reason(project):
    found = rank(project, 3, Asking(diverse=False)).regions
    assert [r.image for r in found] == ["1.png"] * 3
    assert all(r.box[1] < 21 < r.box[3] for r in found)
    assert found[0].score >= found[1].score >= found[2].score > 0
    assert "ground" in found[0].why
    assert "thing" in found[0].why
    assert set(found[0].classes) == {1, 2}
    assert rank(project, 3, Asking(diverse=False)) == rank(project, 3, Asking(diverse=False))


@pytest.mark.parametrize("strategy", ["hardness", "disagreement"])
def test_a_plane_that_was_predicted_says_where_to_ask(project, strategy):
    plane = np.zeros(SHAPE, np.float16)
    plane[30:40, 5:15] = 0.9
    found = halves(30)
    project.put_result(
        "2.png", "predicted", Prediction(found.labels, found.probabilities, 1, **{strategy: plane}), "k", MADE
    )
    batch = rank(project, 1, Asking(strategy, reach=2, diverse=False))
    y0, x0, y1, x1 = batch.regions[0].box
    assert batch.regions[0].image == "2.png"
    assert (plane[y0:y1, x0:x1] > 0).all()
    assert len(batch.notes) == 2  # the other images lack it


def test_windows_of_a_batch_do_not_overlap(project):
    found = rank(project, 60, Asking(reach=2, diverse=False)).regions
    assert not overlapping(found)


def test_a_share_of_a_batch_is_drawn_at_random_and_comes_last(project):
    asking = Asking(reach=2, diverse=False, explore=0.3)
    found = rank(project, 12, asking).regions
    assert [r.strategy for r in found] == ["ripu"] * 9 + ["random"] * 3
    assert sorted(r.image for r in found[9:]) == ["0.png", "1.png", "2.png"]  # spread evenly
    assert all(r.why.startswith("drawn at random; ") for r in found[9:])
    assert found == rank(project, 12, asking).regions
    assert not overlapping(found)
    assert {r.strategy for r in rank(project, 3, asking).regions} == {"ripu"}  # rounded down
    assert len(rank(project, 12, replace(asking, strategy="random")).regions) == 12
    with pytest.raises(UsageError, match="share of regions drawn at random"):
        Asking(explore=1.0)


def test_the_last_places_are_asked_even_if_they_are_drawn_at_random(project):
    mask = np.ones(SHAPE, np.uint16)
    mask[0, :2] = 0  # every window that is worth asking covers both
    project.accept("0.png", Mask(mask), BY)
    for name in ("1.png", "2.png"):
        project.accept(name, Mask(np.ones(SHAPE, np.uint16)), BY)
    asking = Asking(reach=2, diverse=False, explore=0.5)
    assert [(r.image, r.strategy) for r in rank(project, 2, asking).regions] == [("0.png", "random")]


@pytest.mark.parametrize("answered", ["accept", "skip", None])
def test_windows_of_later_rounds_do_not_overlap_earlier_ones(project, answered):
    asking = Asking(reach=2, cost=False, diverse=False)
    painted = {f"{n}.png": np.zeros(SHAPE, int) for n in range(3)}
    for count in (4, 8, 12):
        fresh = next_regions(project, count, asking).regions[-4:]
        for r in fresh:
            painted[r.image][r.box[0] : r.box[2], r.box[1] : r.box[3]] += 1
            if answered:
                answer(project, r.id, answered)
        if answered:
            count = 4
    assert max(p.max() for p in painted.values()) == 1
    assert sum(p.sum() for p in painted.values()) >= 8 * 20


def test_where_margins_leave_nothing_what_lies_between_regions_is_asked(project):
    project.skip("0.png")
    project.skip("1.png")
    asked = set()
    for _ in range(14):  # an image of 48 x 56 holds at most 12 centres that are 17 apart
        region = next_regions(project, 1, Asking("random", reach=8, diverse=False)).regions[0]
        answer(project, region.id, 1)
        asked.add(region.box)
    assert len(asked) == 14


def test_an_image_of_one_class_comes_after_every_border_and_then_by_its_uncertainty(project):
    flat = np.full((2, *SHAPE), 0.45, np.float16)
    flat[0] = 0.55  # less sure than any border, and nowhere impure
    flat[:, 30:, 30:] = np.array([0.9, 0.1])[:, None, None]
    project.put_result("0.png", "predicted", Prediction(np.ones(SHAPE, np.uint16), flat), "k", MADE)
    found = rank(project, 100, Asking(reach=2, cost=False, diverse=False)).regions
    last = max(n for n, r in enumerate(found) if r.image != "0.png")
    assert {r.image for r in found[: last + 1]} == {"1.png", "2.png"}
    plain = found[last + 1 :]
    assert plain
    assert {r.score for r in plain} == {0.0}
    assert all(a.uncertainty >= b.uncertainty for a, b in itertools.pairwise(plain))


def test_single_pixels_can_be_asked(project):
    asking = Asking("ripu", {"form": "pixels", "around": "6"}, diverse=False)
    found = rank(project, 5, asking).regions
    assert all(r.pixels == 1 for r in found)
    mine = [r.box[:2] for r in found if r.image == found[0].image]
    assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 6 for i, a in enumerate(mine) for b in mine[:i])


def test_constant_predictions_are_said_and_no_corner_is_asked(project):
    for n in range(3):
        flat = np.full((2, *SHAPE), 0.5, np.float16)
        project.put_result(f"{n}.png", "predicted", Prediction(np.ones(SHAPE, np.uint16), flat), "k", MADE)
    for strategy in ("ripu", "entropy", "margin"):
        with pytest.raises(UsageError, match="tell no place from another"):
            rank(project, 3, Asking(strategy))


def test_the_queue_keeps_its_order_and_is_filled_up(project):
    asking = Asking(diverse=False)
    first = next_regions(project, 4, asking).regions
    assert [r.id for r in first] == [1, 2, 3, 4]
    assert next_regions(project, 3, asking).regions == first[:3]
    answer(project, 2, "skip")
    then = next_regions(project, 4, asking).regions
    assert [r.id for r in then][:3] == [1, 3, 4]
    assert then[3].id == 5
    assert then[3].box != first[1].box or then[3].image != first[1].image  # what was skipped is not asked again
    anew = next_regions(project, 4, asking, renew=True).regions
    assert not {r.id for r in anew} & {2}
    assert project.region(2).status == "skipped"


def test_answers_label_only_the_open_pixels_of_the_region(project):
    first, second, third = next_regions(project, 3, Asking(reach=2, diverse=False)).regions
    y0, x0, y1, x1 = first.box
    before = np.zeros(SHAPE, np.uint16)
    before[y0, x0], before[0, 0] = 2, 1
    project.edit_mask(first.image, (0, 0, *SHAPE), before, BY)
    assert answer(project, first.id, 1) == first.pixels - 1
    wanted = before.copy()
    part = wanted[y0:y1, x0:x1]
    part[part == 0] = 1
    assert np.array_equal(project.accepted(first.image).labels, wanted)
    assert answer(project, second.id, "skip") == 0
    assert np.array_equal(project.accepted(first.image).labels, wanted)
    assert answer(project, third.id, "accept") == third.pixels
    a0, b0, a1, b1 = third.box
    wanted[a0:a1, b0:b1] = project.result(third.image, "predicted").labels[a0:a1, b0:b1]
    assert np.array_equal(project.accepted(third.image).labels, wanted)
    assert [project.region(r.id).status for r in (first, second, third)] == ["class", "skipped", "accepted"]
    with pytest.raises(UsageError, match="no class 7"):
        answer(project, third.id, 7)
    with pytest.raises(UsageError, match="no region 99"):
        answer(project, 99, "accept")


def test_a_half_labelled_region_asks_for_its_other_half(project):
    mask = np.zeros(SHAPE, np.uint16)
    mask[:24, :21], mask[:24, 21:] = 1, 2  # the upper half is accepted
    project.accept("1.png", Mask(mask), BY)
    best = rank(project, 4, Asking(reach=2, diverse=False)).regions
    assert all(r.box[2] > 24 for r in best if r.image == "1.png")
    plain = rank(project, 4, Asking(reach=2, cost=False, diverse=False)).regions
    assert {r.image for r in plain} == {"1.png"}


def test_the_only_place_left_is_asked_and_then_nothing(project):
    for n in range(3):
        mask = np.ones(SHAPE, np.uint16)
        mask[30, 40] = n > 0
        project.accept(f"{n}.png", Mask(mask), BY)
    asking = Asking("ripu", {"form": "pixels", "around": "6"})
    (last,) = next_regions(project, 5, asking).regions
    assert (last.image, last.box) == ("0.png", (30, 40, 31, 41))
    with pytest.raises(UsageError, match="nothing is left to ask"):
        rank(project, 1, Asking(reach=4))  # of a window around it all but that pixel is known
    answer(project, last.id, 2)
    with pytest.raises(UsageError, match="nothing is left to ask"):
        rank(project, 1, asking)


def test_everything_labelled_leaves_nothing_to_ask(project):
    for n in range(3):
        project.accept(f"{n}.png", Mask(np.ones(SHAPE, np.uint16)), BY)
    with pytest.raises(UsageError, match="nothing is left to ask"):
        rank(project, 3)


def all_borders_alike_but_of_one_image(image, boxes) -> np.ndarray:
    return np.tile([1.0, 0.0] if image.name == "0.png" else [0.0, 1.0], (len(boxes), 1))


def test_regions_that_look_alike_are_left_out_if_another_is_nearly_as_good(project):
    def images(asking):
        return {r.image for r in rank(project, 2, asking, features=all_borders_alike_but_of_one_image).regions}

    asking = Asking(reach=4)
    assert {r.image for r in rank(project, 2, asking).regions} == {"1.png"}
    assert images(asking) == {"1.png"}  # all borders of 0.png are too certain
    project.put_result("0.png", "predicted", halves(20, 0.65), "k", MADE)
    assert images(asking) == {"0.png", "1.png"}


def test_regions_drawn_at_random_are_not_chosen_by_features(project):
    asking = Asking("random", reach=2)
    drawn = rank(project, 6, asking, features=all_borders_alike_but_of_one_image).regions
    assert drawn == rank(project, 6, asking).regions


def test_no_image_has_more_than_its_share_of_a_batch(project):
    asking = Asking(reach=2, most=2)
    for features in (None, all_borders_alike_but_of_one_image):
        found = rank(project, 6, asking, features=features).regions
        assert sorted(r.image for r in found) == ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png"]


def test_without_predictions_the_way_is_named(tmp_path):
    draw(tmp_path / "images", 1)
    with Project.create(tmp_path / "project", ["a"]) as project:
        project.add_images([tmp_path / "images"])
        with pytest.raises(UsageError, match="napari-wsss train"):
            rank(project, 1)
        with pytest.raises(UsageError, match="no acquisition named 'dreams'"):
            rank(project, 1, Asking("dreams"))
