"""The default refiner: the walker's answer, with the objects that a person named over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_wsss.models.embedded.asked import asked
from napari_wsss.models.embedded.many import Cutout
from napari_wsss.models.embedded.predictor import load_embedded
from napari_wsss.protocols import Context
from napari_wsss.refiners import embedded as module
from napari_wsss.refiners.embedded import EmbeddedRefiner, EmbeddedRefinerParams
from napari_wsss.refiners.walker import Walker
from napari_wsss.types import Box, Class, Classes, Features, Image, Point, PseudoLabels, Sample, Stroke, WeakLabels
from napari_wsss.weak_labels import compile_target
from tests.models.drawn_nuclei import drawn, iou

CLASSES = Classes((Class(1, "background", "#808080"), Class(2, "cell", "#ff0000")))


@pytest.fixture(scope="module")
def scene():
    """A picture with nuclei (3, h, w), their masks, and pseudo-labels that know nothing."""
    picture, nuclei = drawn(5, 12, (160, 160))
    flat = np.full((2, 160, 160), 0.5, np.float16)
    pseudo = PseudoLabels(flat, np.ones((160, 160), np.uint16), np.ones((160, 160), np.float16))
    return np.asarray(picture, np.float32), nuclei, pseudo


def sample(scene, *marks, classes=CLASSES, flat=False):
    picture, _, pseudo = scene
    grey = picture if picture.ndim == 2 else picture.mean(-1 if picture.shape[-1] == 3 else 0)
    shown = np.zeros_like(grey) if flat else grey
    labels, valid = WeakLabels(marks=marks), np.ones(grey.shape, bool)
    image = Image("i", f"k{flat}", shown[None].astype(np.float32), valid, (0, 0, 0))
    target = compile_target(labels, classes, grey.shape, valid)
    return Sample("i", labels, lambda: target, lambda: image, lambda: Features(shown[None], 1), pseudo=lambda: pseudo)


def refined(given, classes=CLASSES, **params):
    return EmbeddedRefiner(EmbeddedRefinerParams(**params), Context(classes))(given, {})


def click(nucleus):
    return Point(*map(int, nucleus.click[:2]), 2)


def test_a_clicked_object_is_painted_and_the_rest_is_the_walkers(scene):
    given = sample(scene, click(scene[1][0]), Point(2, 2, 1))
    mask = refined(given, trust=0.0)
    walked = Walker(Walker.Params(), Context(CLASSES))(given, {})
    painted = asked(load_embedded(), given.image, given.labels, CLASSES)[0].cutout.in_image(given.image.shape)
    assert iou(painted, scene[1][0].truth) > 0.7
    changed = mask.labels != walked.labels
    assert not (changed & ~painted).any()
    assert (mask.labels[painted & (given.target.seed == 0)] == 2).all()


def test_what_a_person_gave_stays(scene):
    nucleus = scene[1][0]
    y, x = map(int, nucleus.click[:2])
    given = sample(scene, click(nucleus), Stroke(y + 2, x + 2, np.array([[1, 1]], np.uint16)))
    mask = refined(given, trust=0.0)
    assert (mask.labels == given.target.seed)[given.target.seed > 0].all()


def test_an_untrusted_mask_is_not_painted_and_the_notes_say_so(scene):
    given = sample(scene, click(scene[1][0]), Point(2, 2, 1))
    mask = refined(given, trust=1.0)
    assert np.array_equal(mask.labels, Walker(Walker.Params(), Context(CLASSES))(given, {}).labels)
    assert mask.notes == ("embedded: 1 of 1 objects not painted, estimated IoU too low",)


def test_nothing_is_asked_without_a_class_background_nor_where_nothing_is_to_be_seen(scene, monkeypatch):
    other = Classes((Class(1, "sky", "#808080"), Class(2, "cell", "#ff0000")))
    assert asked(load_embedded(), sample(scene).image, WeakLabels(marks=(click(scene[1][0]),)), other) == []
    monkeypatch.setattr(module, "asked", lambda *_: pytest.fail("a flat image was asked about"))
    assert refined(sample(scene, click(scene[1][0]), flat=True)).labels.shape == (160, 160)


def test_a_box_names_an_object_too_and_a_block_does_not(scene):
    y0, x0, y1, x1 = map(int, scene[1][1].box)
    image, predictor = sample(scene).image, load_embedded()
    (found,) = asked(predictor, image, WeakLabels(marks=(Box(y0, x0, y1, x1, 2),)), CLASSES)
    assert iou(found.cutout.in_image(image.shape), scene[1][1].truth) > 0.6
    assert asked(predictor, image, WeakLabels(marks=(Box(y0, x0, y1, x1, 2, True),)), CLASSES) == []


def test_the_same_question_is_answered_once_and_another_anew(scene):
    image, predictor, one = sample(scene).image, load_embedded(), click(scene[1][0])
    first = asked(predictor, image, WeakLabels(marks=(one,)), CLASSES)
    again = asked(predictor, image, WeakLabels(marks=(one,)), CLASSES)
    assert first[0].cutout is again[0].cutout
    moved = asked(predictor, image, WeakLabels(marks=(replace(one, x=one.x + 1),)), CLASSES)
    assert moved[0].cutout is not first[0].cutout


def test_small_objects_lie_on_top_of_large_ones_and_tags_and_boxes_hold():
    def thing(class_id, half):
        logits = np.full((2 * half, 2 * half), 3.0, np.float32)
        return module.Asked(class_id, Cutout((20 - half, 20 - half, 20 + half, 20 + half), logits, 0.9))

    allow = np.ones((3, 40, 40), bool)
    allow[1, :15] = False
    out = module._painted(np.ones((40, 40), np.uint16), [thing(3, 4), thing(2, 10)], allow)
    assert (out[16:24, 16:24] == 3).all()
    assert (out[24:30, 10:30] == 2).all()
    assert (out[10:15, 10:30] == 1).all()
