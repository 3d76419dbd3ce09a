"""Progressive prompting from a phrase (methods.md C.2)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.refiners._gensam import consistent_pass, heat_points, largest_box, phrase_heat, progressive, weighted
from tests.refiners.toy_sam import ColourWords, ToySam, disc, image_of


def coloured():
    red, green = disc((60, 90), (30, 25), 12), disc((60, 90), (30, 65), 12)
    rgb = np.stack([np.where(red, 0.95, 0.05), np.where(green, 0.95, 0.05), np.full(red.shape, 0.05)])
    return image_of(rgb), red, green


def heat_of(foreground, background):
    words = ColourWords()
    return phrase_heat(words, words.encode, foreground, background)


def test_the_heat_of_red_peaks_on_the_red_disc():
    image, red, _ = coloured()
    heat = heat_of(["red"], ["green"])(image)
    y, x = divmod(int(heat.argmax()), heat.shape[1])
    assert red[2 * y, 2 * x]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_exchanging_foreground_and_background_exchanges_the_points_exactly(seed, coarse):
    rng = np.random.default_rng(seed)
    heat = rng.normal(size=(9, 12)).astype(np.float32)
    if coarse:
        heat = np.round(heat)
    positive, negative = heat_points(heat, (90, 60))
    swapped_positive, swapped_negative = heat_points(-heat, (90, 60))
    assert np.array_equal(positive, swapped_negative)
    assert np.array_equal(negative, swapped_positive)
    assert len(positive) == len(negative) > 0


def test_exchanged_words_exchange_points_and_masks():
    image, red, green = coloured()
    ours, theirs = (heat_of([a], [b])(image) for a, b in (("red", "green"), ("green", "red")))
    assert np.array_equal(ours, -theirs)
    a, b = heat_points(ours, image.shape), heat_points(theirs, image.shape)
    assert np.array_equal(a[0], b[1])
    assert np.array_equal(a[1], b[0])
    for words, truth in ((("red", "green"), red), (("green", "red"), green)):
        assert np.array_equal(progressive(image, heat_of(words[:1], words[1:]), ToySam()).mask, truth)


def test_points_do_not_crowd_on_one_token():
    heat = np.zeros((10, 10), np.float32)
    heat[2:4, 2:4] = 1
    heat[7, 7] = 0.95
    positive, _ = heat_points(heat, (10, 10))
    assert sorted(positive.tolist()) == [[2, 2], [7, 7]]


def test_flat_heat_gives_no_points_and_no_mask():
    image, _, _ = coloured()
    assert all(len(p) == 0 for p in heat_points(np.ones((4, 4), np.float32), (8, 8)))
    assert progressive(image, lambda _: np.ones((4, 4), np.float32), ToySam()) is None


def test_the_majority_is_chosen_when_one_of_six_passes_is_corrupted():
    good = disc((40, 40), (20, 20), 10).astype(np.float32)
    for broken in range(6):
        soft = np.stack([good * 0.9] * 6)
        soft[broken] = 1 - soft[broken]
        assert consistent_pass(soft) == (0 if broken else 1)


def test_it_stops_when_the_mask_has_settled_and_embeds_once_without_reweighting():
    image, red, _ = coloured()
    toy = ToySam()
    out = progressive(image, heat_of(["red"], ["green"]), toy, passes=6, reweight=False)
    assert len(out.masks) == 2
    assert toy.embedded == 1
    assert np.array_equal(out.mask, red)


def test_passes_are_all_made_while_the_mask_changes():
    image, _, _ = coloured()
    calls = iter([("red", "green"), ("green", "red")] * 3)
    out = progressive(image, lambda i: heat_of(*[[w] for w in next(calls)])(i), ToySam(), passes=5)
    assert len(out.masks) == 5


def test_reweighting_darkens_what_is_not_the_object():
    image, red, _ = coloured()
    seen = weighted(image, image, red.astype(np.float32))
    np.testing.assert_allclose(seen.channels[:, red], image.channels[:, red], rtol=1e-6)
    np.testing.assert_allclose(seen.channels[:, ~red], 0.7 * image.channels[:, ~red], rtol=1e-6)
    assert seen.key != image.key


def test_the_next_box_is_that_of_the_largest_part():
    mask = np.zeros((100, 100), bool)
    mask[10:15, 10:15] = True
    mask[40:80, 30:90] = True
    assert largest_box(mask) == (38, 27, 82, 93)
    assert largest_box(np.zeros((4, 4), bool)) is None
