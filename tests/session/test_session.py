"""The session without a window: click, correct, accept, undo, resume; what is on disk is what is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_wsss.acceptance import by_person
from napari_wsss.project import Project
from napari_wsss.session import Session
from napari_wsss.types import Box, Mask, Point, Stroke
from tests.session.hand import Hand
from tests.toy_projects import truth


def centre(seed: int) -> tuple[int, int]:
    y, x = np.argwhere(truth(seed) == 2).mean(0).round().astype(int)
    return int(y), int(x)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def state(session: Session) -> tuple:
    """All that a person sees of an image and all that the disk holds of it, in a comparable form."""
    o, project = session.opened, session.project
    accepted = project.accepted(o.name)
    marks = [repr(m) if not isinstance(m, Stroke) else _drawn(m) for m in project.labels(o.name).marks]
    shown = [repr(m) if not isinstance(m, Stroke) else _drawn(m) for m in o.marks.values()]
    assert marks == shown, "marks shown are not the marks on disk"
    disk = np.zeros(o.shape, int) if accepted is None else accepted.labels.astype(int)
    assert (disk == o.accepted).all()
    ids = np.zeros(o.shape, int) if accepted is None or accepted.instances is None else accepted.instances.astype(int)
    assert (ids == o.instances).all()
    clicks = o.draft and [(c.y, c.x, c.positive) for c in o.draft.clicks]
    tags = repr(o.tags)
    return marks, disk.tobytes(), ids.tobytes(), session.proposal.tobytes(), clicks, o.scribbles.tobytes(), tags


def _drawn(stroke: Stroke) -> str:
    return f"{stroke.y0} {stroke.x0} {stroke.raster.tobytes().hex()}"


def test_a_click_shows_the_object_and_accept_writes_it(hand: Hand):
    s = hand.session
    assert s.class_id == 2, "the first class that is no background is chosen"
    s.drafting.click(*centre(0))
    assert not s.opened.draft.answered
    hand.settle()
    assert iou(s.proposal == 2, truth(0) == 2) > 0.8
    s.drafting.accept()
    assert s.opened.draft is None
    assert not s.proposal.any()
    mask = s.project.accepted("0.png")
    assert iou(mask.labels == 2, truth(0) == 2) > 0.8
    (point,) = s.project.labels("0.png").points
    assert point == Point(*centre(0), 2, int(mask.instances.max()))
    assert s.project.state("0.png") == "accepted"


def test_a_label_is_on_disk_when_the_verb_returns(hand: Hand, folder: Path):
    hand.session.drafting.click(5, 7)
    with Project.open(folder) as other:
        assert [(p.y, p.x) for p in other.labels("0.png").points] == [(5, 7)]


def test_the_newest_click_wins_and_late_answers_are_dropped(hand: Hand):
    s = hand.session
    for k in range(6):
        s.drafting.click(centre(0)[0] + k - 3, centre(0)[1])
    hand.settle()
    assert s.opened.draft.answered
    assert len(s.opened.draft.clicks) == 6
    s.drafting.click(*centre(0))
    s.drafting.reject()
    hand.settle()
    assert s.opened.draft is None
    assert not s.proposal.any(), "the answer to a rejected object was shown"


def test_accept_before_the_answer_waits_for_it(hand: Hand):
    s = hand.session
    s.drafting.click(*centre(0))
    s.drafting.accept()
    assert s.project.accepted("0.png") is None
    hand.settle()
    assert iou(s.project.accepted("0.png").labels == 2, truth(0) == 2) > 0.8


def test_accepted_objects_are_protected_and_objects_have_ids_of_their_own(hand: Hand):
    s = hand.session
    s.drafting.click(*centre(0))
    hand.settle()
    s.drafting.accept()
    first = s.opened.accepted.copy()
    s.choose_class(1)
    s.drafting.paint((0, 0, *s.opened.shape), np.ones(s.opened.shape, bool), np.ones(s.opened.shape, bool))
    s.drafting.accept()
    assert (s.opened.accepted[first > 0] == 2).all()
    assert set(np.unique(s.opened.instances)) == {1, 2}
    s.drafting.click(*centre(0))
    hand.settle()
    assert not s.proposal.any(), "the proposal covers an accepted object"


def test_a_negative_click_corrects_and_painting_is_kept_by_later_answers(hand: Hand):
    s = hand.session
    y, x = centre(0)
    s.drafting.click(y, x)
    s.drafting.click(2, 2, positive=False)
    hand.settle()
    assert not s.proposal[2, 2]
    box = (0, 0, 4, 4)
    s.drafting.paint(box, np.ones((4, 4), bool), np.ones((4, 4), bool))
    off = (y - 1, x - 1, y + 2, x + 2)
    s.drafting.paint(off, np.ones((3, 3), bool), np.zeros((3, 3), bool))
    s.drafting.click(y + 4, x)
    hand.settle()
    assert s.proposal[:4, :4].all()
    assert not s.proposal[y - 1 : y + 2, x - 1 : x + 2].any()
    assert len(s.project.labels("0.png").strokes) == 1


def test_the_class_of_an_unfinished_object_can_be_changed(hand: Hand):
    s = hand.session
    s.drafting.click(*centre(0))
    hand.settle()
    s.choose_class(1)
    hand.settle()
    assert set(np.unique(s.proposal)) == {0, 1}
    assert [p.class_id for p in s.project.labels("0.png").points] == [1]
    s.undo()
    assert [p.class_id for p in s.project.labels("0.png").points] == [2]


def act(s: Session, rng: np.random.Generator) -> None:
    """One random action."""
    h, w = s.opened.shape
    y, x = int(rng.integers(h - 8)), int(rng.integers(w - 8))
    box = (y, x, y + 8, x + 8)
    changed, values = rng.random((8, 8)) < 0.5, rng.integers(0, 3, (8, 8)).astype(np.uint16)
    tokens = [t for t, m in s.opened.marks.items() if isinstance(m, Point | Box)]
    pick = int(rng.integers(12))
    if pick < 3:
        s.drafting.click(y, x, bool(rng.random() < 0.7))
    elif pick == 3:
        s.drafting.box(box)
    elif pick == 4:
        s.drafting.paint(box, changed, values > 0)
    elif pick == 5:
        s.labelling.scribble(box, changed, values)
    elif pick == 6:
        s.labelling.edit_accepted(box, np.where(changed, values, s.opened.accepted[y : y + 8, x : x + 8]))
    elif pick == 7:
        s.labelling.block(box)
    elif pick == 8 and tokens:
        token = tokens[int(rng.integers(len(tokens)))]
        if isinstance(s.opened.marks[token], Point):
            s.labelling.move_point(token, x, y)
        else:
            s.labelling.remove_marks([token])
    elif pick == 9:
        s.labelling.set_tag(int(rng.integers(1, 3)), [True, False, None][int(rng.integers(3))])
    elif pick == 10:
        s.drafting.reject()
    else:
        s.drafting.accept()


@pytest.mark.parametrize("seed", range(3))
def test_undo_takes_every_action_back_exactly_and_redo_does_it_again(hand: Hand, count, seed: int):
    s, rng = hand.session, np.random.default_rng(seed)
    start = state(s)
    for _ in range(count(30, 300)):
        before = len(s.opened.history.done)
        act(s, rng)
        hand.settle()
        state(s)
        assert len(s.opened.history.done) <= min(before + 1, 200)
    end, steps = state(s), len(s.opened.history.done)
    for _ in range(steps):
        s.undo()
        hand.settle()
        state(s)
    if steps < 200:
        assert state(s) == start
    for _ in range(steps):
        s.redo()
        hand.settle()
    assert state(s) == end


def test_undo_reaches_back_after_another_image_was_open(hand: Hand):
    s = hand.session
    s.drafting.click(*centre(0))
    hand.settle()
    s.drafting.accept()
    s.go(1)
    hand.settle()
    assert s.name == "1.png"
    s.drafting.click(*centre(1))
    hand.settle()
    s.go(-1)
    hand.settle()
    s.undo()
    hand.settle()
    assert s.project.accepted("0.png") is None
    assert iou(s.proposal == 2, truth(0) == 2) > 0.8
    s.undo()
    assert not s.project.labels("0.png").points
    s.go(1)
    hand.settle()
    assert s.opened.draft is not None, "the unfinished object of another image was lost"


def test_opening_images_quickly_shows_the_last_one_only(hand: Hand):
    opened = []
    hand.session.image_opened.connect(lambda: opened.append(hand.session.name))
    for name in ("1.png", "2.png", "0.png", "2.png"):
        hand.session.open(name)
    hand.settle()
    assert opened == ["2.png"]


def test_after_a_kill_the_next_session_goes_on_with_the_same_object(hand: Hand, folder: Path):
    s = hand.session
    s.open("1.png")
    hand.settle()
    y, x = centre(1)
    s.drafting.click(y, x)
    s.drafting.click(2, 2, positive=False)
    s.drafting.paint((0, 0, 4, 4), np.eye(4, dtype=bool), np.eye(4, dtype=bool))
    hand.settle()
    shown = s.proposal.copy()
    other = Hand()  # the first one never closed its project
    try:
        other.session.open_project(folder)
        other.settle()
        assert other.session.name == "1.png"
        assert (other.session.proposal == shown).all()
        other.session.drafting.accept()
        (edit,) = [p for p in other.session.project.labels("1.png").points if (p.y, p.x) == (y, x)]
        assert edit.instance == other.session.opened.instances[y, x]
    finally:
        other.close()


def test_stages_run_and_their_results_are_accepted_and_taken_back(hand: Hand):
    s = hand.session
    y, x = centre(0)
    for dy in (-4, 0, 4):
        s.labelling.scribble((y + dy, x, y + dy + 1, x + 1), np.ones((1, 1), bool), np.full((1, 1), 2, np.uint16))
    s.labelling.scribble((0, 0, 2, 56), np.ones((2, 56), bool), np.full((2, 56), 1, np.uint16))
    results = []
    s.results_changed.connect(lambda: results.append(s.opened.refined is not None))
    s.working.run(("pseudo", "refine"))
    hand.settle()
    assert results == [True]
    assert s.project.state("0.png") == "proposed"
    before = state(s)
    s.working.accept_result("refined")
    hand.settle()
    assert iou(s.opened.accepted == 2, truth(0) == 2) > 0.5
    state(s)
    s.undo()
    assert state(s) == before


def test_accepting_an_image_leads_to_the_next_and_undo_back_to_it(hand: Hand):
    s = hand.session
    for name in ("0.png", "1.png"):
        s.project.put_result(name, "refined", Mask(truth(0).astype(np.uint16)), "key", by_person("test"))
    s.open("0.png")
    hand.settle()
    before = state(s)
    s.working.accept_image()
    hand.settle()
    assert s.opened.name == "1.png"
    assert s.project.accepted("0.png") is not None
    s.working.accept_image()
    hand.settle()
    assert s.opened.name not in ("0.png", "1.png")
    for name in ("1.png", "0.png"):
        s.undo()
        hand.settle()
        assert s.opened.name == name
        assert not s.opened.accepted.any()
    assert state(s) == before
    s.redo()
    hand.settle()
    assert s.opened.accepted.any()


def test_accepting_the_last_image_stays_there(hand: Hand):
    s = hand.session
    last = s.records()[-1].name
    s.project.put_result(last, "refined", Mask(truth(0).astype(np.uint16)), "key", by_person("test"))
    s.open(last)
    hand.settle()
    s.working.accept_image()
    hand.settle()
    assert s.opened.name == last
    assert "last image" in hand.told[-1]


def test_cancelled_work_ends_and_is_told(hand: Hand):
    s = hand.session

    def work(job):
        while True:
            job.progress(1, 2, "turning")

    s.working.begin(work, "turning", lambda result: None)
    s.working.cancel()
    hand.settle()
    assert s.working.work is None
    assert "Stopped" in hand.told[-1]


def test_an_error_is_told_in_words_and_the_session_goes_on(folder: Path):
    hand = Hand()
    hand.session.open_project(folder)
    hand.settle()

    def work(job):
        raise RuntimeError("CUDA out of memory")

    hand.session.working.begin(work, "training", lambda result: None)
    hand.settle()
    assert not hand.failed
    assert "memory" in hand.session.shortage.words
    hand.session.drafting.click(*centre(0))
    hand.settle()
    assert hand.session.proposal.any()
    hand.close()
