"""The refiner sam on ToySAM: acceptance, rejection, votes, and what it never does (methods.md C.0, C.1)."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.errors import Cancelled, CannotFeed, MissingModel, UsageError
from napari_wsss.models.prompts import Prediction, to_lowres
from napari_wsss.protocols import Context
from napari_wsss.refiners.sam import METHOD
from napari_wsss.registry import parameters
from napari_wsss.types import Class, Classes, Point
from tests.refiners.toy_sam import TWO, ColourWords, ToySam, disc, disc_scene, image_of, sample_of


@pytest.fixture
def scene():
    return disc_scene()


def refiner(predictor=None, context=None, **given) -> METHOD:
    return METHOD(METHOD.Params(**given), context or Context(TWO), predictor or ToySam())


class Answers:
    """A predictor that always answers with one mask and one set of logits."""

    model, side, second_look = "answers", 256, None

    def __init__(self, mask: np.ndarray, height: float = 10) -> None:
        self.mask, self.height = mask, height

    def embed(self, image):
        return None

    def predict(self, embedding, prompt):
        logits = to_lowres(np.where(self.mask, self.height, -10).astype(np.float32), self.side)
        return Prediction(self.mask[None], np.ones(1, np.float32), logits[None])


def bitten(truth: np.ndarray) -> np.ndarray:
    """A pseudo-label of the disc with a bite missing."""
    labels = np.where(truth, 2, 1)
    labels[30:50, 55:75] = 1
    return labels


def test_a_bitten_disc_becomes_the_full_disc(scene):
    image, truth = scene
    out = refiner()(sample_of(image, bitten(truth)), {})
    assert np.array_equal(out.labels == 2, truth)
    assert out.notes == ()


def test_a_negative_click_inside_the_disc_rejects_it(scene):
    image, truth = scene
    labels = bitten(truth)
    sample = sample_of(image, labels, [Point(40, 60, 1)])
    out = refiner(Answers(truth))(sample, {})
    assert np.array_equal(out.labels, labels)
    assert out.notes == ("SAM rejected: disc at 40,49: it covers a click of another class",)


def test_a_mask_that_misses_a_click_is_rejected(scene):
    image, truth = scene
    away = truth.copy()
    away[:, :40] = False
    sample = sample_of(image, np.where(truth, 2, 1), [Point(40, 33, 2)])
    assert "misses a click" in refiner(Answers(away))(sample, {}).notes[0]


@pytest.mark.parametrize(("radius", "accepted"), [(9, False), (11, True), (33, True), (36, False)])
def test_areas_between_a_quarter_and_three_times_pass(scene, radius, accepted):
    image, truth = scene
    answer = disc(truth.shape, (40, 50), radius)
    out = refiner(Answers(answer))(sample_of(image, np.where(truth, 2, 1)), {})
    assert (out.notes == ()) == accepted
    assert np.array_equal(out.labels == 2, answer if accepted else truth)


def test_a_mask_over_other_classes_strokes_is_rejected(scene):
    image, truth = scene
    seed = np.zeros(truth.shape, np.uint16)
    seed[40:42, 20:80] = 1
    out = refiner(Answers(truth))(sample_of(image, bitten(truth), seed=seed), {})
    assert "labelled as other classes" in out.notes[0]


def test_an_unstable_mask_is_rejected(scene):
    image, truth = scene
    out = refiner(Answers(truth, height=0.5))(sample_of(image, bitten(truth)), {})
    assert "unstable" in out.notes[0]
    assert np.array_equal(out.labels, bitten(truth))


@pytest.mark.parametrize("mode", ["prompts", "vote"])
def test_human_pixels_and_nodata_are_never_changed(scene, mode):
    image, truth = scene
    image.valid[:5] = False
    rng = np.random.default_rng(0)
    seed = (rng.integers(0, 60, truth.shape) == 0).astype(np.uint16) * rng.integers(1, 3, truth.shape)
    seed = seed.astype(np.uint16) * image.valid
    out = refiner(mode=mode, grid=6)(sample_of(image, bitten(truth), seed=seed.astype(np.uint16)), {})
    assert (out.labels[seed > 0] == seed[seed > 0]).all()
    assert (out.labels[:5] == 0).all()


@pytest.mark.parametrize("mode", ["prompts", "vote"])
def test_a_class_never_enters_where_it_cannot_be(scene, mode):
    image, truth = scene
    allow = np.ones((2, *truth.shape), bool)
    allow[1, :, 65:] = False
    labels = np.where(truth & allow[1], 2, 1)
    out = refiner(mode=mode, grid=6)(sample_of(image, labels, allow=allow), {})
    assert not (out.labels[:, 65:] == 2).any()
    assert (out.labels == 2).sum() > 500


def test_rejected_neighbours_are_not_painted_over():
    image = image_of(np.full((3, 40, 80), 0.5))
    labels = np.ones((40, 80), np.uint16)
    labels[10:30, 10:30] = 2
    labels[10:30, 32:42] = 3
    classes = Classes((*TWO, Class(3, "other", "#0000ff")))
    answer = np.zeros(labels.shape, bool)
    answer[10:30, 10:38] = True  # fits class 2, is too large for class 3's object only by position
    allow = np.ones((3, 40, 80), bool)
    allow[2, :, :36] = False
    out = refiner(Answers(answer), Context(classes))(sample_of(image, labels, allow=allow, classes=classes), {})
    assert (out.labels[10:30, 36:42] == 3).all()
    assert len(out.notes) == 1


def test_without_a_background_what_is_given_up_is_not_labelled(scene):
    image, truth = scene
    classes = Classes((Class(1, "ground", "#000000"), Class(2, "disc", "#ff0000")))
    smaller = disc(truth.shape, (40, 50), 15)
    labels = np.where(truth, 2, 0)
    out = refiner(Answers(smaller), Context(classes))(sample_of(image, labels), {})
    assert np.array_equal(out.labels == 2, smaller)
    assert (out.labels[truth & ~smaller] == 0).all()


def test_votes_complete_the_disc_and_say_how_many(scene):
    image, truth = scene
    out = refiner(mode="vote", grid=8)(sample_of(image, bitten(truth)), {})
    assert np.array_equal(out.labels == 2, truth)
    assert out.notes == ("SAM proposals: 1 of 1 claimed; 0 pixels are left open",)


def test_equal_inputs_give_equal_masks(scene):
    image, truth = scene
    runs = [refiner(mode=m, grid=6)(sample_of(image, bitten(truth)), {}) for m in ("prompts", "vote") * 2]
    assert np.array_equal(runs[0].labels, runs[2].labels)
    assert np.array_equal(runs[1].labels, runs[3].labels)


def test_no_pseudo_label_is_said(scene):
    with pytest.raises(CannotFeed, match="pseudo"):
        refiner()(sample_of(scene[0], None), {})


def test_phrases_need_an_encoder_that_knows_text(scene):
    with pytest.raises(CannotFeed, match="open_clip"):
        refiner(mode="phrase")(sample_of(scene[0], None), {})


def test_one_phrase_finds_the_red_disc():
    red, green = disc((60, 90), (30, 25), 12), disc((60, 90), (30, 65), 12)
    rgb = np.stack([np.where(red, 0.95, 0.05), np.where(green, 0.95, 0.05), np.full(red.shape, 0.05)])
    classes = Classes((Class(1, "background", "#000000", ("green",)), Class(2, "thing", "#ff0000", ("red",))))
    out = refiner(context=Context(classes, encoder=ColourWords()), mode="phrase")(
        sample_of(image_of(rgb), None, classes=classes), {}
    )
    assert np.array_equal(out.labels == 2, red)
    assert (out.labels[~red] == 1).all()


def test_cancelling_stops_between_objects(scene):
    def stop(done, total, what):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        refiner(context=Context(TWO, progress=stop))(sample_of(scene[0], bitten(scene[1])), {})


def test_absent_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    with pytest.raises((MissingModel, UsageError)) as caught:
        METHOD(METHOD.Params(), Context(TWO))
    assert "\n" not in str(caught.value)


def test_parameters_are_checked():
    assert parameters(METHOD, {"mode": "vote", "grid": "8"}, "refine").grid == 8
    with pytest.raises(UsageError, match="grid must be at least 1"):
        parameters(METHOD, {"grid": 0}, "refine")
