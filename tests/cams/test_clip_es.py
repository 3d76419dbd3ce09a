"""CLIP-ES: the oracles of methods.md A.3, an independent gradient, and meaning on a CLIP that knows colours."""

from __future__ import annotations

import logging

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from napari_wsss import registry
from napari_wsss.cams._caa import affinity, boxes, caa_refine, min_max, spread, symmetric
from napari_wsss.cams.clip_es import METHOD, softmax_gradcam
from napari_wsss.errors import CannotFeed, UsageError
from napari_wsss.models.clip import Clip
from napari_wsss.models.clip_attention import patch_attention
from napari_wsss.models.clip_checkpoint import Architecture
from napari_wsss.models.clip_toy import write_toy_clip
from napari_wsss.protocols import CamMethod, Context
from napari_wsss.types import Class, Classes, Image, Point, Sample, Tags, WeakLabels, WeakTarget

RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)
CLASSES = Classes(
    (
        Class(1, "background", "#000000"),
        Class(2, "apple", "#ff0000", ("red apple",)),
        Class(3, "leaf", "#00ff00", ("green leaf",)),
    )
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(write_toy_clip(tmp_path_factory.mktemp("clip") / "toy.safetensors"))


def method(weights, classes=CLASSES, context=None, **params):
    params = {"weights": weights, "background": "blue,black", **params}
    return METHOD(METHOD.Params(**params), context or Context(classes))


def picture(name="p", height=64, width=64, red=(8, 40, 8, 32), green=(40, 64, 40, 64)):
    rgb = np.empty((3, height, width), np.float32)
    rgb[:] = np.array(BLUE)[:, None, None]
    for colour, (y0, y1, x0, x1) in ((RED, red), (GREEN, green)):
        rgb[:, y0:y1, x0:x1] = np.array(colour)[:, None, None]
    return Image(name, name, rgb, np.ones((height, width), bool), (0, 1, 2))


def sample(image, labels=None, classes=3):
    labels = WeakLabels(tags=Tags(frozenset({2, 3}))) if labels is None else labels
    shape = image.shape
    target = WeakTarget(np.zeros(shape, np.uint16), np.zeros(shape, np.int32), np.ones((classes, *shape), bool), False)

    def no_features():
        raise AssertionError("a text CAM reads no features")

    return Sample(image.name, labels, lambda: target, lambda: image, no_features)


def mean_inside(plane, box):
    y0, y1, x0, x1 = box
    inside = np.zeros(plane.shape, bool)
    inside[y0:y1, x0:x1] = True
    return plane[inside].mean(), plane[~inside].mean()


# ---------------------------------------------------------------------- oracles


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(3)
    vision = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32, "output_tokens": True}
    model = open_clip.CLIP(32, vision, {"width": 64, "heads": 1, "layers": 1}).eval().requires_grad_(False)
    return Clip(model, Architecture("small", {"text_cfg": {}}), "0" * 64)


def _inputs(small, seed=0):
    draw = torch.Generator().manual_seed(seed)
    pictures = torch.randn(2, 3, 32, 32, generator=draw)
    texts = F.normalize(torch.randn(4, 32, generator=draw), dim=1)
    with torch.no_grad():
        tokens = small.blocks[0](small.embedded(pictures))
    return pictures, tokens, texts, torch.ones(2, 4, 4, dtype=torch.bool)


def test_gradcam_equals_one_by_hooks_on_open_clips_own_forward(small):
    pictures, tokens, texts, known = _inputs(small)
    kept = {}
    hook = small.blocks[-1].ln_1.register_forward_hook(lambda m, i, o: kept.update(a=o.requires_grad_(True)) or o)
    try:
        _, after = small.network.visual(pictures)
    finally:
        hook.remove()
    vector = F.normalize(after.mean(1) @ small.network.visual.proj, dim=1)
    p = (small.network.logit_scale.exp() * vector @ texts.T).softmax(1)
    (gradient,) = torch.autograd.grad(p[0, 1] + p[1, 2], kept["a"])
    patches = kept["a"][:, 1:].detach()
    expected = (patches * gradient[:, 1:].mean(1, keepdim=True)).sum(-1).relu().reshape(2, 4, 4)
    cams, probabilities = softmax_gradcam(
        small, tokens, known, texts, torch.ones(2, 4, dtype=torch.bool), torch.tensor([1, 2])
    )
    torch.testing.assert_close(cams, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(probabilities, torch.stack([p[0, 1], p[1, 2]]).detach(), atol=1e-6, rtol=1e-5)
    assert cams.max() > 1e-4


def test_oracle_i_two_equal_texts_leave_no_gradient(small):
    """A class whose text is also a background word: its probability cannot change; a raw logit's map would not care."""
    _, tokens, texts, known = _inputs(small)
    both = torch.tensor([0, 0])
    every = torch.ones(2, 2, dtype=torch.bool)
    equal, p = softmax_gradcam(small, tokens, known, texts[[0, 0]], every, both)
    torch.testing.assert_close(p, torch.full((2,), 0.5))
    different, _ = softmax_gradcam(small, tokens, known, texts[[0, 1]], every, both)
    assert different.max() > 1e-4
    assert equal.max() <= 1e-5 * different.max()


def test_classes_that_do_not_compete_have_no_say(small):
    _, tokens, texts, known = _inputs(small)
    competes = torch.tensor([[True, True, False, False]] * 2)
    first = torch.tensor([0, 0])
    cams, p = softmax_gradcam(small, tokens, known, texts, competes, first)
    alone, q = softmax_gradcam(small, tokens, known, texts[:2], competes[:, :2], first)
    torch.testing.assert_close(cams, alone)
    torch.testing.assert_close(p, q)


def _cliques():
    attention = torch.zeros(12, 12)
    attention[:5, :5] = 1 / 5
    attention[5:, 5:] = 1 / 7
    return attention


def test_oracle_ii_two_cliques_take_the_mean_of_their_sources():
    sources = torch.zeros(12)
    sources[0], sources[7] = 1.0, 0.2
    likeness = affinity(_cliques())
    out = spread(likeness, sources.reshape(3, 4), box_fraction=1e-6).flatten()
    torch.testing.assert_close(out[:5], torch.full((5,), 0.2), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[5:], torch.full((7,), 0.2 / 7), atol=1e-4, rtol=0)


def test_oracle_ii_a_source_outside_the_boxes_gives_nothing():
    """The second clique's source (0.2) lies below half of the maximum, so its box is not there."""
    sources = torch.zeros(3, 4)
    sources[0, 0], sources[1, 3] = 1.0, 0.2
    out = spread(affinity(_cliques()), sources, box_fraction=0.5).flatten()
    assert out[5:].max() < 1e-4
    torch.testing.assert_close(out[:5], torch.full((5,), 0.2), atol=1e-4, rtol=0)


def test_oracle_iii_affinity_is_symmetric_before_its_square_and_rows_sum_to_one(small):
    _, tokens, _, _ = _inputs(small)
    attention = patch_attention(small.blocks[-1], tokens)[0]
    s = symmetric(attention)
    assert torch.equal(s, s.T)
    torch.testing.assert_close(affinity(attention).sum(1), torch.ones(16), atol=0.05, rtol=0)


def test_a_dead_token_does_no_harm():
    attention = torch.zeros(4, 4)
    attention[:, 0] = 1
    assert affinity(attention).isfinite().all()


def test_boxes_are_those_of_the_connected_places():
    cam = torch.tensor([[1.0, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.8]])
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.bool)
    assert torch.equal(boxes(cam, 0.5), expected)
    assert not boxes(torch.zeros(3, 3), 0.5).any()


def test_caa_refine_averages_layers_and_stretches():
    layers = torch.stack([_cliques(), _cliques()])
    cam = torch.zeros(3, 4)
    cam[0, 0] = 1
    refined = caa_refine(layers, cam, 0.4)
    assert refined.min() == 0
    assert refined.max() == pytest.approx(1, abs=1e-5)
    known = torch.ones(3, 4, dtype=torch.bool)
    known[2] = False
    assert min_max(cam, known)[2].max() == 0


def test_patch_attention_is_the_blocks_own_without_the_class_token(small):
    _, tokens, _, _ = _inputs(small)
    block = small.blocks[-1]
    a = block.ln_1(tokens)
    expected = block.attn(a, a, a, need_weights=True, average_attn_weights=True)[1][:, 1:, 1:]
    torch.testing.assert_close(patch_attention(block, tokens), expected, atol=1e-6, rtol=1e-5)


# ---------------------------------------------------------------------- meaning


@pytest.mark.parametrize("layers", [0, 2, 8])
def test_each_word_lights_its_colour(weights, layers):
    cam = method(weights, layers=layers)(sample(picture()), {})
    assert cam.classes == (2, 3)
    assert cam.scores.shape == (2, 64, 64)
    assert cam.scores.dtype == np.float32
    assert cam.scores.min() >= 0
    assert cam.scores.max() <= 1
    for plane, box in zip(cam.scores, ((8, 40, 8, 32), (40, 64, 40, 64)), strict=True):
        inside, outside = mean_inside(plane, box)
        assert inside > 4 * outside
    assert set(np.unique(cam.seeds[12:36, 12:28])) == {2}
    assert set(np.unique(cam.seeds[48:, 48:])) == {3}
    assert set(np.unique(cam.seeds[:4])) == {1}


def test_swapping_two_class_names_swaps_the_maps(weights):
    swapped = Classes((CLASSES[1], Class(2, "leaf", "#0", ("green leaf",)), Class(3, "apple", "#0", ("red apple",))))
    one, other = method(weights)(sample(picture()), {}), method(weights, swapped)(sample(picture()), {})
    np.testing.assert_allclose(one.scores, other.scores[::-1], atol=1e-5)
    np.testing.assert_allclose(one.raw_max, other.raw_max[::-1], rtol=1e-4)


def test_a_class_that_is_not_there_has_a_small_raw_max_although_its_map_is_stretched(weights):
    cam = method(weights)(sample(picture(red=(0, 64, 0, 40), green=(0, 0, 0, 0))), {})
    assert cam.raw_max[1] < 0.1 * cam.raw_max[0]


def test_what_the_model_hardly_sees_is_reported_and_rejected_on_demand(weights, caplog):
    labels = WeakLabels(tags=Tags(frozenset({2, 3})))
    image = picture(red=(0, 64, 0, 64), green=(0, 0, 0, 0))
    with caplog.at_level(logging.WARNING):
        kept = method(weights)(sample(image, labels), {})
    assert any("leaf" in r.getMessage() and "tag" in r.getMessage() for r in caplog.records)
    rejected = method(weights, reject=float(kept.raw_max[1]) + 0.01)(sample(image, labels), {})
    assert 3 not in rejected.seeds
    np.testing.assert_array_equal(rejected.scores, kept.scores)


def test_tags_decide_which_classes(weights):
    only = method(weights)(sample(picture(), WeakLabels(tags=Tags(frozenset({3})))), {})
    assert only.classes == (3,)
    assert only.scores.shape[0] == 1
    by_click = method(weights)(sample(picture(), WeakLabels(marks=(Point(10, 10, 2),))), {})
    assert by_click.classes == (2,)
    said_absent = WeakLabels(tags=Tags(frozenset({2}), frozenset({3})), marks=(Point(1, 1, 3),))
    assert method(weights)(sample(picture(), said_absent), {}).classes == (2,)


@pytest.mark.parametrize("labels", [WeakLabels(), WeakLabels(tags=Tags(frozenset({1}), complete=True))])
def test_without_a_class_to_look_for_it_cannot_be_fed(weights, labels):
    with pytest.raises(CannotFeed, match="p: "):
        method(weights)(sample(picture(), labels), {})


def test_a_batch_is_what_single_calls_give(weights):
    images = [
        picture("a"),
        picture("b", red=(0, 24, 40, 64), green=(32, 64, 0, 24)),
        picture("c", height=50, width=90, red=(8, 40, 8, 32), green=(8, 40, 48, 80)),
        picture("d", red=(16, 48, 16, 48)),
    ]
    tags = [{2, 3}, {2}, {2, 3}, {3}]
    samples = [sample(i, WeakLabels(tags=Tags(frozenset(t)))) for i, t in zip(images, tags, strict=True)]
    seen = []
    context = Context(CLASSES, progress=lambda done, total, what: seen.append((done, total)))
    together = method(weights, context=context, batch=2).call_batch(samples, {})
    for single, both in zip([method(weights)(s, {}) for s in samples], together, strict=True):
        assert single.classes == both.classes
        np.testing.assert_allclose(single.scores, both.scores, atol=1e-4)
        np.testing.assert_allclose(single.raw_max, both.raw_max, rtol=1e-4)
        assert (single.seeds != both.seeds).mean() < 1e-3
    assert seen[-1] == (4, 4)


def test_nodata_enters_no_map(weights):
    image = picture(width=96)
    valid = image.valid.copy()
    valid[:, 64:] = False
    channels = np.where(valid, image.channels, 0).astype(np.float32)
    cam = method(weights)(sample(Image("n", "n", channels, valid, (0, 1, 2))), {})
    assert cam.scores[:, :, 64:].max() == 0
    assert cam.seeds[:, 64:].max() == 0
    assert cam.scores.max() > 0.9
    nothing = Image("z", "z", np.zeros((3, 64, 64), np.float32), np.zeros((64, 64), bool), (0, 1, 2))
    empty = method(weights)(sample(nothing), {})
    assert empty.scores.max() == 0
    assert empty.seeds.max() == 0


def test_without_a_background_class_seeds_are_the_classes_only(weights):
    classes = Classes((Class(1, "apple", "#0", ("red apple",)), Class(2, "leaf", "#0", ("green leaf",))))
    cam = method(weights, classes)(sample(picture(), WeakLabels(tags=Tags(frozenset({1, 2}))), 2), {})
    assert cam.classes == (1, 2)
    assert set(np.unique(cam.seeds)) <= {0, 1, 2}


def test_background_words_come_from_the_domain_and_never_name_a_class(weights):
    classes = Classes((Class(1, "nucleus", "#0"), Class(2, "building", "#0")))
    words = method(weights, classes, background="").background_words
    assert "mounting medium" in words
    assert "parking lot" in words
    assert "roof" not in words  # a synonym of building
    with pytest.raises(UsageError, match="background"):
        method(weights, background="apple")(sample(picture()), {})


def test_unknown_classes_are_said(weights, caplog):
    with caplog.at_level(logging.WARNING):
        built = method(weights)
        built(sample(picture()), {})
    assert len(built.notes) == 2
    assert all(note in caplog.text for note in built.notes)


def test_it_is_a_cam_method_by_registry(weights):
    assert registry.load("cams", "clip_es") is METHOD
    assert "clip_es" in registry.names("cams")
    assert registry.summary("cams", "clip_es")
    built: CamMethod = method(weights)
    assert built.model.startswith("toy@")
    assert registry.parameters(METHOD, {"layers": "3", "t_hi": "0.6"}, "clip_es").layers == 3
    for bad in ({"box": 0}, {"t_hi": 0.1}, {"batch": 0}, {"layers": -1}):
        with pytest.raises(UsageError, match="clip_es"):
            registry.parameters(METHOD, bad, "clip_es")
