"""Clicks in an image that is large: read in parts, and nothing of the whole image's size is made for a click."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_wsss.project import Project
from tests.session.hand import Hand

SIDE = 2100


@pytest.fixture
def large(tmp_path):
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = np.where((y - 1500) ** 2 + (x - 1600) ** 2 < 40**2, 200, 40).astype(np.uint8)
    grey[100:200, 100:200] = 220
    tifffile.imwrite(tmp_path / "large.tif", grey, tile=(256, 256))
    with Project.create(tmp_path / "project", ["background", "thing"]) as project:
        project.add_images([tmp_path / "large.tif"])
    hand = Hand(model="random_walker")
    hand.session.open_project(tmp_path / "project")
    hand.settle()
    hand.session.choose_class(2)
    yield hand
    hand.close()
    assert not hand.failed


def test_a_click_is_answered_from_a_part_and_undone_exactly(large: Hand):
    s = large.session
    before = s.proposal.copy()
    s.drafting.click(1500, 1600)
    large.settle()
    truth = tifffile.imread(s.opened.record.file) == 200
    found = s.proposal == 2
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    assert all(part is not None and part.step == 1 for _, part in s.predicting._seen)
    s.drafting.accept()
    large.settle()
    assert np.array_equal(s.project.accepted(s.name).labels == 2, found)
    s.undo()
    s.undo()
    assert np.array_equal(s.proposal, before)
    assert s.project.accepted(s.name) is None


def test_steps_keep_windows_and_the_history_is_bounded_by_bytes(large: Hand, monkeypatch):
    s = large.session
    s.drafting.click(1500, 1600)
    large.settle()
    s.drafting.accept()
    (step,) = [step for step in s.opened.history.done if step.name == "accept"]
    assert 0 < step.size < 12 * 100 * 100
    monkeypatch.setattr("napari_wsss.session.steps._MOST_BYTES", step.size)
    s.drafting.click(150, 150)
    large.settle()
    s.drafting.accept()
    assert [step.name for step in s.opened.history.done] == ["accept"]
    s.undo()
    assert (s.opened.accepted > 0).sum() == (s.project.accepted(s.name).labels > 0).sum() > 0


def test_the_part_in_sight_is_seen_before_it_is_clicked(large: Hand):
    s = large.session
    seen = len(s.predicting._seen)
    s.looking.around(10, 10)
    large.settle()
    assert len(s.predicting._seen) == seen + 1
    s.drafting.click(150, 150)
    large.settle()
    assert len(s.predicting._seen) == seen + 1
    assert s.proposal[150, 150] == 2


def test_answers_count_in_what_may_be_kept(large: Hand, monkeypatch):
    s = large.session
    s.looking.around(10, 10)
    large.settle()
    (clicked,) = (seen for (_, part), seen in s.predicting._seen.items() if part is not None and part.box[:2] == (0, 0))
    pictures = 2 * (clicked.image.channels.nbytes + clicked.embedding.data.nbytes)
    for kept, memory in ((2, 0), (1, 1)):
        monkeypatch.setattr("napari_wsss.session.predicting._KEPT_BYTES", pictures + memory)
        if memory:
            s.drafting.click(150, 150)
            large.settle()
            assert clicked.memory
        s.looking.around(1800, 1900)
        large.settle()
        assert len(s.predicting._seen) == kept


def test_an_object_gets_a_number_that_no_other_has_also_after_undo_and_reopening(large: Hand):
    s = large.session
    s.drafting.click(1500, 1600)
    large.settle()
    s.drafting.accept()
    s.drafting.click(150, 150)
    large.settle()
    s.drafting.accept()
    assert set(np.unique(s.opened.instances)) == {0, 1, 2}
    s.open(s.name)
    large.settle()
    assert s.opened.free_instance() == 3
