"""The encoder ``embedded``: its grid, where its tokens look, and the embedding that it shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_wsss import registry
from napari_wsss.encoders.embedded import EmbeddedEncoder
from napari_wsss.errors import WsssError
from napari_wsss.models.embedded.encoder import STRIDE, TOKENS
from napari_wsss.models.embedded.frames import frames
from napari_wsss.models.embedded.predictor import load_embedded
from napari_wsss.protocols import Context
from napari_wsss.types import Classes, Image


def image_of(channels: np.ndarray, key: str = "") -> Image:
    channels = np.ascontiguousarray(channels, np.float32)
    rgb = (0, 1, 2) if len(channels) > 2 else (0, 0, 0)
    return Image("picture", key, channels, np.ones(channels.shape[1:], bool), rgb)


@pytest.fixture(scope="module")
def encoder() -> EmbeddedEncoder:
    return EmbeddedEncoder(EmbeddedEncoder.Params(), Context(Classes(())))


@settings(max_examples=6, deadline=None)
@example(1, 3000, 1)  # a pixel high at a third of its size: the frame is higher than the image's scale says
@given(height=st.integers(1, 900), width=st.integers(1, 900), channels=st.sampled_from([1, 2, 5]))
def test_any_size_gives_finite_features_on_the_promised_grid(height: int, width: int, channels: int) -> None:
    encoder = EmbeddedEncoder(EmbeddedEncoder.Params(), Context(Classes(())))
    picture = np.random.default_rng(0).random((channels, height, width), np.float32)
    features = encoder.encode(image_of(picture))
    frame = frames((height, width))[0]
    assert features.stride == pytest.approx(STRIDE * max(height, width) / max(frame.rows, frame.columns))
    assert features.data.shape == (TOKENS, -(-frame.rows // STRIDE), -(-frame.columns // STRIDE))
    for tokens, pixels in zip(features.data.shape[1:], (height, width)):
        assert abs(tokens - pixels / features.stride) <= 1.1  # the last token may look beyond the image, no more
    assert features.data.dtype == np.float32
    assert np.isfinite(features.data).all()


@pytest.mark.parametrize("shape", [(160, 240), (200, 130)])
def test_a_token_looks_at_the_pixels_that_its_place_says(encoder: EmbeddedEncoder, shape: tuple[int, int]) -> None:
    """What a bright spot changes is centred on the spot: token (i, j) on pixel ((i + 0.5) * stride - 0.5, ...)."""
    plain = np.full((1, *shape), 0.3, np.float32)
    before = encoder.encode(image_of(plain))
    for y, x in ((60, 70), (101, 48), (75, 97)):
        spotted = plain.copy()
        spotted[0, y - 2 : y + 3, x - 2 : x + 3] = 1
        changed = ((encoder.encode(image_of(spotted)).data - before.data) ** 2).sum(0)
        near = np.where(changed > 0.25 * changed.max(), changed, 0)
        rows, columns = np.indices(near.shape)
        centre = np.array([(near * rows).sum(), (near * columns).sum()]) / near.sum()
        found = (centre + 0.5) * before.stride - 0.5
        assert np.abs(found - (y, x)).max() < 0.75 * before.stride


def test_features_are_the_tokens_of_the_predictors_embedding_and_made_once(encoder: EmbeddedEncoder) -> None:
    shared = load_embedded()
    asked: list[int] = []
    handle = shared.network.image_encoder.register_forward_pre_hook(lambda *given: asked.append(1))
    try:
        image = image_of(np.random.default_rng(1).random((3, 90, 130), np.float32), "shared by both")
        features = encoder.encode(image)
        assert len(asked) == len(frames(image.shape))
        embedding = shared.embed(image)
        assert len(asked) == len(frames(image.shape))  # the refiner finds it made
    finally:
        handle.remove()
    rows, columns = features.data.shape[1:]
    assert np.array_equal(features.data, embedding.data[:TOKENS, :rows, :columns])


def test_equal_input_gives_equal_features_and_the_input_stays(encoder: EmbeddedEncoder) -> None:
    picture = np.random.default_rng(2).random((1, 40, 50), np.float32)
    kept = picture.copy()
    assert np.array_equal(encoder.encode(image_of(picture)).data, encoder.encode(image_of(picture)).data)
    assert np.array_equal(picture, kept)


def test_it_is_registered_and_names_its_weights(encoder: EmbeddedEncoder) -> None:
    method = registry.load("encoders", "embedded")
    assert registry.parameters(method, {}, "embedded") == EmbeddedEncoder.Params()
    assert encoder.model == load_embedded().model
    assert encoder.model.startswith("embedded@")


def test_weights_that_are_not_there_are_one_line() -> None:
    with pytest.raises(WsssError, match=r"nowhere\.safetensors"):
        EmbeddedEncoder(EmbeddedEncoder.Params("/nowhere.safetensors"), Context(Classes(())))
