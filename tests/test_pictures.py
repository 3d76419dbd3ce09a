"""Pictures: what is drawn lies where it should, in the colour it should."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from napari_wsss import pictures
from napari_wsss.types import Box, Point, Stroke, WeakLabels

RED, GREEN = (255, 0, 0), (0, 255, 0)
COLOURS = {1: RED, 2: GREEN}


def grey(height=20, width=30, value=100):
    return np.full((height, width, 3), value, np.uint8)


def test_overlay_tints_outlines_and_leaves_the_rest():
    labels = np.zeros((20, 30), np.uint16)
    labels[5:15, 5:15] = 1
    out = pictures.overlay(grey(), labels, COLOURS, alpha=0.5)
    assert out[0, 0].tolist() == [100, 100, 100]
    assert out[10, 10].tolist() == [178, 50, 50]
    assert out[5, 10].tolist() == list(RED)
    assert (out[labels == 0] == 100).all()


def test_overlay_parts_touching_objects_and_spares_the_background():
    labels = np.full((20, 30), 2, np.uint16)
    labels[5:15, 5:25] = 1
    ids = np.zeros(labels.shape, np.uint32)
    ids[5:15, 5:15], ids[5:15, 15:25] = 1, 2
    out = pictures.overlay(grey(), labels, COLOURS, 0.5, ids, faint=2)
    assert out[10, 14].tolist() == [255, 255, 255]
    assert out[4, 10].tolist() == out[0, 0].tolist() == [80, 131, 80]
    assert out[5, 10].tolist() == list(RED)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(8, 64))
@settings(max_examples=40, deadline=None)
def test_sizes_agree_and_no_ids_are_invented(height, width, longest):
    factor = pictures.scale_to((height, width), longest)
    labels = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint16) * 7
    rgb = pictures.resized(grey(height, width), factor)
    small = pictures.resized_labels(labels, factor)
    scores = pictures.resized_scores(np.zeros((2, height, width), np.float32), factor)
    assert rgb.shape[:2] == small.shape == scores.shape[1:]
    assert max(small.shape) <= max(longest, 1)
    assert set(np.unique(small)) <= set(np.unique(labels))
    if factor >= 1:
        assert np.array_equal(small[:: int(factor), :: int(factor)], labels)


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5])
def test_hints_are_drawn_where_they_were_given(factor):
    stroke = np.zeros((4, 20), np.uint16)
    stroke[1:3] = 2
    hints = WeakLabels(marks=(Point(30, 40, 1), Stroke(8, 4, stroke), Box(40, 60, 60, 90, 1, fill=True)))
    rgb = pictures.resized(grey(80, 100), factor)
    out = pictures.draw_hints(rgb, hints, COLOURS, factor)
    assert out.shape == rgb.shape

    def at(y, x):
        return out[int((y + 0.5) * factor), int((x + 0.5) * factor)].tolist()

    assert at(30, 40) == list(RED)
    assert at(50, 75) == list(RED)
    assert np.argmax(at(10, 14)) == 1
    assert at(70, 5) == [100, 100, 100]


def test_later_stroke_lies_on_top():
    ones = np.ones((10, 10), np.uint16)
    out = pictures.draw_hints(grey(), WeakLabels(marks=(Stroke(0, 0, ones), Stroke(0, 0, ones * 2))), COLOURS)
    assert np.argmax(out[5, 5]) == 1


def test_difference_and_errors_tell_kinds_apart():
    before, after = (np.zeros((12, 40), np.uint16) for _ in range(2))
    after[:, 0:10], before[:, 10:20] = 1, 1
    before[:, 20:30], after[:, 20:30] = 1, 2
    out = pictures.difference(grey(12, 40), before, after)
    assert [np.argmax(out[6, x]) for x in (5, 15)] == [1, 0]
    assert out[6, 5, 1] > out[6, 35, 1] > out[6, 15, 1]
    wrong = pictures.errors(grey(12, 40), before, after)
    same = wrong[6, 35].tolist()
    assert wrong[6, 5].tolist() == same  # truth unknown there
    assert wrong[6, 25].tolist() != same


def test_heat_grows_with_the_score():
    scores = np.linspace(0, 1, 30, dtype=np.float32)[None, None].repeat(20, 1)
    out = pictures.class_heat(grey(), scores, (1,), COLOURS).astype(int).sum(-1)
    assert (np.diff(out[10, 15:]) > 0).all()
    two = pictures.class_heat(grey(), np.concatenate([scores, 1 - scores]), (1, 2), COLOURS)
    assert [np.argmax(two[10, x]) for x in (0, 29)] == [1, 0]


def test_montage_and_encoding():
    sheet = pictures.montage([[grey(), grey(40, 30)], [grey()]], gap=4)
    assert sheet.shape == (44, 30 + 4 + 15, 3)
    assert (sheet[20:24] == 255).all()
    data = pictures.encoded(sheet, "PNG")
    assert np.array_equal(np.asarray(Picture.open(io.BytesIO(data))), sheet)
    assert data == pictures.encoded(sheet, "PNG")
    assert pictures.encoded(sheet)[:2] == b"\xff\xd8"
