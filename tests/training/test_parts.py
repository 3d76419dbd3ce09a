"""Views, the teacher, tiles and their order, signals, settings."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.errors import UsageError
from napari_wsss.project import ImageRecord
from napari_wsss.training.augmentation import Batch, content_kept, recoloured, strong, turned
from napari_wsss.training.gallery import Shown, Snapshot, held_out
from napari_wsss.training.settings import Training, with_values
from napari_wsss.training.step import _told, rate_at
from napari_wsss.training.teacher import follow, teacher_of, weight_of_past
from napari_wsss.training.tiles import Order, Place, cells, cut, window
from napari_wsss.training.yielding import Signals


def shown(shape=(50, 70), step=1, seed=None) -> Shown:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)[:, ::step, ::step]
    labels = np.zeros(shape, np.uint16) if seed is None else seed
    return Shown("a", x, step, np.ones(shape, bool), labels, None, None, None)


# --------------------------------------------------------------------------- teacher


def test_the_first_teacher_is_the_student_and_a_still_student_is_approached_as_told():
    torch.manual_seed(0)
    student = torch.nn.Linear(3, 2)
    teacher = teacher_of(torch.nn.Linear(3, 2))
    start = teacher.weight.clone()
    kept = 1.0
    for step in range(1, 6):
        past = weight_of_past(step, 0.9)
        follow(teacher, student, past)
        kept *= past
        assert torch.allclose(teacher.weight - student.weight, kept * (start - student.weight), atol=1e-6)
    follow(teacher, student, weight_of_past(0, 0.9))
    assert torch.equal(teacher.weight, student.weight)
    assert weight_of_past(10**6, 0.99) == 0.99


# --------------------------------------------------------------------------- views


def batch(count=3, side=8, channels=2) -> Batch:
    labels = torch.arange(count * side * side).reshape(count, side, side)
    return Batch(
        labels[:, None].repeat(1, channels, 1, 1).float(),
        labels[:, None].repeat(1, 3, 1, 1).float(),
        torch.ones(count, side, side, dtype=torch.bool),
        labels,
        labels[:, None] % 2 == 0,
        labels,
        labels.float(),
    )


def test_labels_turn_with_their_image():
    for upright in (True, False):
        found = turned(batch(), np.random.default_rng(1), upright)
        assert torch.equal(found.x[:, 0].long(), found.seed)
        assert torch.equal(found.places[:, 0].long(), found.seed)
        assert torch.equal(found.allow[:, 0], found.seed % 2 == 0)
        assert torch.equal(found.sureness.long(), found.noisy)
    upright = turned(batch(20), np.random.default_rng(1), True)
    assert all(int(tile.min()) in (tile[0, 0], tile[0, -1]) for tile in upright.seed)  # the top stays on top


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_colours_change_on_any_number_of_channels_and_stay_in_range(channels):
    torch.manual_seed(0)
    x = torch.rand(2, channels, 16, 16)
    for changed in (recoloured(x, 0.25, np.random.default_rng(0)), strong(x, np.random.default_rng(0))):
        assert changed.shape == x.shape
        assert 0 <= changed.min() <= changed.max() <= 1.0001
        assert not torch.equal(changed, x)


def test_a_view_that_destroyed_its_object_is_left_out():
    before = torch.zeros(3, 2, 8, 8)
    before[:, 0] = 1
    before[:, :, 2:5, 2:5] = before[:, :, 2:5, 2:5].flip(1)  # a small object of class 1
    after = before.clone()
    after[1, 0], after[1, 1] = 1, 0  # the object is gone, most pixels agree
    sure = torch.ones(3, 8, 8, dtype=torch.bool)
    assert content_kept(before, after, sure).tolist() == [True, False, True]
    assert content_kept(before, after, torch.zeros_like(sure)).tolist() == [True, True, True]


# --------------------------------------------------------------------------- tiles


@given(st.integers(20, 400), st.integers(20, 400), st.integers(0, 5))
def test_an_epoch_shows_every_cell_once(height, width, epoch):
    shot = Snapshot(("a", "b"), (), (), {}, {"a": (height, width), "b": (64, 64)})
    order = Order.of(shot, 64, epoch, seed=1)
    taken = []
    while not order.is_over:
        taken += order.take(3)
        order = Order.from_json(order.as_json())
    assert sorted(map(repr, taken)) == sorted(map(repr, [*cells("a", (height, width), 64), Place("b", 0, 0)]))
    assert Order.of(shot, 64, epoch, seed=1).places == taken


def test_a_tile_holds_the_labelled_pixel_of_its_cell():
    seed = np.zeros((200, 300), np.uint16)
    seed[150, 10], seed[20, 280] = 1, 2
    image = shown((200, 300), seed=seed)
    for place in cells("a", (200, 300), 64):
        for trial in range(5):
            y0, x0, y1, x1 = window(place, image, 64, 64, np.random.default_rng(trial))
            assert 0 <= y0 < y1 <= 200
            assert 0 <= x0 < x1 <= 300
    low = [p for p in cells("a", (200, 300), 64) if p.column == 0][-1]
    assert low == Place("a", 2, 0)
    y0, x0, y1, x1 = window(low, image, 64, 64, np.random.default_rng(0))
    assert y0 <= 150 < y1
    assert x0 <= 10 < x1


def test_beyond_the_image_nothing_counts():
    tile = cut(shown((20, 30), seed=np.ones((20, 30), np.uint16)), (0, 0, 32, 32), 2)
    assert tile.x.shape == (1, 32, 32)
    assert tile.inside.sum() == tile.seed.sum() == 600
    assert (tile.x[0, 20:, :30] == tile.x[0, 19, :30]).all()
    assert tile.allow.all()
    coarse = cut(shown((40, 40), step=4), (8, 4, 40, 36), 2)
    assert coarse.x.shape == (1, 8, 8)
    assert coarse.x[0, 0, 0] == 8 * 40 + 4


def record(name: str, state="accepted") -> ImageRecord:
    return ImageRecord(name, "", None, name * 7, "", (8, 8), state, "x")


def test_accepting_more_never_moves_a_trained_image_to_the_held_out_ones():
    names = [f"{n}.png" for n in range(60)]
    before: frozenset[str] = frozenset()
    for count in range(20, 60, 5):
        found = held_out([record(n) for n in names[:count]], 0.2, seed=3)
        assert 0 < len(found) < count / 2
        assert not (found - before) & set(names[: count - 5] if before else ())
        before = found
    assert held_out([record(n) for n in names], 0.2, 3) != held_out([record(n) for n in names], 0.2, 4)
    assert held_out([record(n) for n in names[:3]], 0.2, 3) == frozenset()
    assert held_out([record(n, "labelled") for n in names], 0.2, 3) == frozenset()
    assert len(held_out([record(n) for n in names[:5]], 1e-9, 3)) == 1


# --------------------------------------------------------------------------- settings, signals


def test_settings_come_back_from_json_and_from_words():
    asked = with_values(Training(), {"tile": "96", "unlabelled": "cw-bass", "balance": "no", "rate": "0.01"})
    assert (asked.tile, asked.unlabelled, asked.balance, asked.rate) == (96, "cw-bass", False, 0.01)
    assert Training.from_json(asked.to_json()) == asked
    assert with_values(asked, {"seed": "4"}).seed == 4
    for wrong, line in (
        ({"tile": "33"}, "multiple of 32"),
        ({"dreams": "1"}, "no setting 'dreams'"),
        ({"balance": "perhaps"}, "neither true nor false"),
        ({"unlabelled": "magic"}, "not one of off, cw-bass, unimatch"),
        ({"rate": "fast"}, "not a number"),
    ):
        with pytest.raises(UsageError, match=line):
            with_values(Training(), wrong)


def test_the_rate_rises_and_falls():
    rates = [rate_at(Training(rate=1.0), p) for p in (0, 0.05, 0.5, 1.0)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[1] == pytest.approx(1.0)
    assert rates[1] > rates[2] > rates[3] == pytest.approx(0.01)


def test_a_run_waits_while_somebody_clicks_or_paused_it(tmp_path):
    now = [1000.0]
    signals = Signals(tmp_path, lambda: now[0])
    signals.begin()
    saved = []
    assert signals.wait(lambda: saved.append(1)) == 0
    (tmp_path / "runs" / "busy").touch()
    os.utime(tmp_path / "runs" / "busy", (1000, 1000))

    def later(seconds: float) -> None:
        now[0] += seconds

    assert 0.9 < signals.wait(lambda: saved.append(1), later) < 1.2
    assert not saved
    (tmp_path / "runs" / "pause").touch()

    def resume(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 1010:
            (tmp_path / "runs" / "pause").unlink()

    assert signals.wait(lambda: saved.append(1), resume) > 8
    assert saved == [1]
    (tmp_path / "runs" / "pause").touch()
    (tmp_path / "runs" / "stop").touch()
    assert signals.wait(lambda: saved.append(1), resume) == 0
    signals.begin()
    assert not signals.stop


# --------------------------------------------------------------------------- what is told


def test_pseudo_labels_weigh_by_the_square_of_their_sureness_and_never_over_a_person():
    seed = torch.tensor([[[1, 0], [0, 0]]])
    noisy = torch.tensor([[[2, 2], [1, 2]]])
    sureness = torch.full((1, 2, 2), 0.5)
    inside = torch.tensor([[[True, True], [True, False]]])
    x, where, allow = torch.zeros(1, 1, 2, 2), torch.zeros(1, 3, 2, 2), torch.ones(1, 2, 2, 2, dtype=torch.bool)
    batch = Batch(x, where, inside, seed, allow, noisy, sureness)
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, 0, 1] = math.log(3)  # the network gives this pseudo-label 3/4, the other one 1/2
    told = Training(noisy=0.8, doubt=0.5)
    labels, weights = _told(batch, logits, told, 0.1)
    assert labels.tolist() == [[[1, 2], [1, 0]]]
    assert torch.allclose(weights[labels > 0], torch.tensor([1.0, 0.2, 0.2]))
    weights = _told(batch, logits, told, 0.5)[1]
    assert torch.allclose(weights[labels > 0], torch.tensor([1.0, 0.2 * 0.75**0.5, 0.2 * 0.5**0.5]))
    labels, weights = _told(batch, logits, Training(noisy=0.0), 0.5)
    assert labels is seed
    assert weights is None
