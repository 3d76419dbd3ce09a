"""Large images are looked at in parts: which part, at which resolution, and that a mask comes back where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss import close_up
from napari_wsss.close_up import SIDE, CloseUp, closest, larger, look
from napari_wsss.types import Image

shapes = st.tuples(st.integers(900, 9000), st.integers(1600, 9000))


@settings(max_examples=200, deadline=None)
@given(shapes, st.data())
def test_a_part_holds_the_click_with_room_around_or_reaches_the_side(shape, data):
    y, x = (data.draw(st.integers(0, n - 1)) for n in shape)
    part = closest(shape, [(y, x, y + 1, x + 1)])
    assert part.step == 1
    y0, x0, y1, x1 = part.box
    for at, low, high, n in ((y, y0, y1, shape[0]), (x, x0, x1, shape[1])):
        assert 0 <= low < high <= n
        assert high - low == min(SIDE, n)
        assert low == 0 or at - low >= SIDE // 8
        assert high == n or high - 1 - at >= SIDE // 8 - 1
    assert (y0 + part.inside(y, x)[0], x0 + part.inside(y, x)[1]) == (y, x)


@settings(max_examples=200, deadline=None)
@given(shapes, st.data())
def test_a_part_holds_all_places_at_the_finest_resolution_that_can(shape, data):
    corners = [[data.draw(st.integers(0, n - 1)) for n in shape] for _ in range(3)]
    places = [(y, x, y + 1, x + 1) for y, x in corners]
    part = closest(shape, places)
    y0, x0, y1, x1 = part.box
    assert all(y0 <= y < y1 and x0 <= x < x1 for y, x in corners)
    assert max(y1 - y0, x1 - x0) <= SIDE * part.step
    spread = max(np.ptp([c[axis] for c in corners]) for axis in (0, 1))
    assert part.step == 1 or SIDE * part.step // 2 <= 4 * max(spread, 1) or part.box == (0, 0, *shape)


def test_clicks_near_one_another_share_a_part():
    parts = {closest((8192, 8192), [(y, x, y + 1, x + 1)]) for y in range(4100, 4300, 9) for x in range(4100, 4300, 9)}
    assert len(parts) == 1


def test_a_part_grows_only_where_the_mask_is_cut_off_and_ends_with_the_whole_image():
    shape, place = (5000, 5000), [(100, 2500, 101, 2501)]
    part = closest(shape, place)
    assert part.box[0] == 0
    mask = np.zeros((SIDE, SIDE), bool)
    mask[0, 500] = True  # at the image's own upper side
    assert larger(shape, part, mask, place) is None
    mask[500, -1] = True
    steps = []
    while part is not None:
        steps.append(part.step)
        size = -(-(part.box[2] - part.box[0]) // part.step), -(-(part.box[3] - part.box[1]) // part.step)
        part = larger(shape, part, np.ones(size, bool), place)
    assert steps == [1, 2, 4, 8]


def picture(shape=(2600, 3100)) -> Image:
    y, x = np.mgrid[: shape[0], : shape[1]]
    grey = ((y // 4 + x // 4) % 97 / 96).astype(np.float32)
    valid = np.ones(shape, bool)
    valid[:8, :8] = False
    return Image("i", "k", np.stack([grey, 1 - grey]) * valid, valid, (0, 1, 1))


def reader(image: Image, asked: list | None = None):
    def read(box):
        if asked is not None:
            asked.append(box)
        y0, x0, y1, x1 = box
        return Image(image.name, image.key, image.channels[:, y0:y1, x0:x1], image.valid[y0:y1, x0:x1], (0, 1, 1))

    return read


@pytest.mark.parametrize("step", [1, 2, 4])
def test_what_is_shown_is_the_mean_of_the_pixels_of_the_file_and_bears_a_key_of_its_own(step, monkeypatch):
    monkeypatch.setattr(close_up, "_STRIP", 2**18)
    image, asked = picture(), []
    box = (0, 0, 2600, 3100) if step == 4 else (0, 1036, SIDE * step, 1036 + SIDE * step)
    shown = look(reader(image, asked), CloseUp(box, step))
    assert max(shown.shape) <= SIDE
    y, x = shown.shape[0] - 1, shown.shape[1] // 2
    cell = image.channels[:, box[0] + y * step : box[0] + (y + 1) * step, box[1] + x * step : box[1] + (x + 1) * step]
    np.testing.assert_allclose(shown.channels[:, y, x], cell.mean((1, 2)), atol=1e-6)
    assert shown.key not in ("", image.key)
    assert shown.key != look(reader(image), CloseUp((512, 512, 1536, 1536), 1)).key
    assert step == 1 or max((b[2] - b[0]) * (b[3] - b[1]) for b in asked) <= 2**18
    assert shown.valid[0, 0] == (box[1] > 0)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_mask_comes_back_where_it_was_seen(step):
    part = CloseUp((512, 1024, 512 + 300 * step - 1, 1024 + 200 * step - 1), step)
    truth = np.zeros((part.box[2] - part.box[0], part.box[3] - part.box[1]), bool)
    truth[40 * step : 200 * step, 30 * step : 90 * step] = True
    back = part.pasted(truth[::step, ::step])
    assert back.shape == truth.shape
    assert (back & truth).sum() / (back | truth).sum() > 0.99
    assert part.box_inside((512 + 40 * step, 1024 + 30 * step, 512 + 200 * step, 1024 + 90 * step)) == (40, 30, 200, 90)
