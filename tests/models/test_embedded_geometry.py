"""The embedded model's frames and windows: a pixel keeps its place through both."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.models.embedded.encoder import MULTIPLE, STRIDE
from napari_wsss.models.embedded.frames import CELL, COARSE, FINE, FINEST, SIDE, comfortable, frames
from napari_wsss.models.embedded.prompts import CORNER, NOTHING, OPPOSITE
from napari_wsss.models.embedded.window import window_around
from napari_wsss.models.prompts import LOWEST_LOGIT, lowres_extent, to_lowres
from tests.models.drawn_nuclei import prompt

sides = st.integers(1, 3000)
fours = st.integers(1, 16).map(lambda n: 4 * n)


@given(sides, sides)
def test_frames_keep_the_pictures_form_and_fit_the_encoder(h: int, w: int) -> None:
    found = frames((h, w))
    longest = [max(f.rows, f.columns) for f in found]
    assert longest == sorted(longest, reverse=True)
    assert longest[-2:] == [FINE, COARSE]
    assert (len(found) == 3) == (max(h, w) > 1.5 * FINE)
    assert longest[0] <= max(FINEST, FINE)
    for frame in found:
        below, right = frame.padding
        assert 0 <= below < MULTIPLE
        assert 0 <= right < MULTIPLE
        assert frame.grid == ((frame.rows + below) // STRIDE, (frame.columns + right) // STRIDE)
        assert all(n % 4 == 0 for n in frame.grid)
        scale = max(frame.rows, frame.columns) / max(h, w)
        assert abs(frame.rows - h * scale) <= 1  # half a pixel, and never none
        assert abs(frame.columns - w * scale) <= 1


@given(st.data(), st.integers(1, 2000), st.integers(1, 2000))
def test_a_pixels_middle_maps_to_the_frame_and_back(data: st.DataObject, h: int, w: int) -> None:
    y, x = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    for frame in frames((h, w)):
        column, row, kind = frame.sparse(prompt([(y, x)]))[0, 0].tolist()
        assert kind == 1
        assert -0.5 <= row <= frame.rows - 0.5
        assert -0.5 <= column <= frame.columns - 0.5
        down, across = frame.scale
        assert abs((row + 0.5) / down - 0.5 - y) < 1e-2
        assert abs((column + 0.5) / across - 0.5 - x) < 1e-2


@given(st.integers(2, 900), st.integers(2, 900))
def test_mirrored_places_are_mirrored_in_the_frame(h: int, w: int) -> None:
    for frame in frames((h, w)):
        both = frame.sparse(prompt([(0, 0), (h - 1, w - 1)]))[0, :, :2].double()
        assert torch.allclose(both.sum(0), torch.tensor([frame.columns - 1.0, frame.rows - 1.0]).double(), atol=1e-2)


def test_the_whole_image_as_a_box_is_the_whole_frame() -> None:
    for frame in frames((100, 300)):
        said = frame.sparse(prompt(box=(0, 0, 100, 300)))[0]
        assert said[:, 2].tolist() == [CORNER, OPPOSITE]
        assert said[0, :2].tolist() == [0, 0]
        assert torch.allclose(said[1, :2], torch.tensor([frame.columns, frame.rows]).float(), atol=1e-3)


def test_no_prompt_is_one_that_says_nothing() -> None:
    said = frames((20, 30))[0].sparse(prompt())
    assert said.shape == (1, 1, 3)
    assert said[0, 0, 2] == NOTHING


@given(st.integers(40, 700), st.integers(40, 700), st.floats(0.1, 0.5), st.floats(0.3, 0.5))
def test_a_first_guess_lies_where_it_was_and_padding_is_not_the_object(h: int, w: int, at: float, size: float) -> None:
    logits = np.full((h, w), -6, np.float32)
    y0, x0 = int(at * h), int(at * w)
    y1, x1 = y0 + int(size * h), x0 + int(size * w)
    logits[y0:y1, x0:x1] = 6
    for frame in frames((h, w)):
        guess = frame.guess(prompt(guess=to_lowres(logits, SIDE)))
        assert guess is not None
        assert guess.shape == (1, 1, frame.grid[0] * STRIDE // CELL, frame.grid[1] * STRIDE // CELL)
        rows, columns = -(-frame.rows // CELL), -(-frame.columns // CELL)
        assert (guess[0, 0, rows:] == LOWEST_LOGIT).all()
        assert (guess[0, 0, :, columns:] == LOWEST_LOGIT).all()
        inside = torch.nonzero(guess[0, 0] > 0)
        down, across = (s / CELL for s in frame.scale)
        # as exact as a cell of the frame and one of the low-resolution frame
        reach = 1.5 + max(frame.rows, frame.columns) / CELL / SIDE
        for found, true in zip(inside.amin(0).tolist(), (y0 * down, x0 * across)):
            assert abs(found - true) <= reach
        for found, true in zip((inside.amax(0) + 1).tolist(), (y1 * down, x1 * across)):
            assert abs(found - true) <= reach


def test_a_prompt_that_says_its_size_is_answered_in_the_frame_that_suits() -> None:
    shape = (1600, 1600)  # frames of 1024, 512 and 256 pixels
    assert comfortable(shape, prompt([(5, 5)])) is None
    chosen = [comfortable(shape, prompt(box=(0, 0, n, n))) for n in (60, 110, 220, 450, 1600)]
    assert chosen == [0, 0, 1, 2, 2]
    logits = np.full(shape, -5, np.float32)
    logits[:400, :400] = 5
    assert comfortable(shape, prompt([(5, 5)], guess=to_lowres(logits, SIDE))) == 2
    nothing = np.full((SIDE, SIDE), LOWEST_LOGIT, np.float32)
    assert comfortable(shape, prompt([(5, 5)], guess=nothing)) is None
    assert comfortable(shape, prompt(box=(0, 0, 60, 60), guess=nothing)) == 0


def test_padding_of_a_first_guess_has_no_say_in_its_size() -> None:
    inner = lowres_extent((100, 400), SIDE)
    guess = np.full((SIDE, SIDE), 5, np.float32)  # also in the padding, which is nobody's
    guess[: inner[0], : inner[1]] = LOWEST_LOGIT
    assert comfortable((100, 400), prompt(guess=guess)) is None


# --------------------------------------------------------------------------- windows


@given(st.data(), fours, fours, fours, st.integers(1, 5))
def test_a_window_holds_all_places_in_multiples_of_four(
    data: st.DataObject, rows: int, columns: int, least: int, count: int
) -> None:
    inside = st.tuples(st.floats(0, rows), st.floats(0, columns))
    places = np.array(data.draw(st.lists(inside, min_size=count, max_size=count)))
    window = window_around(places, (rows, columns), least)
    assert window.height % 4 == 0
    assert window.width % 4 == 0
    assert window.height >= min(least, rows)
    assert window.width >= min(least, columns)
    assert 0 <= window.y <= window.bottom <= rows
    assert 0 <= window.x <= window.right <= columns
    assert (places[:, 0] >= window.y).all()
    assert (places[:, 0] <= window.bottom).all()
    assert (places[:, 1] >= window.x).all()
    assert (places[:, 1] <= window.right).all()


@given(st.data(), fours, fours)
def test_places_have_a_quarter_to_spare_where_the_grid_has_it(data: st.DataObject, rows: int, columns: int) -> None:
    least = 8
    place = np.array([[data.draw(st.floats(0, rows)), data.draw(st.floats(0, columns))]])
    window = window_around(place, (rows, columns), least)
    for at, low, high, end in (
        (place[0, 0], window.y, window.bottom, rows),
        (place[0, 1], window.x, window.right, columns),
    ):
        assert at - low >= least / 4 - 0.5 or low == 0
        assert high - at >= least / 4 - 0.5 or high == end


@given(fours, fours)
def test_without_a_place_and_with_a_large_least_the_window_is_the_grid(rows: int, columns: int) -> None:
    assert window_around(np.zeros((0, 2)), (rows, columns), 4).is_whole((rows, columns))
    assert window_around(np.zeros((1, 2)), (rows, columns), 64).is_whole((rows, columns))


def test_a_window_cuts_embedding_prompts_and_guess_at_the_same_place() -> None:
    window = window_around(np.array([[9.0, 14.0]]), (24, 32), 8)
    tokens = torch.arange(24.0)[:, None] * 100 + torch.arange(32.0)
    former = torch.zeros(1, 1, 96, 128)
    former[0, 0, 9 * 4 + 1, 14 * 4 + 2] = 1
    cut, said, guess = window.of(tokens[None, None], torch.tensor([[[14 * 8.0 + 4, 9 * 8.0 + 2, 1]]]), former)
    assert guess is not None
    column, row, kind = said[0, 0].tolist()
    assert cut[0, 0, int(row) // 8, int(column) // 8] == 914
    assert kind == 1
    assert guess.shape == (1, 1, 32, 32)
    assert guess[0, 0, int(row) // 2, int(column) // 2] == 1


def test_a_mask_is_cut_only_by_sides_that_are_not_the_grids() -> None:
    window = window_around(np.array([[0.0, 16.0]]), (24, 32), 8)
    assert window.y == 0
    mask = np.zeros((32, 32), bool)
    assert not window.cut(mask, (24, 32))
    mask[0] = True  # reaches the grid's own upper side, and the window's left and right ones
    assert window.cut(mask, (24, 32))
    mask[0, [0, -1]] = False
    assert not window.cut(mask, (24, 32))
    mask[-1, 5] = True
    assert window.cut(mask, (24, 32))
