"""The queue of regions without a window: asked, answered, taken back; the same on disk as in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_wsss.active_learning import EXPLORE
from napari_wsss.project import Project
from napari_wsss.session.queue import LENGTH
from napari_wsss.training import Training, train
from napari_wsss.types import Mask, Region
from tests.session.hand import Hand
from tests.session.test_session import state
from tests.toy_projects import BY, clicks, truth


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first image is clicked, with a segmenter of a few steps."""
    from tests.toy_projects import make

    with make(tmp_path_factory.mktemp("taught"), count=4, clicked=0) as project:
        project.accept("0.png", Mask(truth(0).astype(np.uint16)), BY)
        project.add_marks("1.png", clicks(1), BY)
        train(project, Training("frozen", steps=30, tile=32, batch=2, threads=1), device="cpu")
        return project.folder


@pytest.fixture
def folder(taught: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(taught.parent, tmp_path / "copy")
    return tmp_path / "copy" / "project"


def asked(hand: Hand) -> list[Region]:
    hand.session.queue.ask()
    hand.settle()
    return list(hand.session.queue.waiting)


def status(hand: Hand, region: Region) -> str:
    return hand.session.project.region(region.id).status


def test_what_next_predicts_and_lists_regions_with_reasons(hand: Hand):
    regions = asked(hand)
    queue = hand.session.queue
    assert len(regions) == 12
    assert all("hesitates between" in r.why for r in regions)
    assert [r.id for r in regions] == [r.id for r in hand.session.project.regions(("asked",))]
    assert queue.current == regions[0]
    assert hand.session.opened.name == regions[0].image, "the first region is not looked at"
    assert hand.session.opened.predicted is not None
    assert asked(hand) == regions, "the order changed while nothing was answered"


def test_accepting_labels_the_open_pixels_and_goes_on(hand: Hand):
    regions = asked(hand)
    s = hand.session
    first = regions[0]
    y0, x0, y1, x1 = first.box
    before = s.project.accepted(first.image)
    s.queue.answer("accept")
    hand.settle()
    assert status(hand, first) == "accepted"
    labels = s.project.accepted(first.image).labels
    predicted = s.project.result(first.image, "predicted").labels
    was_open = np.ones((y1 - y0, x1 - x0), bool) if before is None else before.labels[y0:y1, x0:x1] == 0
    given = [p for p in s.project.labels(first.image).points if y0 <= p.y < y1 and x0 <= p.x < x1]
    assert (labels[y0:y1, x0:x1] == predicted[y0:y1, x0:x1])[was_open].mean() > (0.8 if given else 0.999)
    outside = np.ones(labels.shape, bool)
    outside[y0:y1, x0:x1] = False
    assert not (labels[outside] > 0).any() or before is not None
    assert s.queue.current == regions[1]
    assert s.opened.name == regions[1].image
    assert list(s.queue.waiting) == regions[1:]


@pytest.mark.parametrize("said", ["accept", "class", "skip"])
def test_every_answer_is_one_step_that_undo_takes_back_exactly(hand: Hand, said):
    regions = asked(hand)
    s = hand.session
    before = state(s)
    s.queue.answer(said)
    hand.settle()
    assert status(hand, regions[0]) == {"accept": "accepted", "class": "class", "skip": "skipped"}[said]
    s.undo()
    hand.settle()
    assert s.opened.name == regions[0].image
    assert state(s) == before
    assert status(hand, regions[0]) == "asked"
    assert list(s.queue.waiting) == regions, "the order is another one"
    assert s.queue.current == regions[0]
    s.redo()
    hand.settle()
    assert status(hand, regions[0]) != "asked"


@pytest.mark.parametrize("class_id", [1, 2])
def test_all_of_one_class_labels_what_is_open_with_the_chosen_class(hand: Hand, class_id: int):
    first = next(r for r in asked(hand) if r.image not in ("0.png", "1.png"))  # nobody labelled these
    s = hand.session
    s.queue.go(first)
    hand.settle()
    s.choose_class(class_id)
    s.queue.answer("class")
    hand.settle()
    s.open(first.image)
    hand.settle()
    y0, x0, y1, x1 = first.box
    assert (s.opened.accepted[y0:y1, x0:x1] == class_id).all()
    assert (s.opened.accepted > 0).sum() == first.pixels
    ids = np.unique(s.opened.instances[y0:y1, x0:x1])
    assert ids.tolist() == ([0] if class_id == 1 else [1]), "the background is no object; what was filled is one"


def test_a_second_press_before_the_first_is_taken_answers_nothing_unseen(hand: Hand):
    regions = asked(hand)
    hand.session.queue.answer("skip")
    hand.session.queue.answer("skip")
    hand.settle()
    assert [status(hand, r) for r in regions[:2]] == ["skipped", "asked"]
    assert hand.session.queue.current == regions[1]


def test_undo_goes_back_over_images_answer_by_answer(hand: Hand):
    regions = asked(hand)
    s = hand.session
    assert len({r.image for r in regions}) > 1
    for _ in regions:
        s.queue.answer("skip")
        hand.settle()
    assert not s.queue.waiting
    assert "No region waits any more" in hand.told[-1]
    for region in reversed(regions):
        s.undo()
        hand.settle()
        assert s.queue.current == region
        assert s.opened.name == region.image
        assert status(hand, region) == "asked"
    assert list(s.queue.waiting) == regions


def test_what_was_done_after_an_answer_is_undone_before_it(hand: Hand):
    regions = asked(hand)
    s = hand.session
    at = next(i for i in range(1, len(regions)) if regions[i].image != regions[i - 1].image)
    s.queue.go(regions[at - 1])
    hand.settle()
    s.queue.answer("skip")
    hand.settle()
    assert s.opened.name == regions[at].image
    s.drafting.click(3, 3)
    hand.settle()
    s.undo()
    hand.settle()
    assert s.opened.name == regions[at].image
    assert s.opened.draft is None
    s.undo()
    hand.settle()
    assert s.opened.name == regions[at - 1].image
    assert status(hand, regions[at - 1]) == "asked"


def test_the_queue_is_found_again_and_can_be_asked_anew(hand: Hand, folder: Path):
    regions = asked(hand)
    hand.session.queue.answer("skip")
    hand.settle()
    hand.session.leave_project()
    assert not hand.session.queue.waiting
    hand.session.open_project(folder)
    hand.settle()
    assert list(hand.session.queue.waiting) == regions[1:]
    hand.session.queue.strategy = "entropy"
    hand.session.queue.ask(renew=True)
    hand.settle()
    found = [r.strategy for r in hand.session.queue.waiting]
    by_chance = int(EXPLORE * LENGTH)
    assert found == ["entropy"] * (len(found) - by_chance) + ["random"] * by_chance


def test_the_next_other_image_is_looked_at_before_it_is_needed(hand: Hand):
    regions = asked(hand)
    queue = hand.session.queue
    others = [r.image for r in regions if r.image != regions[0].image]
    assert queue.ahead == others[0]
    assert (hand.session.project.record(others[0]).key, None) in hand.session.predicting._seen


def test_a_prediction_is_taken_over_as_one_step(hand: Hand):
    s = hand.session
    s.working.predict()
    hand.settle()
    s.open("3.png")
    hand.settle()
    before = state(s)
    s.working.accept_result("predicted")
    hand.settle()
    assert (s.project.accepted("3.png").labels == s.opened.predicted.labels).all()
    s.undo()
    assert state(s) == before


def test_without_a_segmenter_one_line_says_what_to_do(hand: Hand, folder: Path):
    for weights in folder.glob("runs/*/weights.safetensors"):
        weights.unlink()
    for verb in (hand.session.queue.ask, hand.session.working.predict):
        verb()
        hand.settle()
        assert "rain" in hand.told[-1]
    hand.session.queue.answer("accept")
    assert "ask what next" in hand.told[-1]
    assert not Project.open(folder).regions()


def test_images_are_sorted_worst_first_and_next_follows(hand: Hand):
    s = hand.session
    names = [r.name for r in s.records()]
    s.worst_first.sort(True)
    hand.settle()
    assert "No predicted image" in hand.told[-1]
    assert [r.name for r in s.records()] == names
    s.working.predict()
    hand.settle()
    s.worst_first.sort(True)
    hand.settle()
    from napari_wsss.quality import worst_first

    waiting = [q.image for q in worst_first(s.project)]
    assert [r.name for r in s.records()] == [*waiting, "0.png"], "an accepted image waits for no review"
    assert s.worst_first.words(waiting[0]).startswith("doubt ")
    assert s.worst_first.words("0.png") == ""
    s.open(waiting[0])
    hand.settle()
    s.go(1)
    hand.settle()
    assert s.opened.name == waiting[1]
    s.worst_first.sort(False)
    assert [r.name for r in s.records()] == names
