"""The default label model's laws: who is heard, what is never changed, and that chance plays no part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_wsss.errors import CannotFeed
from napari_wsss.label_models import pooled
from napari_wsss.label_models.pooled import Pooled
from napari_wsss.protocols import Context
from napari_wsss.types import Box, Cam, Class, Classes, Features, Image, Point, Sample, Stroke, Tags, WeakLabels
from napari_wsss.weak_labels import compile_target

CLASSES = Classes(tuple(Class(i, n, "#808080") for i, n in enumerate(("background", "cell", "dirt"), 1)))
SHAPE = (40, 48)
QUICK = {"size": "small", "position": "no"}


def truth_of(seed):
    """Three textures in three bands, in an order that differs from image to image."""
    order = np.random.default_rng(seed).permutation([1, 2, 3])
    return np.repeat(order, 16)[None].repeat(SHAPE[0], 0)


def features_of(truth, seed, noise=0.25):
    """Six features: three tell the class, three tell nothing."""
    rng = np.random.default_rng(seed + 50)
    told = np.stack([truth == k for k in (1, 2, 3)]).astype(np.float32)
    return np.concatenate([told, np.zeros_like(told)]) + rng.normal(0, noise, (6, *SHAPE)).astype(np.float32)


def sample(n, labels, features=None, channels=None, valid=None, classes=CLASSES, cam=None):
    truth = truth_of(n)
    features = features_of(truth, n) if features is None else features
    channels = truth[None].astype(np.float32) / 3 if channels is None else channels
    valid = np.ones(SHAPE, bool) if valid is None else valid
    image = Image(f"{n}.png", f"k{n}", channels, valid, (0, 0, 0))
    return Sample(
        image.name,
        labels,
        lambda: compile_target(labels, classes, SHAPE, valid),
        lambda: image,
        lambda: Features(features, SHAPE[0] / features.shape[1]),
        cam=lambda: cam,
    )


def clicks(n, seed=0):
    """A click on each class."""
    truth, rng = truth_of(n), np.random.default_rng(seed + n)
    places = [np.argwhere(ndimage.binary_erosion(truth == k, iterations=2)) for k in (1, 2, 3)]
    return tuple(Point(*places[k - 1][rng.integers(len(places[k - 1]))].tolist(), k) for k in (1, 2, 3))


def clicked(n, **kwargs):
    return sample(n, WeakLabels(marks=clicks(n)), **kwargs)


def model(classes=CLASSES, **params):
    return Pooled(Pooled.Params(**{**QUICK, **params}), Context(classes))


@pytest.fixture(scope="module")
def fitted():
    return model().fit([clicked(n) for n in range(3)])


def accuracy(labels, n):
    return float((labels == truth_of(n)).mean())


def test_an_image_without_hints_is_answered_from_the_others(fitted):
    assert accuracy(model()(sample(9, WeakLabels()), fitted).labels, 9) > 0.9


def test_probabilities_sum_to_one_and_labels_follow_the_lead(fitted):
    answer = model(margin=0.3)(sample(9, WeakLabels()), fitted)
    p = answer.probabilities.astype(np.float32)
    assert np.allclose(p.sum(0), 1, atol=4e-3)
    lead = np.sort(p, 0)[-1] - np.sort(p, 0)[-2]
    assert (answer.labels[lead > 0.31] == (p.argmax(0) + 1)[lead > 0.31]).all()
    assert not answer.labels[lead < 0.29].any()


def test_equal_input_gives_equal_bits_and_the_random_state_is_left_alone(fitted):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    again = model().fit([clicked(n) for n in range(3)])
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert again.keys() == fitted.keys()
    assert all(np.array_equal(again[k], fitted[k]) for k in fitted)
    a, b = (model()(clicked(1), s) for s in (again, fitted))
    assert np.array_equal(a.probabilities, b.probabilities)


def test_another_seed_is_another_head(fitted):
    other = Pooled(Pooled.Params(**QUICK), Context(CLASSES, seed=1)).fit([clicked(n) for n in range(3)])
    assert any(not np.array_equal(other[k], fitted[k]) for k in fitted if k.startswith("head."))


def test_human_given_pixels_are_answered_as_given(fitted):
    wrong = WeakLabels(marks=(Point(20, 8, int(truth_of(9)[20, 8]) % 3 + 1),))
    answer = model()(sample(9, wrong), fitted)
    seed = compile_target(wrong, CLASSES, SHAPE).seed
    assert (answer.labels[seed > 0] == seed[seed > 0]).all()
    assert (answer.probabilities.argmax(0) + 1)[seed > 0].tolist() == seed[seed > 0].tolist()


def test_nodata_is_never_labelled_and_teaches_nothing():
    valid = np.ones(SHAPE, bool)
    valid[:, :20] = False
    good = [clicked(n) for n in range(2)]
    broken = features_of(truth_of(2), 2)
    broken[:, :, :20] = 1e6
    spoiled = WeakLabels(marks=(*clicks(2), Point(10, 5, 1), Point(30, 12, 2)))
    state = model().fit([*good, sample(2, spoiled, broken, valid=valid)])
    answer = model()(sample(2, spoiled, broken, valid=valid), state)
    assert not answer.labels[~valid].any()
    assert not answer.probabilities[:, ~valid].any()
    assert accuracy(model()(sample(9, WeakLabels()), state).labels, 9) > 0.85


def test_a_class_that_the_complete_tags_lack_never_appears(fitted):
    tags = Tags(frozenset({2}), frozenset(), True)
    answer = model()(sample(9, WeakLabels(tags)), fitted)
    assert not (answer.labels == 3).any()
    assert not answer.probabilities[2].any()


def test_how_far_a_class_is_believed_is_told_by_marks_and_not_by_answered_regions():
    """Regions are asked where it is hard: of a class that is mistaken there, less would be believed everywhere."""

    def hard(n):
        features = features_of(truth_of(n), n)
        features[:, :24] = np.roll(features[:, :24], 16, axis=2)  # the upper half looks like something else
        return features

    def upper(n):
        return np.where(np.arange(SHAPE[0])[:, None] < 30, truth_of(n), 0).astype(np.uint16)

    def region(n):
        return WeakLabels(mask=upper(n))

    def marked(n):
        return WeakLabels(marks=(Stroke(0, 0, upper(n)),))

    trust = {}
    for told in (region, marked):
        trust[told] = model().fit([sample(n, told(n), hard(n)) for n in range(6)])["trust"]
    assert (trust[region] == 1).all()
    assert (trust[marked] != 1).any()


def test_exchanged_hints_exchange_the_masks():
    def exchanged(n):
        marks = tuple(Point(p.y, p.x, {1: 1, 2: 3, 3: 2}[p.class_id]) for p in clicks(n))
        return sample(n, WeakLabels(marks=marks))

    state = model().fit([exchanged(n) for n in range(3)])
    labels = model()(sample(9, WeakLabels()), state).labels
    swapped = np.array([0, 1, 3, 2])[labels]
    assert accuracy(swapped, 9) > 0.9
    assert accuracy(labels, 9) < 0.5


def test_classes_in_another_order_are_known_as_well():
    scores = []
    for order in ((0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)):
        marks = [tuple(Point(p.y, p.x, order[p.class_id]) for p in clicks(n)) for n in range(3)]
        state = model().fit([sample(n, WeakLabels(marks=m)) for n, m in enumerate(marks)])
        labels = model()(sample(9, WeakLabels()), state).labels
        back = np.argsort(order)
        scores.append(accuracy(back[labels], 9))
    assert max(scores) - min(scores) < 0.06


def test_features_that_tell_nothing_give_chance():
    def random_features(n):
        return np.random.default_rng(n + 900).normal(0, 1, (6, *SHAPE)).astype(np.float32)

    strokes = [WeakLabels(marks=clicks(n)) for n in range(4)]
    state = model().fit([sample(n, s, random_features(n)) for n, s in enumerate(strokes)])
    labels = model(margin=0.0)(sample(9, WeakLabels(), random_features(9)), state).labels
    assert accuracy(labels, 9) < 0.45


def test_a_flat_image_is_answered_only_where_a_person_said_it(fitted):
    flat = np.full((1, *SHAPE), 0.4, np.float32)
    answer = model()(sample(9, WeakLabels(marks=(Point(20, 20, 2),)), channels=flat), fitted)
    seed = compile_target(WeakLabels(marks=(Point(20, 20, 2),)), CLASSES, SHAPE).seed
    assert np.array_equal(answer.labels, seed)
    assert answer.confidence[seed == 0].max() < 0.34


def _layered(n, informative):
    """Class 2 in the upper half of every image; features know it only where ``informative``."""
    truth = np.where(np.arange(SHAPE[0])[:, None] < 20, 2, 1) + np.zeros(SHAPE, int)
    rng = np.random.default_rng(n)
    features = rng.normal(0, 1, (3, *SHAPE)).astype(np.float32)
    if informative:
        truth = np.where(np.arange(SHAPE[1])[None] < 24, 1, 2) + np.zeros(SHAPE, int)
        if n % 2:
            truth = 3 - truth
        features[0] = truth
    places = [np.argwhere(truth == k) for k in (1, 2)]
    marks = tuple(Point(*p[rng.integers(len(p))].tolist(), k) for k, p in enumerate(places, 1) for _ in range(4))
    return sample(n, WeakLabels(marks=marks), features)


@pytest.mark.parametrize(("informative", "used"), [(False, True), (True, False)])
def test_position_is_used_where_held_out_images_say_that_it_pays(informative, used):
    state = model(position="auto").fit([_layered(n, informative) for n in range(6)])
    assert bool(state["position"].any()) is used


def test_features_of_a_coarse_grid_are_read_at_the_clicks():
    def coarse(n):
        return features_of(truth_of(n), n, 0.1).reshape(6, 10, 4, 12, 4).mean((2, 4))

    state = model().fit([clicked(n, features=coarse(n)) for n in range(3)])
    answer = model()(sample(9, WeakLabels(), coarse(9)), state)
    assert answer.labels.shape == SHAPE
    assert accuracy(answer.labels, 9) > 0.85


def test_activation_maps_stand_in_where_nobody_clicked():
    def mapped(n):
        truth = truth_of(n)
        scores = np.stack([truth == 2, truth == 3]).astype(np.float32)
        cam = Cam(scores, (2, 3), np.ones(2, np.float32), truth.astype(np.uint16))
        return sample(n, WeakLabels(Tags(frozenset({2, 3}), frozenset(), True)), cam=cam)

    state = model().fit([mapped(n) for n in range(3)])
    assert accuracy(model()(sample(9, WeakLabels()), state).labels, 9) > 0.9


def test_what_lies_close_together_counts_as_one_look():
    label = np.random.default_rng(0).integers(0, 3, (90, 130)).astype(np.uint16)
    label[:32, :32] = 1  # a region beside scattered pixels
    rows, columns = np.nonzero(label)
    weights = pooled._weights(label, rows, columns)
    for k in (1, 2):
        cells = {(y // 32, x // 32) for y, x in np.argwhere(label == k)}
        assert weights[label[rows, columns] == k].sum() == pytest.approx(len(cells), rel=1e-4)
    assert weights[(rows < 32) & (columns < 32)].sum() == pytest.approx(1)


def test_a_box_alone_teaches_its_object():
    def boxed(n):
        column = int(np.argmax(truth_of(n)[0] == 2))
        truth = np.where(truth_of(n) == 2, 2, 1)
        return sample(n, WeakLabels(marks=(Box(0, column, SHAPE[0], column + 16, 2),)), features_of(truth, n))

    state = model().fit([boxed(n) for n in range(3)])
    labels = model()(sample(9, WeakLabels(), features_of(np.where(truth_of(9) == 2, 2, 1), 9)), state).labels
    assert ((labels == 2) == (truth_of(9) == 2)).mean() > 0.9


def test_a_project_without_a_background_class():
    classes = Classes(tuple(Class(i, n, "#808080") for i, n in enumerate(("grass", "cell", "dirt"), 1)))
    state = model(classes).fit([clicked(n, classes=classes) for n in range(3)])
    assert accuracy(model(classes)(sample(9, WeakLabels(), classes=classes), state).labels, 9) > 0.9
    only = model(classes)(sample(9, WeakLabels(Tags(frozenset({2}), frozenset(), True)), classes=classes), state)
    assert (only.labels == 2).all()


def test_labels_of_one_class_alone_are_refused():
    with pytest.raises(CannotFeed, match="two classes"):
        model().fit([sample(0, WeakLabels(marks=(Point(3, 3, 1),)))])
    with pytest.raises(CannotFeed, match="no image"):
        model().fit([sample(0, WeakLabels())])


def test_surroundings_that_look_like_an_object_teach_nothing(monkeypatch):
    """Around a clicked object lie others that nobody clicked."""
    asked = []

    def rings(found, shape, ground):
        """All of every image, objects too, as if it were the ring around a clicked object."""
        asked.append(ground)
        return np.full(shape, ground, np.uint16)

    monkeypatch.setattr("napari_wsss.label_models.pooled.asked", lambda *_: [])
    monkeypatch.setattr("napari_wsss.label_models.pooled.object_seeds", rings)
    plain = [clicked(n, features=features_of(truth_of(n), n, noise=0.02)) for n in range(6)]
    state = model().fit(plain)
    assert asked == [1] * 6
    seen = sample(9, WeakLabels(), features=features_of(truth_of(9), 9, noise=0.02))
    assert accuracy(model()(seen, state).labels, 9) > 0.9


def test_where_nobody_hints_background_it_is_what_no_hinted_object_looks_like(monkeypatch):
    monkeypatch.setattr("napari_wsss.label_models.pooled.asked", lambda *_: [])
    monkeypatch.setattr("napari_wsss.label_models.pooled.object_seeds", lambda _, shape, __: np.zeros(shape, np.uint16))

    def objects_only(n):
        return sample(n, WeakLabels(marks=clicks(n)[1:]), features=features_of(truth_of(n), n, noise=0.1))

    seen = sample(9, WeakLabels(), features=features_of(truth_of(9), 9, noise=0.1))
    state = model().fit([objects_only(n) for n in range(6)])
    assert accuracy(model()(seen, state).labels, 9) > 0.9
    told = model(objects="no").fit([objects_only(n) for n in range(6)])
    assert not (model(objects="no")(seen, told).labels == 1).any()


def test_one_hint_of_background_ends_the_guessing(monkeypatch):
    monkeypatch.setattr("napari_wsss.label_models.pooled.asked", lambda *_: [])
    monkeypatch.setattr("napari_wsss.label_models.pooled.object_seeds", lambda _, shape, __: np.zeros(shape, np.uint16))
    samples = [sample(n, WeakLabels(marks=clicks(n)[1:])) for n in range(3)]
    assert model()._labelled_pixels(samples).guessed.any()
    assert not model()._labelled_pixels([*samples, clicked(3)]).guessed.any()
