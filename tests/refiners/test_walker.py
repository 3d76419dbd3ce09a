"""The default refiner's oracles: edges stop a walker, hints and nodata hold, nothing comes from nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_wsss.errors import CannotFeed
from napari_wsss.protocols import Context
from napari_wsss.refiners.walker import Walker, walk
from napari_wsss.types import (
    Box,
    Class,
    Classes,
    Features,
    Image,
    Point,
    PseudoLabels,
    Sample,
    Tags,
    WeakLabels,
)
from napari_wsss.weak_labels import compile_target

CLASSES = Classes((Class(1, "background", "#808080"), Class(2, "cell", "#ff0000"), Class(3, "dirt", "#00ff00")))
SHAPE = (48, 64)


def disc(shape=SHAPE, y=24, x=30, r=12):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= r * r


def noisy(inside, seed=0):
    grey = np.where(inside, 0.8, 0.2) + np.random.default_rng(seed).normal(0, 0.02, inside.shape)
    return grey[None].clip(0, 1).astype(np.float32)


def pseudo_of(probabilities):
    p = np.asarray(probabilities, np.float16)
    return PseudoLabels(p, (p.argmax(0) + 1).astype(np.uint16), np.ones(p.shape[1:], np.float16))


def flat_prior(shape=SHAPE, k=3):
    return np.full((k, *shape), 1 / k, np.float32)


def sample(channels, labels, pseudo, valid=None):
    shape = channels.shape[-2:]
    valid = np.ones(shape, bool) if valid is None else valid
    image = Image("i", "k", channels, valid, (0, 0, 0))
    return Sample(
        "i",
        labels,
        lambda: compile_target(labels, CLASSES, shape, valid),
        lambda: image,
        lambda: Features(channels, 1.0),
        pseudo=lambda: pseudo,
    )


def refine(channels, labels, pseudo, valid=None, **params):
    return Walker(Walker.Params(**params), Context(CLASSES))(sample(channels, labels, pseudo, valid), {}).labels


def test_an_edge_stops_the_walk():
    inside = disc()
    labels = WeakLabels(marks=(Point(24, 30, 2), Point(3, 3, 1)))
    mask = refine(noisy(inside), labels, pseudo_of(flat_prior()), iterations=1500)
    assert (mask == np.where(inside, 2, 1)).mean() > 0.99
    without_edge = np.random.default_rng(0).random((1, *SHAPE), np.float32)
    blind = refine(without_edge, labels, pseudo_of(flat_prior()), iterations=1500)
    assert (blind == np.where(inside, 2, 1)).mean() < 0.95


def test_a_prior_that_lies_beside_the_object_is_moved_onto_it():
    inside, beside = disc(), ndimage.gaussian_filter(disc(y=27, x=33).astype(np.float32), 3)
    prior = np.stack([1 - beside, beside, 0 * beside])
    before = (prior.argmax(0) + 1 == np.where(inside, 2, 1)).mean()
    labels = WeakLabels(marks=(Point(24, 30, 2), Point(3, 3, 1)))
    after = (refine(noisy(inside), labels, pseudo_of(prior)) == np.where(inside, 2, 1)).mean()
    assert before < 0.95
    assert after > 0.99


def test_an_accepted_object_does_not_flow_over_its_border():
    grey = np.full((1, *SHAPE), 0.5, np.float32) + np.random.default_rng(0).normal(0, 0.02, SHAPE).astype(np.float32)
    accepted = np.where(disc(r=6) | disc(x=50, r=6), 2, 0).astype(np.uint16)
    said = WeakLabels(marks=(Box(0, 0, 2, 64, 1, True),), mask=accepted)
    p = np.stack([accepted == 0, accepted == 2, np.zeros(SHAPE)]) * 0.8 + 0.1
    answer = refine(grey, said, pseudo_of(p / p.sum(0)))
    assert np.array_equal(answer, np.where(accepted == 2, 2, 1))


def test_a_class_that_its_label_model_distrusts_gives_way_to_hints_and_a_trusted_one_holds():
    grey = np.full((1, *SHAPE), 0.5, np.float32) + np.random.default_rng(0).normal(0, 0.02, SHAPE).astype(np.float32)
    stripe = np.zeros(SHAPE, bool)
    stripe[:, 30:33] = True
    around = WeakLabels(marks=(Box(0, 0, 48, 28, 1, True), Box(0, 35, 48, 64, 1, True)))
    pseudo = pseudo_of(np.stack([~stripe, stripe, 0 * stripe]) * 0.8 + 0.1 / 1.5)
    plain = refine(grey, around, pseudo, prior=0.02)
    assert np.array_equal(plain, refine(grey, around, replace(pseudo, trust=(1.0, 1.0, 1.0)), prior=0.02))
    held, gone = (
        refine(grey, around, replace(pseudo, trust=t), prior=0.02) for t in ((0.1, 2.8, 0.1), (2.8, 0.1, 0.1))
    )
    assert (held[stripe] == 2).mean() > 0.9
    assert (gone[stripe] == 1).mean() > 0.9


def test_a_prior_that_says_the_same_everywhere_stays_without_hints():
    prior = torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1).expand(3, *SHAPE)
    colours = torch.tensor(noisy(disc()))
    answer = walk(prior, torch.zeros(SHAPE, dtype=torch.int64), colours, torch.ones(SHAPE, dtype=torch.bool), P)
    assert torch.allclose(answer, prior, atol=1e-5)


P = Walker.Params()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_probabilities_stay_probabilities(seed):
    rng = np.random.default_rng(seed)
    prior = torch.tensor(rng.dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1).astype(np.float32))
    given_ids = torch.tensor(rng.integers(1, 4, SHAPE) * (rng.random(SHAPE) < 0.02))
    valid = torch.tensor(rng.random(SHAPE) < 0.9)
    answer = walk(prior, given_ids, torch.tensor(rng.random((2, *SHAPE)).astype(np.float32)), valid, P)
    assert answer.min() >= -1e-6
    assert torch.allclose(answer.sum(0), torch.ones(SHAPE), atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 47), st.integers(0, 63), st.integers(1, 3)), min_size=1, max_size=8))
def test_a_persons_pixels_are_kept_whatever_the_prior_says(clicked):
    marks = tuple(Point(*c) for c in clicked)
    wrong = flat_prior() * 0 + np.array([0.98, 0.01, 0.01], np.float32)[:, None, None]
    labels = WeakLabels(marks=marks)
    seed = compile_target(labels, CLASSES, SHAPE).seed
    mask = refine(noisy(disc()), labels, pseudo_of(wrong))
    assert (mask[seed > 0] == seed[seed > 0]).all()


def test_nodata_is_never_labelled_and_no_walker_crosses_it():
    valid = np.ones(SHAPE, bool)
    valid[:, 31:33] = False  # a wall: the hints left of it say nothing of what is right of it
    channels = np.full((1, *SHAPE), 0.5, np.float32) + np.random.default_rng(0).normal(0, 1e-3, (1, *SHAPE)).astype(
        np.float32
    )
    prior = flat_prior()
    prior[:, :, 33:] = np.array([0.2, 0.2, 0.6], np.float32)[:, None, None]
    mask = refine(channels, WeakLabels(marks=(Point(24, 10, 2),)), pseudo_of(prior), valid, levels=0, iterations=1500)
    assert not mask[~valid].any()
    assert (mask[:, :31] == 2).all()
    assert (mask[:, 33:] == 3).all()


def test_a_class_that_is_not_allowed_never_appears():
    tags = Tags(frozenset({2}), frozenset(), True)
    prior = flat_prior() * 0 + np.array([0.1, 0.1, 0.8], np.float32)[:, None, None]
    mask = refine(noisy(disc()), WeakLabels(tags, (Point(24, 30, 2), Point(3, 3, 1))), pseudo_of(prior))
    assert not (mask == 3).any()
    boxed = refine(noisy(disc()), WeakLabels(marks=(Box(10, 15, 38, 45, 2),)), pseudo_of(prior))
    outside = np.ones(SHAPE, bool)
    outside[10:38, 15:45] = False
    assert (boxed[outside] == 1).all()


@pytest.mark.parametrize("shape", [(48, 64), (64, 64)])
def test_a_turned_image_gives_the_turned_mask(shape):
    channels, inside = noisy(disc(shape)), disc(shape)
    prior = np.stack([~inside * 0.5 + 0.25, inside * 0.5 + 0.25, inside * 0.0]).astype(np.float32)
    seed = np.zeros(shape, np.int64)
    seed[24, 30], seed[2, 2] = 2, 1
    args = (prior, seed, channels, np.ones(shape, bool))
    straight = walk(*map(torch.tensor, args), P)
    turned = walk(*(torch.tensor(np.rot90(a, 1, (-2, -1)).copy()) for a in args), P)
    assert torch.allclose(torch.rot90(straight, 1, (1, 2)), turned, atol=1e-4)


def test_exchanged_classes_exchange_the_answer():
    channels = torch.tensor(noisy(disc()))
    prior = torch.tensor(np.random.default_rng(3).dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1).astype(np.float32))
    seed = torch.zeros(SHAPE, dtype=torch.int64)
    seed[24, 30], seed[2, 2] = 2, 1
    swapped = torch.where(seed > 0, 3 - seed, 0)
    valid = torch.ones(SHAPE, dtype=torch.bool)
    a, b = walk(prior, seed, channels, valid, P), walk(prior[[1, 0, 2]], swapped, channels, valid, P)
    assert torch.equal(a[[1, 0, 2]], b)


def test_a_flat_image_gives_back_what_it_got():
    channels = np.full((1, *SHAPE), 0.4, np.float32)
    pseudo = pseudo_of(np.random.default_rng(0).dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1))
    mask = refine(channels, WeakLabels(marks=(Point(5, 5, 3),)), pseudo)
    seed = compile_target(WeakLabels(marks=(Point(5, 5, 3),)), CLASSES, SHAPE).seed
    assert (mask == np.where(seed > 0, seed, pseudo.labels)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 3), (97, 35)])
def test_any_size_is_refined(shape):
    channels = np.random.default_rng(0).random((2, *shape), np.float32)
    mask = refine(channels, WeakLabels(marks=(Point(0, 0, 2),)), pseudo_of(flat_prior(shape)))
    assert mask.shape == shape
    assert mask[0, 0] == 2


def test_equal_input_gives_equal_masks_and_the_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    pseudo = pseudo_of(np.random.default_rng(1).dirichlet([1, 1, 1], SHAPE).transpose(2, 0, 1))
    labels = WeakLabels(marks=(Point(24, 30, 2),))
    a, b = (refine(noisy(disc()), labels, pseudo) for _ in range(2))
    assert (a == b).all()
    assert torch.equal(before, torch.random.get_rng_state())


def test_without_pseudo_labels_it_says_so():
    with pytest.raises(CannotFeed, match="no pseudo-labels"):
        refine(noisy(disc()), WeakLabels(), None)


@pytest.mark.parametrize("wrong", [{"edge": -1.0}, {"prior": 0.0}, {"iterations": 0}, {"levels": -1}])
def test_parameters_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        Walker.Params(**wrong)
