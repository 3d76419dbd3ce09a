"""Maps from tags alone: the oracles of methods.md A.1, and what makes a fake fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.cams._multilabel import Tokens, known_tags, normalised
from napari_wsss.cams._views import View, parse_scales, views_of
from napari_wsss.cams.gradcam import METHOD as GradCam
from napari_wsss.cams.head import METHOD as Head
from napari_wsss.errors import CannotFeed, UsageError
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Tags
from tests.cams.toy_shapes import CLASSES, OPEN, draw, folder, make

BOTH = pytest.mark.parametrize("method", [Head, GradCam])


def method(kind=Head, classes=CLASSES, **params):
    return kind(kind.Params(**params), Context(classes))


def iou(cam, truth, class_id, threshold=0.4):
    if class_id not in cam.classes:
        return 0.0
    found = cam.scores[cam.classes.index(class_id)] >= threshold
    return (found & (truth == class_id)).sum() / max((found | (truth == class_id)).sum(), 1)


def mean_iou(cams, truths):
    pairs = [(c, t, k) for c, t in zip(cams, truths) for k in c.classes]
    return float(np.mean([iou(*p) for p in pairs]))


@given(seed=st.integers(0, 1000), holes=st.booleans())
@settings(max_examples=20, deadline=None)
def test_mean_of_the_map_is_the_logit_without_its_bias(seed, holes):
    rng = torch.Generator().manual_seed(seed)
    one = method()
    head = one.network(9, 3)
    torch.nn.init.normal_(head.weight, generator=rng)
    torch.nn.init.normal_(head.bias, generator=rng)
    data = torch.randn(9, 7, 5, generator=rng)
    share = (torch.rand(7, 5, generator=rng) > 0.3).float() if holes else torch.ones(7, 5)
    tokens = Tokens(data, share / share.sum())
    maps = one.activation(tokens, head, [0, 1, 2])
    logits = head(tokens.pooled()).detach()
    assert ((maps * tokens.share).sum((1, 2)) - (logits - head.bias.detach())).abs().max() < 1e-5
    double = torch.einsum("kd,dhw->khw", head.weight.double(), data.double())
    exact = (double * tokens.share.double()).sum((1, 2)) - head.weight.double() @ (
        data.double() * tokens.share.double()
    ).sum((1, 2))
    assert exact.abs().max() < 1e-6


@BOTH
def test_exchanging_two_tokens_exchanges_the_map(method):
    one = method(method.Params(), Context(CLASSES))
    torch.manual_seed(0)
    head = one.network(6, 2)
    torch.nn.init.normal_(next(iter(head.parameters())))
    data = torch.randn(6, 4, 5)
    swapped = data.clone()
    swapped[:, 0, 0], swapped[:, 2, 3] = data[:, 2, 3], data[:, 0, 0]
    share = torch.full((4, 5), 1 / 20)
    before = one.activation(Tokens(data, share), head, [0, 1])
    after = one.activation(Tokens(swapped, share), head, [0, 1])
    after[:, 0, 0], after[:, 2, 3] = after[:, 2, 3].clone(), after[:, 0, 0].clone()
    assert torch.allclose(before, after, atol=1e-5)


@BOTH
def test_tags_alone_find_the_shapes(method):
    samples, truths = folder()
    one = method(method.Params(), Context(CLASSES))
    state = one.fit(samples)
    cams = [one(s, state) for s in samples]
    assert mean_iou(cams, truths) > 0.5
    seeds = np.stack([c.seeds for c in cams])
    truth = np.stack(truths)
    assert (seeds == truth)[seeds > 0].mean() > 0.9
    assert (seeds > 0).mean() > 0.5
    for cam, sample in zip(cams, samples):
        assert set(cam.classes) == set(sample.labels.tags.present)
        assert cam.scores.dtype == np.float32
        assert cam.scores.min() >= 0
        assert cam.scores.max() <= 1
        assert cam.raw_max.shape == (len(cam.classes),)


def test_tags_shuffled_between_images_find_nothing():
    samples, truths = folder()
    one = method()
    state = one.fit(samples)
    good = mean_iou([one(s, state) for s in samples], truths)
    # disc images are called square and the other way round; images with both stay as they are
    exchanged = []
    for s in samples:
        present = s.labels.tags.present
        other = frozenset({5 - k for k in present})
        exchanged.append(make(s.image.channels, Tags(other, frozenset(), True), s.name))
    state = one.fit(exchanged)
    bad = mean_iou([one(s, state) for s in exchanged], truths)
    assert good > 0.5
    assert bad < 0.15


def test_without_a_background_every_pixel_goes_to_a_tagged_class():
    samples, truths = folder(classes=OPEN)
    one = method(classes=OPEN)
    state = one.fit(samples)
    assert state["classes"].tolist() == [2, 3]  # ground is everywhere: nothing to learn from
    hits = 0.0
    for sample, truth in zip(samples, truths):
        cam = one(sample, state)
        assert set(np.unique(cam.seeds)) <= set(sample.labels.tags.present)
        hits += (cam.seeds == truth).mean() / len(samples)
    assert hits > 0.8


@BOTH
@pytest.mark.parametrize("classes", [CLASSES, OPEN])
def test_a_blank_image_has_no_confident_seed(method, classes):
    samples, _ = folder(classes=classes)
    one = method(method.Params(), Context(classes))
    state = one.fit(samples)
    blank = make(np.full((3, 48, 48), 0.5, np.float32), Tags(frozenset({2, 3}), frozenset(), True), "b", classes)
    cam = one(blank, state)
    assert not cam.seeds.any()
    assert (cam.raw_max == 0).all()


def test_turning_the_image_turns_the_map():
    samples, _ = folder()
    one = method()
    state = one.fit(samples)
    sample = samples[2]
    turned = make(np.rot90(sample.image.channels, axes=(1, 2)).copy(), sample.labels.tags)
    first, second = one(sample, state), one(turned, state)
    assert np.allclose(np.rot90(first.scores, axes=(1, 2)), second.scores, atol=1e-3)


def test_the_same_labels_give_the_same_state():
    samples, _ = folder(6)
    first, second = method().fit(samples), method().fit(samples)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[k], second[k]) for k in first)


def test_nodata_has_no_score_no_seed_and_no_influence():
    samples, _ = folder()
    one = method()
    state = one.fit(samples)
    valid = np.ones((48, 48), bool)
    valid[:, 40:] = False
    tags = samples[2].labels.tags
    cam = one(make(samples[2].image.channels, tags, valid=valid), state)
    assert not cam.scores[:, :, 40:].any()
    assert not cam.seeds[:, 40:].any()
    other = samples[2].image.channels.copy()
    other[:, :, 40:] = 0.9
    assert np.array_equal(cam.scores, one(make(other, tags, valid=valid), state).scores)


def test_only_known_tags_count():
    channels, _ = draw(np.random.default_rng(0), {2})
    disc = frozenset({2})
    assert known_tags(make(channels, Tags()), CLASSES) == {}
    assert known_tags(make(channels, Tags(disc)), CLASSES) == {2: 1.0, 3: 0.0}
    assert known_tags(make(channels, Tags(disc)), CLASSES, "unknown") == {2: 1.0}
    assert known_tags(make(channels, Tags(disc, frozenset({3}))), CLASSES) == {2: 1.0, 3: 0.0}
    assert known_tags(make(channels, Tags(disc, frozenset(), True)), CLASSES) == {2: 1.0, 3: 0.0}
    drawn = np.zeros((48, 48), np.uint16)
    drawn[3, 3] = 3
    assert known_tags(make(channels, Tags(disc), seed=drawn), CLASSES) == {2: 1.0, 3: 1.0}
    assert known_tags(make(channels, Tags(), seed=drawn), CLASSES) == {3: 1.0}


def test_labels_that_are_not_enough_are_refused_with_the_remedy():
    channels, _ = draw(np.random.default_rng(0), {2})
    same = [make(channels, Tags(frozenset({2})), str(i)) for i in range(3)]
    with pytest.raises(CannotFeed, match="absent"):
        method().fit(same)
    samples, _ = folder(6)
    one = method()
    state = one.fit(samples)
    with pytest.raises(CannotFeed, match="no tag"):
        one(make(channels, Tags()), state)
    without_square = {**state, "classes": np.array([2])}
    with pytest.raises(CannotFeed, match="square"):
        one(make(channels, Tags(frozenset({3}))), without_square)


def test_an_image_said_to_hold_nothing_is_background():
    samples, _ = folder(6)
    one = method()
    cam = one(make(samples[0].image.channels, Tags(frozenset(), frozenset(), True)), one.fit(samples))
    assert cam.classes == ()
    assert (cam.seeds == 1).all()


class Coarse:
    """A toy encoder with a grid of 8 pixels: mean colours. It counts what it saw."""

    model = "coarse"

    def __init__(self):
        self.seen = []

    def encode(self, image):
        self.seen.append(image.shape)
        h, w = (-(-n // 8) for n in image.shape)
        cells = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(image.channels)[None], (h, w))[0]
        return Features(cells.numpy(), 8.0)


def test_a_coarse_encoder_sees_other_sizes_and_the_mirror_image():
    encoder = Coarse()
    sample = make(draw(np.random.default_rng(0), {2, 3})[0], Tags(frozenset({2})), encoder=encoder)
    views = list(views_of(sample, Context(CLASSES, encoder=encoder), "1,2", flip=True))
    assert [v.features.data.shape[1:] for v in views] == [(6, 6), (6, 6), (12, 12), (12, 12)]
    assert [v.flipped for v in views] == [False, True, False, True]
    assert np.allclose(views[1].features.data, views[0].features.data[:, :, ::-1], atol=1e-6)
    with pytest.raises(UsageError, match="encoder"):
        list(views_of(sample, Context(CLASSES), "1,2", flip=False))


def test_views_mirrored_back_agree():
    encoder = Coarse()
    rng = np.random.default_rng(0)
    samples = []
    for i in range(9):
        present = ({2}, {3}, {2, 3})[i % 3]
        tags = Tags(frozenset(present), frozenset(), True)
        samples.append(make(draw(rng, present)[0], tags, str(i), encoder=encoder))
    context = Context(CLASSES, encoder=encoder)
    plain, mirrored = (Head(Head.Params(scales="1", flip=f), context) for f in (False, True))
    state = plain.fit(samples)
    assert np.allclose(plain(samples[2], state).scores, mirrored(samples[2], state).scores, atol=1e-4)


def test_a_fine_grid_is_seen_once():
    sample = folder(1)[0][0]
    assert len(list(views_of(sample, Context(CLASSES), "1,2", flip=True))) == 1
    assert isinstance(next(views_of(sample, Context(CLASSES), "1", flip=False)), View)


@pytest.mark.parametrize("text", ["", "0", "a,b", "9", "nan"])
def test_scales_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="scales"):
        parse_scales(text)


def test_normalising_together_keeps_the_strongest_class():
    rng = torch.Generator().manual_seed(0)
    raw = torch.randn(3, 9, 9, generator=rng)
    valid = torch.ones(9, 9, dtype=torch.bool)
    assert torch.equal(normalised(raw, valid, together=True).argmax(0), raw.argmax(0))
    alone = normalised(raw, valid, together=False)
    assert torch.allclose(alone.amax((1, 2)), torch.ones(3))
    assert (alone[raw <= 0] == 0).all()
