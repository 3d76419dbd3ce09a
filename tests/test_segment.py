"""One object by clicks, and the predictor that needs no weights."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.io import imread

from napari_wsss.close_up import look
from napari_wsss.errors import UsageError
from napari_wsss.models.prompts import Prediction, Prompt, SecondLook
from napari_wsss.models.random_walker_prompt import RandomWalkerPrompt
from napari_wsss.segment import Seen, segment, segment_file, segment_large
from napari_wsss.types import Image


def image_of(grey: np.ndarray) -> Image:
    return Image("i", "k", grey[None].astype(np.float32), np.ones(grey.shape, bool), (0, 0, 0))


def disc(shape, y, x, r):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= r * r


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def noisy(truth: np.ndarray, seed: int = 0) -> Image:
    grey = np.where(truth, 0.7, 0.2) + np.random.default_rng(seed).normal(0, 0.03, truth.shape)
    return image_of(np.clip(grey, 0, 1))


@settings(max_examples=20, deadline=None)
@given(st.integers(6, 45), st.integers(0, 99), st.integers(0, 99), st.booleans())
def test_one_click_finds_a_disc_of_any_size_wherever_it_lies(radius, y, x, dark):
    truth = disc((100, 100), y, x, radius)
    image = noisy(truth)
    if dark:
        image = image_of(1 - image.channels[0])
    # the outline is known to about a pixel, which is much of a disc of radius 6 cut by the border
    assert iou(segment(image, [(y, x, True)], [], RandomWalkerPrompt()), truth) > (0.75 if radius > 9 else 0.55)


def test_the_window_grows_around_a_large_object_of_a_large_image():
    truth = disc((600, 700), 300, 350, 180)
    assert iou(segment(noisy(truth), [(310, 330, True)], [], RandomWalkerPrompt()), truth) > 0.93


def test_a_negative_click_takes_a_touching_object_away():
    left, right = disc((80, 120), 40, 40, 20), disc((80, 120), 40, 76, 20)
    image = noisy(left | right)
    both = segment(image, [(40, 40, True), (40, 76, True)], [], RandomWalkerPrompt())
    assert iou(both, left | right) > 0.85
    one = segment(image, [(40, 40, True), (40, 76, False)], [], RandomWalkerPrompt())
    assert iou(one, left) > 0.8
    assert not one[40, 76]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 79)), min_size=1, max_size=6, unique=True),
    st.integers(0, 63),
    st.integers(0, 5),
)
def test_every_click_is_obeyed(pixels, signs, seed):
    image = image_of(ndimage.gaussian_filter(np.random.default_rng(seed).random((60, 80)), 3))
    points = [(y, x, bool(signs >> i & 1) or i == 0) for i, (y, x) in enumerate(pixels)]
    mask = segment(image, points, [], RandomWalkerPrompt())
    assert [bool(mask[y, x]) for y, x, _ in points] == [positive for _, _, positive in points]


def test_a_box_holds_the_object_and_bounds_it():
    truth = disc((80, 120), 40, 60, 18)
    mask = segment(noisy(truth), [], [(20, 40, 61, 81)], RandomWalkerPrompt())
    assert iou(mask, truth) > 0.85
    outside = np.ones(truth.shape, bool)
    outside[20:61, 40:81] = False
    assert not mask[outside].any()


@pytest.mark.parametrize("seed", range(3))
def test_clicks_far_outside_the_box_are_understood(seed, count):
    image, rng = noisy(disc((80, 90), 40, 45, 12)), np.random.default_rng(seed)
    for _ in range(count(6, 100)):
        y, x = int(rng.integers(70)), int(rng.integers(80))
        points = [(int(rng.integers(80)), int(rng.integers(90)), bool(rng.random() < 0.7)) for _ in range(3)]
        mask = segment(image, points, [(y, x, y + 8, x + 8)], RandomWalkerPrompt())
        assert mask.shape == (80, 90)


def test_a_first_guess_alone_leads_to_the_object():
    truth = disc((80, 120), 40, 60, 18)
    walker = RandomWalkerPrompt()
    embedding = walker.embed(noisy(truth))
    first = walker.predict(embedding, Prompt(np.array([[40, 60]]), np.array([True])))
    again = walker.predict(embedding, Prompt(np.zeros((0, 2), np.int64), np.zeros(0, bool), None, first.lowres[1]))
    assert iou(again.masks[1], truth) > 0.8


def test_nodata_is_never_the_object():
    truth = disc((80, 120), 40, 60, 18)
    image = noisy(truth)
    image.valid[:, :60] = False
    assert not segment(image, [(40, 70, True)], [], RandomWalkerPrompt())[:, :60].any()


def test_equal_input_gives_equal_masks_and_the_shapes_are_sams():
    truth = disc((50, 90), 25, 45, 12)
    walker = RandomWalkerPrompt()
    embedding = walker.embed(noisy(truth))
    prompt = Prompt(np.array([[25, 45], [2, 2]]), np.array([True, False]))
    a, b = (walker.predict(embedding, prompt) for _ in range(2))
    assert a.masks.shape == (3, 50, 90)
    assert a.lowres.shape == (3, 256, 256)
    assert ((a.iou >= 0) & (a.iou <= 1)).all()
    for part in ("masks", "iou", "lowres"):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


@pytest.mark.parametrize("grey", [np.zeros((40, 40)), np.full((1, 50), 0.5), np.eye(30)])
def test_blank_and_odd_images_give_an_answer_without_an_error(grey):
    mask = segment(image_of(grey), [(0, 5, True)], [], RandomWalkerPrompt())
    assert mask.shape == grey.shape


def test_many_channels_are_used():
    truth = disc((60, 60), 30, 30, 14)
    channels = np.full((6, 60, 60), 0.4, np.float32)
    channels[4][truth] = 0.6
    image = Image("i", "k", channels, np.ones((60, 60), bool), (0, 1, 2))
    assert iou(segment(image, [(30, 30, True)], [], RandomWalkerPrompt()), truth) > 0.85


class Fixed:
    """Answers every prompt with the same masks."""

    model, side, second_look = "fixed", 4, None

    def __init__(self, masks, scores):
        self.answer = Prediction(
            np.array(masks), np.array(scores, np.float32), np.zeros((len(masks), 4, 4), np.float32)
        )

    def embed(self, image):
        return None

    def predict(self, embedding, prompt):
        return self.answer


def test_an_obedient_mask_wins_over_one_that_scores_better():
    small, large = np.zeros((9, 9), bool), np.ones((9, 9), bool)
    small[3:6, 3:6] = True
    image = image_of(np.zeros((9, 9)))
    predictor = Fixed([small, large], [0.2, 0.9])
    assert segment(image, [(4, 4, True)], [], predictor).all()
    assert np.array_equal(segment(image, [(4, 4, True), (0, 0, False)], [], predictor), small)


@pytest.mark.parametrize(
    ("points", "boxes", "message"),
    [
        ([], [], "at least one point"),
        ([(3, 3, False)], [], "at least one point"),
        ([(9, 3, True)], [], "point 9,3 is outside the image of 9 rows and 12 columns"),
        ([], [(0, 0, 10, 3)], "box 0,0,10,3 is empty or outside"),
        ([], [(4, 4, 4, 8)], "empty or outside"),
    ],
)
def test_wrong_clicks_are_one_clear_line(points, boxes, message):
    with pytest.raises(UsageError, match=message):
        segment(image_of(np.zeros((9, 12))), points, boxes, RandomWalkerPrompt())


def deepest(mask: np.ndarray) -> tuple[int, int, float]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(y), int(x), float(depth.max())


def test_nuclei_by_one_and_by_five_clicks(shared_data, count):
    """A few real nuclei of the training images; a click goes to the deepest pixel of the largest error."""
    folder = shared_data / "nuclei_fluo"
    names = (folder / "train.txt").read_text().split()[:: count(10, 3)]
    scores = []
    for name in names:
        raw = imread(next((folder / "images").glob(f"{name}.*"))).astype(np.float32)
        raw = raw if raw.ndim == 2 else raw[..., 0]
        low, high = np.percentile(raw, (0.5, 99.5))
        image = image_of(np.clip((raw - low) / max(high - low, 1e-6), 0, 1))
        ids = imread(next((folder / "instances").glob(f"{name}.*")))
        areas = np.bincount(ids.ravel())
        truth = ids == np.flatnonzero(areas[1:] >= 60)[0] + 1
        walker = RandomWalkerPrompt()
        embedding = walker.embed(image)
        points, ious = [(*deepest(truth)[:2], True)], []
        for _ in range(5):
            mask = segment(image, points, [], walker, embedding)
            ious.append(iou(mask, truth))
            missed, wrong = deepest(truth & ~mask), deepest(mask & ~truth)
            points.append((*missed[:2], True) if missed[2] >= wrong[2] else (*wrong[:2], False))
        scores.append((ious[0], ious[-1]))
    first, fifth = np.mean(scores, 0)
    assert first > 0.5
    assert fifth > 0.65


class Recorded(Fixed):
    """Remembers what it was asked."""

    def __init__(self, masks, scores):
        super().__init__(masks, scores)
        self.prompts = []

    def predict(self, embedding, prompt):
        self.prompts.append(prompt)
        return super().predict(embedding, prompt)


def test_clicks_are_answered_one_after_the_other_and_only_the_new_one_costs_a_call():
    predictor, memory = Recorded([disc((60, 60), 20, 20, 10)], [0.9]), {}
    image, said = noisy(disc((60, 60), 20, 20, 10)), [(20, 20, True), (20, 32, True), (50, 50, False)]
    segment(image, said[:2], [], predictor, memory=memory)
    assert len(predictor.prompts) == 2
    first = segment(image, said, [], predictor, memory=memory)
    assert len(predictor.prompts) == 3
    assert [len(p.points) for p in predictor.prompts] == [1, 2, 3]
    assert predictor.prompts[0].mask_logits is None
    assert predictor.prompts[1].mask_logits is not None
    assert np.array_equal(first, segment(image, said, [], predictor))


def test_what_is_remembered_does_not_keep_the_proposals_that_were_not_taken():
    predictor, memory = Recorded([disc((60, 60), 20, 20, r) for r in (4, 10, 18)], [0.2, 0.9, 0.3]), {}
    segment(noisy(disc((60, 60), 20, 20, 10)), [(20, 20, True)], [], predictor, memory=memory)
    (answer,) = memory.values()
    assert answer.mask.base is None
    assert answer.logits.base is None


def test_a_click_far_off_the_last_mask_forgets_it():
    predictor = Recorded([disc((60, 60), 10, 10, 6)], [0.9])
    segment(noisy(disc((60, 60), 10, 10, 6)), [(10, 10, True), (40, 40, True)], [], predictor)
    assert predictor.prompts[1].mask_logits is None


def test_who_gets_better_by_a_second_look_is_shown_its_first_answer_once_unless_it_is_sure():
    predictor = Recorded([disc((60, 60), 20, 20, 10)], [0.9])
    image, clicks = noisy(disc((60, 60), 20, 20, 10)), [(20, 20, True), (20, 28, True)]
    for sure, asked in ((0.95, [(1, True), (1, False), (2, False)]), (0.85, [(1, True), (2, False)])):
        predictor.second_look = SecondLook(sure=sure, doubtful=0.1)
        segment(image, clicks, [], predictor)
        assert [(len(p.points), p.mask_logits is None) for p in predictor.prompts] == asked
        predictor.prompts.clear()
    predictor.second_look = SecondLook(sure=0.95, doubtful=0.1)
    segment(image, [], [(10, 10, 30, 30)], predictor)
    assert len(predictor.prompts) == 1


@pytest.mark.parametrize(("scores", "larger"), [([0.35, 0.3], True), ([0.45, 0.3], False), ([0.39, 0.0], False)])
def test_in_doubt_of_all_proposals_a_larger_one_is_preferred_if_it_is_not_much_worse(scores, larger):
    small, large = disc((60, 60), 30, 30, 8), disc((60, 60), 30, 30, 20)  # 1.8 factors of e: 0.37
    predictor = Fixed([small, large], scores)
    predictor.second_look = SecondLook(sure=0.0, doubtful=0.4)
    answer = segment(noisy(large), [(30, 30, True)], [], predictor)
    assert np.array_equal(answer, large if larger else small)


def test_of_answers_to_a_first_guess_a_larger_one_is_preferred():
    small, large = disc((60, 60), 30, 30, 8), disc((60, 60), 30, 30, 20)
    predictor = Fixed([small, large], [0.8, 0.7])
    for second, expected in ((None, small), (SecondLook(sure=0.0, doubtful=0.0), large)):
        predictor.second_look = second
        answer = segment(noisy(large), [(30, 30, True), (33, 30, True)], [], predictor)
        assert np.array_equal(answer, expected)


def test_a_click_off_the_object_waits_for_the_first_on_it():
    predictor = Recorded([disc((60, 60), 20, 20, 10)], [0.9])
    segment(noisy(disc((60, 60), 20, 20, 10)), [(50, 50, False), (20, 20, True)], [], predictor)
    assert [p.positive.tolist() for p in predictor.prompts] == [[False, True]]


def looking(image: Image, asked: list):
    """Parts of an image as `segment_large` sees them, each looked at once; what was read is noted."""
    known: dict = {}

    def read(box):
        asked.append(box)
        y0, x0, y1, x1 = box
        return Image("i", "k", image.channels[:, y0:y1, x0:x1], image.valid[y0:y1, x0:x1], (0, 0, 0))

    def see(part):
        if part not in known:
            shown = look(read, part)
            known[part] = Seen(shown, RandomWalkerPrompt().embed(shown))
        return known[part]

    return see


def in_large(image: Image, points, boxes=(), asked=None) -> np.ndarray:
    see = looking(image, [] if asked is None else asked)
    (y0, x0), found = segment_large(image.shape, points, boxes, RandomWalkerPrompt(), see)
    mask = np.zeros(image.shape, bool)
    mask[y0 : y0 + found.shape[0], x0 : x0 + found.shape[1]] = found
    return mask


def test_a_small_object_of_a_large_image_is_found_from_the_part_around_the_click_alone():
    truth, asked = disc((2600, 3000), 1300, 2900, 40), []
    image = noisy(truth)
    assert iou(in_large(image, [(1310, 2890, True)], asked=asked), truth) > 0.9
    assert asked == [(1024, 1976, 2048, 3000)]
    assert iou(in_large(image, [], [(1255, 2855, 1345, 2945)]), truth) > 0.9


def test_an_object_larger_than_the_part_is_found_in_a_larger_one():
    truth = disc((2600, 2600), 1300, 1300, 700)
    found = in_large(noisy(truth), [(1300, 1300, True)])
    assert iou(found, truth) > 0.95


def test_clicks_beside_an_object_of_a_large_image_take_away_and_far_ones_change_nothing():
    left, right = disc((2000, 2000), 1000, 960, 40), disc((2000, 2000), 1000, 1036, 40)
    image, on = noisy(left | right), (1000, 960, True)
    assert in_large(image, [on, (1000, 1036, True)])[1000, 1036]
    one = in_large(image, [on, (1000, 1036, False)])
    assert one[1000, 960]
    assert not one[1000, 1036]
    assert np.array_equal(in_large(image, [on, (1000, 1036, False), (5, 5, False)]), one)


def test_boxes_far_apart_in_a_large_image_are_united():
    truth = disc((2000, 3000), 100, 100, 40) | disc((2000, 3000), 1900, 2900, 40)
    found = in_large(noisy(truth), [], [(55, 55, 145, 145), (1855, 2855, 1945, 2945)])
    assert iou(found, truth) > 0.85


def test_a_large_file_is_segmented_to_a_mask_of_its_size(tmp_path):
    truth = disc((1700, 1800), 900, 900, 50)
    tifffile.imwrite(tmp_path / "a.tif", (noisy(truth).channels[0] * 255).astype(np.uint8))
    count = segment_file(tmp_path / "a.tif", "", [(900, 900, True)], [], RandomWalkerPrompt(), tmp_path / "m.png")
    mask = imread(tmp_path / "m.png") > 0
    assert mask.shape == truth.shape
    assert mask.sum() == count
    assert iou(mask, truth) > 0.9
