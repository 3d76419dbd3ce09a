"""The open_clip encoder: size, stride, space of the text, proxy, and what it refuses."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch

from napari_wsss import registry
from napari_wsss.encoders.open_clip import METHOD
from napari_wsss.errors import MissingModel, UsageError, WsssError
from napari_wsss.models.clip_toy import PATCH, toy_clip, write_toy_clip
from napari_wsss.protocols import Context, TextEncoder
from napari_wsss.types import Classes, Features, Image

ATTENTIONS = ["vanilla", "maskclip", "sclip", "clearclip", "surgery"]
RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(write_toy_clip(tmp_path_factory.mktemp("clip") / "toy.safetensors"))


def encoder(weights, **params):
    return METHOD(METHOD.Params(weights=weights, **params), Context(Classes(())))


def picture(height=64, width=96):
    """Blue ground, a red block on the left, a green block on the right; edges on the patch grid."""
    rgb = np.empty((3, height, width), np.float32)
    rgb[:] = np.array(BLUE)[:, None, None]
    rgb[:, 8:40, 8:32] = np.array(RED)[:, None, None]
    rgb[:, 16:56, 56:88] = np.array(GREEN)[:, None, None]
    return Image("p.png", "p", rgb, np.ones((height, width), bool), (0, 1, 2))


def winners(method, image):
    features = method.encode(image)
    texts = method.encode_text(["red", "green", "blue"])
    return np.einsum("td,dhw->thw", texts, features.data).argmax(0)


def truth():
    expected = np.full((8, 12), 2)
    expected[1:5, 1:4] = 0
    expected[2:7, 7:11] = 1
    return expected


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_patches_answer_to_the_words_of_their_colours(weights, attention):
    assert np.array_equal(winners(encoder(weights, attention=attention, template="{}"), picture()), truth())


def test_swapping_two_words_swaps_their_maps(weights):
    method = encoder(weights)
    features = method.encode(picture()).data
    one, other = (
        np.einsum("td,dhw->thw", method.encode_text(words), features) for words in (["red", "green"], ["green", "red"])
    )
    np.testing.assert_allclose(one, other[::-1], atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("size", [(64, 96), (61, 90), (9, 200), (3, 5)])
def test_any_size_gives_the_next_multiple_of_the_patch(weights, attention, size):
    rng = np.random.default_rng(0)
    image = Image("r", "r", rng.random((3, *size), np.float32), np.ones(size, bool), (0, 1, 2))
    features = encoder(weights, attention=attention).encode(image)
    grid = tuple(-(-side // PATCH) for side in size)
    assert features.data.shape == (8, *grid)
    assert features.data.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features.data, axis=0), 1, atol=1e-5)
    assert features.stride == pytest.approx(np.sqrt(np.prod(size) / np.prod(grid)))


def test_scale_makes_the_grid_finer(weights):
    features = encoder(weights, scale=2.0).encode(picture())
    assert features.data.shape[1:] == (16, 24)
    assert features.stride == pytest.approx(PATCH / 2)


def test_a_large_image_through_windows_says_what_the_whole_says(weights):
    assert np.array_equal(winners(encoder(weights, window=40, step=24, template="{}"), picture()), truth())


@pytest.mark.parametrize("given", [{}, {"window": 40, "step": 24}, {"attention": "proxyclip"}])
def test_images_together_give_what_each_gives_alone(weights, given):
    method = encoder(weights, **given)
    other = Image("other", "other", picture().rgb[:, ::-1].copy(), picture().valid, (0, 1, 2))
    together = method.encode_batch([picture(), other])
    for one, image in zip(together, (picture(), other), strict=True):
        alone = method.encode(image)
        np.testing.assert_allclose(one.data, alone.data, atol=1e-5)
        assert one.stride == alone.stride
    assert not np.allclose(together[0].data, together[1].data, atol=1e-2)


def test_images_seen_whole_go_through_the_network_once(weights):
    method, seen = encoder(weights), []
    method.clip.network.visual.conv1.register_forward_hook(lambda _m, _i, out: seen.append(len(out)))
    method.encode_batch([picture()] * 3)
    assert seen == [3]


def test_equal_images_and_settings_give_equal_features(weights):
    assert np.array_equal(encoder(weights).encode(picture()).data, encoder(weights).encode(picture()).data)


def test_flags_override_what_was_published(weights):
    switches = encoder(weights, attention="clearclip", residual="yes", ffn="yes", last_n=2).switches
    assert (switches.residual, switches.ffn, switches.last_n) == (True, True, 2)
    published = encoder(weights, attention="clearclip").switches
    assert (published.residual, published.ffn, published.last_n) == (False, False, 1)
    plain, kept = (encoder(weights, residual=r).encode(picture()).data for r in ("no", "yes"))
    assert not np.allclose(plain, kept, atol=1e-3)


def test_text_is_open_clips_over_all_templates(weights):
    model = toy_clip()
    with torch.no_grad():
        filled = [t("red car") for t in open_clip.OPENAI_IMAGENET_TEMPLATES]
        vectors = model.encode_text(open_clip.tokenize(filled), normalize=True).mean(0)
    expected = torch.nn.functional.normalize(vectors, dim=0).numpy()
    np.testing.assert_allclose(encoder(weights).encode_text(["red car"])[0], expected, atol=1e-5)


def test_it_is_a_text_encoder_with_a_named_model(weights):
    method = encoder(weights)
    assert isinstance(method, TextEncoder)
    assert method.model.startswith("toy@")
    assert registry.load("encoders", "open_clip") is METHOD
    assert "CLIP" in registry.summary("encoders", "open_clip")


class Guide:
    """Another encoder: one feature, the sign of the column, at stride 4."""

    class Params:
        pass

    def __init__(self, params, context):
        pass

    model = ""

    def encode(self, image):
        height, width = (side // 4 for side in image.shape)
        halves = np.where(np.arange(width) < width // 2, -1.0, 1.0)
        return Features(np.broadcast_to(halves, (1, height, width)).astype(np.float32).copy(), 4.0)


def test_proxyclip_mixes_inside_the_guides_regions_only(weights, monkeypatch):
    monkeypatch.setattr(registry, "load", lambda kind, name: Guide)
    features = encoder(weights, attention="proxyclip", residual="no").encode(picture()).data
    assert features.shape == (8, 16, 24)  # the guide's grid
    left, right = features[:, :, :12], features[:, :, 12:]
    np.testing.assert_allclose(left, np.broadcast_to(left[:, :1, :1], left.shape), atol=1e-5)
    np.testing.assert_allclose(right, np.broadcast_to(right[:, :1, :1], right.shape), atol=1e-5)
    assert not np.allclose(left[:, 0, 0], right[:, 0, 0], atol=1e-3)


def test_proxyclip_refuses_itself_as_guide(weights):
    with pytest.raises(UsageError, match="another encoder"):
        encoder(weights, attention="proxyclip", proxy="open_clip")


@pytest.mark.parametrize("bad", [{"scale": 0.0}, {"step": 0}, {"window": 100, "step": 200}, {"last_n": -1}])
def test_parameters_out_of_range_are_refused_by_name(bad):
    with pytest.raises(UsageError, match="open_clip"):
        registry.parameters(METHOD, bad, "open_clip")


def test_weights_that_cannot_be_had_are_one_line(tmp_path):
    for given in ("", str(tmp_path / "absent.safetensors")):
        with pytest.raises((UsageError, MissingModel)) as error:
            encoder(given)
        assert "\n" not in str(error.value)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(WsssError, match=r"text\.pt"):
        encoder(str(tmp_path / "text.pt")).encode(picture())


def test_the_name_of_the_model_needs_no_loading(tmp_path):
    """A run that has nothing to do asks for names only."""
    (tmp_path / "text.pt").write_text("not a checkpoint")
    assert encoder(str(tmp_path / "text.pt")).model.startswith("text@")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_equals_cpu(weights):
    on_gpu = METHOD(METHOD.Params(weights=weights), Context(Classes(()), device="cuda"))
    np.testing.assert_allclose(on_gpu.encode(picture()).data, encoder(weights).encode(picture()).data, atol=1e-3)
