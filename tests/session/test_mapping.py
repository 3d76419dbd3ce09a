"""Activation maps: thresholds that later stages follow, seeds that are painted in, boxes; and contradictions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.types import Box, Cam, Point, PseudoLabels, Stroke
from tests.session.hand import Hand
from tests.session.test_session import state

SHAPE = (48, 56)


def a_map() -> Cam:
    """Two blobs joined by a weak bridge."""
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scores = np.zeros(SHAPE, np.float32)
    scores[22:26, 12:44] = 0.3
    for x in (14, 42):
        away = np.hypot(yy - 24, xx - x) / 10
        scores = np.maximum(scores, np.where(away <= 1, 1 - 0.6 * away**2, 0)).astype(np.float32)
    return Cam(scores[None], (2,), np.ones(1, np.float32), np.where(scores > 0.5, 2, 0).astype(np.uint16))


def pseudo(labels: np.ndarray) -> PseudoLabels:
    p = np.stack([labels == 1, labels == 2]).astype(np.float16)
    return PseudoLabels(p, labels.astype(np.uint16), np.ones(labels.shape, np.float16))


@pytest.fixture
def hand(hand: Hand) -> Hand:
    s = hand.session
    assert s.opened.shape == SHAPE
    s.project.put_result("0.png", "cam", a_map(), "key", by_person("test"))
    s.open("0.png")
    hand.settle()
    s.mapping.refresh()
    hand.settle()
    return hand


def test_thresholds_are_tried_then_kept_and_other_programs_see_them(hand: Hand, folder):
    s = hand.session
    assert np.array_equal(s.opened.map_seeds, s.opened.cam.seeds)
    s.mapping.try_thresholds(0.1, 0.8)
    hand.settle()
    scores = s.opened.cam.scores[0]
    assert np.array_equal(s.opened.map_seeds == 2, scores >= np.float32(0.8))
    assert np.array_equal(s.opened.map_seeds == 1, scores <= np.float32(0.1))
    assert s.project.classes[2].thresholds is None, "a slider in motion is not written"
    s.mapping.keep()
    with Project.open(folder) as other:
        assert other.classes[2].thresholds == (0.1, 0.8)
    s.mapping.reset()
    hand.settle()
    assert np.array_equal(s.opened.map_seeds, s.opened.cam.seeds)
    assert s.project.classes[2].thresholds is None


def test_what_is_tried_is_not_lost_when_the_project_is_left(hand: Hand, folder):
    hand.session.mapping.try_thresholds(0.2, 0.7)
    hand.session.leave_project()
    with Project.open(folder) as other:
        assert other.classes[2].thresholds == (0.2, 0.7)


def test_pseudo_labels_are_out_of_date_with_other_thresholds_and_maps_are_not(hand: Hand):
    from napari_wsss.pipeline import Plan, run

    s = hand.session
    y, x = 24, 14
    s.labelling._add("point", Point(y, x, 2))
    s.labelling._add("point", Point(2, 2, 1))
    first = run(s.project, Plan(stages=("pseudo",), images=["0.png"], device="cpu"))
    assert first.computed["pseudo"] == ["0.png"]
    again = run(s.project, Plan(stages=("pseudo",), images=["0.png"], device="cpu"))
    assert not again.computed["pseudo"]
    cam = s.project.result_keys("cam")
    s.mapping.try_thresholds(0.1, 0.8)
    s.mapping.keep()
    after = run(s.project, Plan(stages=("pseudo",), images=["0.png"], device="cpu"))
    assert after.computed["pseudo"] == ["0.png"]
    assert s.project.result_keys("cam") == cam


def test_a_method_gets_the_seeds_of_the_thresholds(hand: Hand):
    from napari_wsss.pipeline import sample_of

    s = hand.session
    s.mapping.try_thresholds(0.1, 0.8)
    s.mapping.keep()
    sample = sample_of(s.project, s.project.record("0.png"), lambda image: None)
    assert np.array_equal(sample.cam.seeds == 2, a_map().scores[0] >= np.float32(0.8))


def test_painted_seeds_are_strokes_of_the_person_and_shown_on_top(hand: Hand):
    s, before = hand.session, state(hand.session)
    box = (0, 0, 4, 4)
    s.labelling.correct("seeds", box, np.ones((4, 4), bool), np.full((4, 4), 1, np.uint16))
    (stroke,) = s.project.labels("0.png").strokes
    assert isinstance(stroke, Stroke)
    assert (s.opened.preview("seeds", box) == 1).all()
    s.undo()
    assert state(s) == before


def test_boxes_of_the_map_are_one_step_and_are_not_made_twice(hand: Hand):
    s, before = hand.session, state(hand.session)
    s.mapping.try_thresholds(0.25, 0.7)
    s.mapping.add_boxes()
    hand.settle()
    boxes = s.project.labels("0.png").boxes
    assert len(boxes) == 2
    assert all(isinstance(b, Box) and b.class_id == 2 for b in boxes)
    assert sorted(abs((b.x0 + b.x1 - 1) / 2 - x) < 3 for b, x in zip(sorted(boxes, key=lambda b: b.x0), (14, 42)))[0]
    s.mapping.add_boxes()
    hand.settle()
    assert len(s.project.labels("0.png").boxes) == 2
    s.undo()
    assert state(s) == before
    s.choose_class(1)
    s.mapping.add_boxes()
    assert "no map of this class" in hand.told[-1]


def test_contradictions_are_found_and_agreement_is_none(hand: Hand):
    s = hand.session
    labels = np.ones(SHAPE, np.uint16)
    labels[10:30, 10:30] = 2
    s.project.put_result("0.png", "pseudo", pseudo(labels), "key", by_person("test"))
    s.labelling._add("point", Point(20, 20, 2))
    s.labelling._add("point", Point(40, 40, 2))  # amid background
    s.open("0.png")
    hand.settle()
    s.mapping.refresh()
    hand.settle()
    found = s.opened.contradictions
    assert found[40, 40]
    assert not found[20, 20]
    assert not found[:30].any()
    one = np.ones((2, 2), bool)
    s.labelling.scribble((12, 12, 14, 14), one, np.full((2, 2), 1, np.uint16))
    s.mapping.refresh()
    hand.settle()
    assert s.opened.contradictions[12:14, 12:14].all(), "another class was drawn over the answer"
    assert s.opened.contradictions[:30].sum() == 4


def test_later_stages_follow_a_correction_where_that_is_wanted(hand: Hand):
    s = hand.session
    s.labelling._add("point", Point(24, 14, 2))
    s.labelling._add("point", Point(2, 2, 1))
    s.working.run(("pseudo",))
    hand.settle()
    before = s.project.result_keys("pseudo")["0.png"]
    box, on = (40, 40, 44, 44), np.ones((4, 4), bool)
    s.labelling.correct("pseudo", box, on, np.full((4, 4), 1, np.uint16))
    hand.settle()
    assert s.project.result_keys("pseudo")["0.png"] == before, "nobody wanted it"
    s.working.follows = True
    s.labelling.correct("pseudo", (30, 40, 34, 44), on, np.full((4, 4), 2, np.uint16))
    hand.settle()
    assert s.project.result_keys("pseudo")["0.png"] != before
    assert (s.opened.pseudo.labels[30:34, 40:44] == 2).all()
    assert (s.opened.pseudo.labels[40:44, 40:44] == 1).all()
