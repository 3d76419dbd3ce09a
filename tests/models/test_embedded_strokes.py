"""Strokes as clicks: one middle each, judged by the rest of the stroke."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.models.embedded import asked as room
from napari_wsss.models.embedded.many import Cutout
from napari_wsss.models.embedded.strokes import believed, pieces, stroked
from napari_wsss.types import Class, Classes, Image, Stroke, WeakLabels

SHAPE = (60, 80)
CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "cell", "#ff0000")))


def strokes(count, ground=True):
    """Rows of twelve pixels of class 2, and one of class 1 at the foot."""
    raster = np.zeros(SHAPE, np.uint16)
    for n in range(count):
        raster[4 + 8 * n, 10:22] = 2
    if ground:
        raster[58, 5:70] = 1
    return WeakLabels(marks=(Stroke(0, 0, raster),))


def whole(y0, x0, y1, x1, iou=0.9):
    return Cutout((y0, x0, y1, x1), np.full((y1 - y0, x1 - x0), 3.0, np.float32), iou)


def test_every_stroke_of_a_thing_is_one_click_on_itself():
    raster = stroked(strokes(5), SHAPE)
    found = list(pieces(raster, ground=1))
    assert [p.class_id for p in found] == [2] * 5
    for piece in found:
        assert piece.prompt.positive.tolist() == [True]
        assert raster[tuple(piece.prompt.points[0])] == 2
        assert 14 <= piece.prompt.points[0][1] <= 17


def test_a_dot_names_nothing_and_the_latest_stroke_lies_on_top():
    dot = np.zeros(SHAPE, np.uint16)
    dot[2, 2:5] = 2
    assert not list(pieces(stroked(WeakLabels(marks=(Stroke(0, 0, dot),)), SHAPE), 1))
    over = WeakLabels(marks=(Stroke(3, 9, np.full((2, 20), 2, np.uint16)), Stroke(4, 10, np.ones((1, 3), np.uint16))))
    raster = stroked(over, SHAPE)
    assert raster[4, 9:14].tolist() == [2, 1, 1, 1, 2]
    assert raster[3, 9:29].tolist() == [2] * 20


def test_a_mask_that_leaves_the_stroke_or_takes_another_class_is_not_believed():
    raster = stroked(strokes(6), SHAPE)
    found = list(pieces(raster, 1))
    good = [whole(2 + 8 * n, 8, 8 + 8 * n, 24) for n in range(6)]
    assert believed(found, good, raster) == [True] * 6
    half = [*good[:5], whole(42, 8, 48, 15)]
    assert believed(found, half, raster) == [False] * 6  # (5 + 1) / (6 + 2): too few are held
    many = stroked(strokes(7, ground=False), SHAPE)
    seven = list(pieces(many, 1))
    masks = [whole(2 + 8 * n, 8, 8 + 8 * n, 24) for n in range(7)]
    assert believed(seven, masks, many) == [True] * 7
    raster[58, 10:22] = 2
    raster[57, 10:22] = 1
    last = next(p for p in pieces(raster, 1) if p.inside[0, 0] == 58)
    assert last.is_held(whole(58, 8, 60, 24), raster) is False  # the foot's stroke of class 1 lies in it, too


def test_four_strokes_are_too_few_to_trust_and_five_are_enough():
    for count, trusted in ((4, False), (5, True)):
        raster = stroked(strokes(count), SHAPE)
        found = list(pieces(raster, 1))
        assert believed(found, [whole(2 + 8 * n, 8, 8 + 8 * n, 24) for n in range(count)], raster) == [trusted] * count


@pytest.mark.parametrize(("held", "expected"), [(True, 6), (False, 0)])
def test_strokes_are_asked_beside_clicks_and_only_believed_answers_come(monkeypatch, held, expected):
    asked_for = []

    def answered(predictor, image, prompts, progress):
        asked_for.extend(prompts)
        size = (8, 24) if held else (14, 17)
        return [whole(2 + 8 * n, size[0], 8 + 8 * n, size[1]) for n in range(len(prompts))]

    monkeypatch.setattr(room, "_answered", answered)
    image = Image("a", "", np.zeros((1, *SHAPE), np.float32), np.ones(SHAPE, bool), (0, 0, 0))
    found = room.asked(None, image, strokes(6), CLASSES)
    assert len(asked_for) == 6
    assert len(found) == expected
    without = Classes((Class(1, "field", "#000000"), Class(2, "cell", "#ff0000")))
    assert room.asked(None, image, strokes(6), without) == []
