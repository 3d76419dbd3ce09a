"""Training-free ExCEL: the oracles of methods.md A.5, and that attributes are the cause of what changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_wsss import registry
from napari_wsss.cams._enrichment import class_weights, clusters, enriched, surgery_likeness
from napari_wsss.cams.excel import METHOD
from napari_wsss.errors import CannotFeed, UsageError
from napari_wsss.models.clip_attention import attend
from napari_wsss.models.clip_toy import write_toy_clip
from napari_wsss.protocols import Context
from napari_wsss.types import Class, Classes, Image, Sample, Tags, WeakLabels, WeakTarget

RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)
CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "apple", "#ff0000"), Class(3, "leaf", "#00ff00")))
LOOK_ALIKES = '[classes.apple]\nphrases = ["a round outline"]\n[classes.leaf]\nphrases = ["a flat outline"]\n'
TOLD_APART = LOOK_ALIKES.replace('"a round outline"', '"a round outline", "red red red"')


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(write_toy_clip(tmp_path_factory.mktemp("clip") / "toy.safetensors"))


@pytest.fixture
def knowledge(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def method(weights, knowledge=None, classes=CLASSES, **params):
    params = {"weights": weights, "background": "blue,black", "template": "{}", **params}
    return METHOD(METHOD.Params(**params), Context(classes, knowledge=knowledge))


def named(*phrases):
    return Classes((CLASSES[1], *(Class(i, f"c{i}", "#0", (p,)) for i, p in enumerate(phrases, 2))))


def picture(name="p", red=(8, 40, 8, 32), green=(40, 64, 40, 64)):
    rgb = np.empty((3, 64, 64), np.float32)
    rgb[:] = np.array(BLUE)[:, None, None]
    for colour, (y0, y1, x0, x1) in ((RED, red), (GREEN, green)):
        rgb[:, y0:y1, x0:x1] = np.array(colour)[:, None, None]
    return Image(name, name, rgb, np.ones((64, 64), bool), (0, 1, 2))


def sample(image, present=(2, 3)):
    target = WeakTarget(np.zeros((64, 64), np.uint16), np.zeros((64, 64), np.int32), np.ones((3, 64, 64), bool), False)
    labels = WeakLabels(tags=Tags(frozenset(present)))
    return Sample(image.name, labels, lambda: target, lambda: image, lambda: None)


def unit(rows, d, seed=0):
    return F.normalize(torch.randn(rows, d, generator=torch.Generator().manual_seed(seed)), dim=1)


# ---------------------------------------------------------------------- oracles


def test_oracle_i_sentences_equal_to_the_class_text_change_nothing():
    text = unit(1, 16)
    centres = clusters(text.expand(20, -1), 5, seed=0)
    assert len(centres) == 1
    torch.testing.assert_close(enriched(text, centres), text, atol=1e-6, rtol=1e-6)


def test_oracle_ii_without_its_own_cluster_a_class_is_less_like_it():
    texts, centres = unit(3, 16), unit(12, 16, seed=1)
    own = (texts[0] @ centres.T).argmax()
    before = F.cosine_similarity(enriched(texts, centres)[0], centres[own], dim=0)
    without = centres.clone()
    without[own] = 0
    after = F.cosine_similarity(enriched(texts, without)[0], centres[own], dim=0)
    assert after < before - 1e-3


def test_the_least_like_clusters_have_no_weight():
    text, centres = unit(1, 16), unit(10, 16, seed=1)
    least = (text @ centres.T)[0].argmin()
    changed = centres.clone()
    changed[least] = -text[0]  # still the least like
    assert torch.equal(enriched(text, centres, 0.9), enriched(text, changed, 0.9))
    assert not torch.allclose(enriched(text, centres, 1.0), enriched(text, changed, 1.0))


def test_oracle_iii_calibrated_attention_keeps_groups_apart_where_a_global_token_blurs_them():
    """Every query attends to the planted global token (its key is like all queries); values name the groups."""
    group = torch.tensor([0, 0, 0, 1, 1, 1, 2])  # the last one is the global token
    codes = 12 * F.one_hot(group, 3).float()
    q, v = codes[None, None], F.one_hot(group, 3).float()[None, None]
    k = q.clone()
    k[..., 6, :] = 40.0
    calibrated, vanilla = attend(q, q, v, "excel")[0, 0], attend(q, k, v, "vanilla")[0, 0]
    for members in ([0, 1, 2], [3, 4, 5]):
        torch.testing.assert_close(calibrated[members], calibrated[members[:1]].expand(3, -1))
    assert F.cosine_similarity(calibrated[0], calibrated[3], dim=0) < 0.5
    assert F.cosine_similarity(vanilla[0], vanilla[3], dim=0) > 0.99


def test_calibrated_attention_is_the_sum_over_heads_of_a_third_of_three():
    q, k, v = (torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    likeness = [sum((x[0, h] @ x[0, h].T / 2).softmax(1) for x in (q, k, v)) / 3 for h in range(2)]
    expected = torch.stack([(likeness[0] + likeness[1]) @ v[0, h] for h in range(2)])[None]
    torch.testing.assert_close(attend(q, k, v, "excel"), expected)


def test_oracle_iv_what_all_classes_share_changes_no_map():
    features, texts, weights = unit(9, 16), unit(4, 16, seed=1), torch.tensor([0.5, 1.0, 1.5, 1.0])
    products = weights[:, None] * features[:, None] * texts  # (n, k, d), written out
    expected = (products - products.mean(1, keepdim=True)).sum(-1)
    torch.testing.assert_close(surgery_likeness(features, texts, weights), expected, atol=1e-5, rtol=1e-4)
    shared = torch.randn(16, generator=torch.Generator().manual_seed(5))
    moved = products + shared
    torch.testing.assert_close((moved - moved.mean(1, keepdim=True)).sum(-1), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(surgery_likeness(features, texts, weights, shared), expected, atol=1e-5, rtol=1e-4)


def test_class_weights_have_mean_one_and_follow_the_picture():
    texts = unit(5, 16)
    weights = class_weights(3 * texts[2], texts)
    assert float(weights.mean()) == pytest.approx(1)
    assert int(weights.argmax()) == 2


def test_clusters_are_seeded_and_never_more_than_differ():
    points = unit(30, 8)
    assert torch.equal(clusters(points, 6, seed=3), clusters(points, 6, seed=3))
    assert len(clusters(points, 6, seed=3)) == 6
    two = torch.cat([points[:1].expand(5, -1), points[1:2].expand(5, -1)])
    found = clusters(two, 4, seed=0)
    assert len(found) == 2
    assert torch.cdist(found, points[:2]).min(0).values.max() < 1e-6


# ---------------------------------------------------------------------- meaning


@pytest.mark.parametrize("normalise", ["channels", "tokens"])
@pytest.mark.parametrize("layers", [0, 6])
def test_each_word_lights_its_colour(weights, normalise, layers):
    classes = named("red apple", "green leaf")
    cam = method(weights, classes=classes, normalise=normalise, layers=layers)(sample(picture()), {})
    assert cam.classes == (2, 3)
    assert cam.scores.shape == (2, 64, 64)
    assert cam.scores.min() >= 0
    assert cam.scores.max() <= 1
    assert cam.scores[0, 12:36, 12:28].mean() > 3 * cam.scores[1, 12:36, 12:28].mean()
    assert cam.scores[1, 48:, 48:].mean() > 3 * cam.scores[0, 48:, 48:].mean()


def test_swapping_two_class_names_swaps_the_maps(weights):
    one = method(weights, classes=named("red apple", "green leaf"), enrich=False)(sample(picture()), {})
    other = method(weights, classes=named("green leaf", "red apple"), enrich=False)(sample(picture()), {})
    np.testing.assert_allclose(one.scores, other.scores[::-1], atol=1e-5)
    np.testing.assert_allclose(one.raw_max, other.raw_max[::-1], atol=1e-5)


def test_an_attribute_tells_two_look_alike_classes_apart_and_taking_it_back_restores_the_map(weights, knowledge):
    """Neither name says a colour; only the added attribute does."""
    first = method(weights, knowledge(LOOK_ALIKES))(sample(picture()), {})
    np.testing.assert_allclose(first.scores[0], first.scores[1], atol=1e-3)  # look-alikes
    told = method(weights, knowledge(TOLD_APART))(sample(picture()), {})
    red, elsewhere = told.scores[0, 12:36, 12:28].mean(), told.scores[0, :, 40:].mean()
    assert red > 0.8
    assert red > 2 * elsewhere
    assert np.abs(told.scores[0] - first.scores[0]).max() > 0.2
    again = method(weights, knowledge(LOOK_ALIKES))(sample(picture()), {})
    assert np.array_equal(again.scores, first.scores)
    assert np.array_equal(again.raw_max, first.raw_max)
    assert np.array_equal(again.seeds, first.seeds)


def test_without_enrichment_attributes_mean_nothing(weights, knowledge):
    plain = method(weights, knowledge(LOOK_ALIKES), enrich=False)(sample(picture()), {})
    told = method(weights, knowledge(TOLD_APART), enrich=False)(sample(picture()), {})
    assert np.array_equal(plain.scores, told.scores)


def test_background_words_are_not_enriched(weights, knowledge):
    built = method(weights, knowledge(TOLD_APART))
    assert torch.equal(built.texts[2:], built.background_texts)
    assert not torch.allclose(built.texts[:2], built.class_texts)


def test_a_class_that_is_nowhere_above_the_mean_is_rejected(weights):
    """An image of one blue: red is less there than what all classes share."""
    blue = picture(red=(0, 0, 0, 0), green=(0, 0, 0, 0))
    cam = method(weights, classes=named("red apple", "green leaf"), enrich=False)(sample(blue, (2,)), {})
    assert cam.raw_max[0] < 0
    assert 2 not in cam.seeds


def test_a_batch_is_what_single_calls_give(weights):
    classes = named("red apple", "green leaf")
    images = [picture("a"), picture("b", red=(0, 24, 40, 64)), picture("c", green=(0, 16, 48, 64))]
    samples = [sample(i, p) for i, p in zip(images, [(2, 3), (2,), (3,)], strict=True)]
    together = method(weights, classes=classes, batch=2).call_batch(samples, {})
    for single, both in zip([method(weights, classes=classes)(s, {}) for s in samples], together, strict=True):
        assert single.classes == both.classes
        np.testing.assert_allclose(single.scores, both.scores, atol=1e-4)
        np.testing.assert_allclose(single.raw_max, both.raw_max, atol=1e-4)


def test_without_a_class_to_look_for_it_cannot_be_fed(weights):
    with pytest.raises(CannotFeed):
        method(weights)(sample(picture(), (1,)), {})


def test_it_is_a_cam_method_by_registry():
    assert registry.load("cams", "excel") is METHOD
    assert registry.summary("cams", "excel")
    assert registry.parameters(METHOD, {"enrich": "no", "normalise": "tokens"}, "excel").enrich is False
    for bad in ({"clusters": 0}, {"kept": 0.0}, {"box": 2.0}, {"normalise": "rows"}):
        with pytest.raises(UsageError, match="excel"):
            registry.parameters(METHOD, bad, "excel")
