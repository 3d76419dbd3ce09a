"""The backbone encoder: alignment of levels with the image, grids, nodata, tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_wsss import registry
from napari_wsss.encoders.backbone import Backbone
from napari_wsss.errors import MissingModel, UsageError
from napari_wsss.models.mobilenet_v2 import new_mobilenet_v2
from napari_wsss.protocols import Context
from napari_wsss.types import Classes, Features, Image


def image_of(channels: np.ndarray, valid: np.ndarray | None = None) -> Image:
    channels = np.ascontiguousarray(channels, np.float32)
    everywhere = np.ones(channels.shape[1:], bool)
    rgb = (0, 1, 2) if len(channels) > 2 else (0, 0, 0)
    return Image("picture", "key", channels, everywhere if valid is None else valid, rgb)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def symmetric(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights whose kernels are their own mirror images: such a network commutes with mirroring."""
    tensors = network.state_dict()
    return {
        k: ((v + v.flip(-1)) / 2 if v.ndim == 4 else v).contiguous() for k, v in tensors.items() if "batches" not in k
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    networks = {
        "torchvision/mobilenet_v2": new_mobilenet_v2(10),
        "timm/convnext_atto": timm.create_model("convnext_atto", pretrained=False, num_classes=10),
        "timm/resnet18": timm.create_model("resnet18", pretrained=False, num_classes=10),
    }
    found = {}
    for name, network in networks.items():
        found[name] = folder / f"{name.split('/')[1]}.safetensors"
        save_file(symmetric(network), found[name])
    return found


def encode(
    weights: dict[str, Path],
    channels: np.ndarray,
    model: str = "torchvision/mobilenet_v2",
    valid: np.ndarray | None = None,
    **given: object,
) -> Features:
    if model != "torchvision/mobilenet_v2":
        given.setdefault("output_stride", "trained")
    params = Backbone.Params(model=model, weights=str(weights[model]), **given)
    return Backbone(params, Context(Classes(()))).encode(image_of(channels, valid))


@pytest.mark.parametrize(
    ("model", "size"),
    [("torchvision/mobilenet_v2", 97), ("timm/convnext_atto", 96), ("timm/resnet18", 97)],
)
def test_a_mirrored_image_has_mirrored_features(weights: dict[str, Path], model: str, size: int) -> None:
    """Holds only if every level is laid where its tokens really look: half a token off would break it."""
    channels = noise(3, size, size)
    plain = encode(weights, channels, model, stride=1).data
    mirrored = encode(weights, channels[:, :, ::-1], model, stride=1).data
    assert np.allclose(mirrored, plain[:, :, ::-1], atol=2e-3)
    assert not np.allclose(mirrored, plain, atol=2e-2)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 140),
    width=st.integers(1, 140),
    stride=st.sampled_from([1, 4, 8, 16]),
    long_side=st.sampled_from([0, 64, 200]),
    normalise=st.sampled_from(["l2", "standardise", "none"]),
)
def test_any_size_gives_finite_features_on_the_promised_grid(
    weights: dict[str, Path], height: int, width: int, stride: int, long_side: int, normalise: str
) -> None:
    features = encode(
        weights, noise(1, height, width), stride=stride, long_side=long_side, normalise=normalise, levels="3,6"
    )
    assert features.stride == stride
    assert features.data.shape == (24 + 32, -(-height // stride), -(-width // stride))
    assert features.data.dtype == np.float32
    assert np.isfinite(features.data).all()


def test_levels_are_normalised_each(weights: dict[str, Path]) -> None:
    channels = noise(3, 64, 96)
    standardised = encode(weights, channels, normalise="standardise", levels="3,6").data
    assert np.allclose(standardised.mean((1, 2)), 0, atol=1e-4)
    assert np.quantile(standardised.std((1, 2)), 0.5) == pytest.approx(1, abs=1e-3)
    joined = encode(weights, channels, normalise="l2").data
    widths = (24, 32, 96, 320)
    assert len(joined) == sum(widths)
    for part in np.split(joined, np.cumsum(widths)[:-1]):
        length = np.linalg.norm(part, axis=0)
        assert length.max() <= 1 + 1e-4
        assert length.mean() > 0.5


def test_nodata_influences_nothing_and_is_zero(weights: dict[str, Path]) -> None:
    channels = noise(3, 96, 96)
    valid = np.ones((96, 96), bool)
    valid[:, 40:] = False
    other = np.where(valid, channels, np.nan)
    first, second = (encode(weights, c, valid=valid).data for c in (channels, other))
    assert np.array_equal(first, second)
    assert not first[:, :, 5:].any()
    assert first[:, :, :5].any()


def test_tiles_agree_within_what_a_token_sees(weights: dict[str, Path]) -> None:
    """Level 3 sees fewer pixels than the halo holds: tiles make no difference to it."""
    channels = noise(3, 300, 420)
    whole = encode(weights, channels, levels="3", stride=4)
    tiled = encode(weights, channels, levels="3", stride=4, tile=128)
    assert np.allclose(whole.data, tiled.data, atol=1e-4)
    deep = encode(weights, channels, levels="13,17", tile=128).data
    assert deep.shape == encode(weights, channels, levels="13,17").data.shape


def test_equal_input_gives_equal_features(weights: dict[str, Path]) -> None:
    channels = noise(3, 64, 64)
    assert np.array_equal(encode(weights, channels).data, encode(weights, channels).data)


@pytest.mark.parametrize("normalise", ["l2", "standardise", "none"])
def test_images_together_give_what_each_gives_alone(weights: dict[str, Path], normalise: str) -> None:
    params = {"weights": str(weights["torchvision/mobilenet_v2"]), "normalise": normalise, "tile": 128}
    encoder = Backbone(Backbone.Params(model="torchvision/mobilenet_v2", long_side=300, **params), Context(Classes(())))
    holes = np.ones((70, 90), bool)
    holes[:, :20] = False
    images = [image_of(np.roll(noise(3, 70, 90), 7 * i, 2), holes if i == 1 else None) for i in range(3)]
    together = encoder.encode_batch(images)
    for one, image in zip(together, images, strict=True):
        assert np.allclose(one.data, encoder.encode(image).data, atol=1e-5, rtol=1e-5)
    assert not together[1].data[:, :, :2].any()
    assert not np.allclose(together[0].data, together[2].data, atol=1e-2)


def test_model_names_the_weights(weights: dict[str, Path]) -> None:
    path = weights["torchvision/mobilenet_v2"]
    params = Backbone.Params(model="torchvision/mobilenet_v2", weights=str(path))
    encoder = Backbone(params, Context(Classes(())))
    name, _, digest = encoder.model.partition("@")
    assert encoder.model == encoder._network.name
    assert name == "mobilenet_v2"
    assert len(digest) == 8


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    with pytest.raises(MissingModel, match="models fetch mobilenet_v2_imagenet"):
        Backbone(Backbone.Params(), Context(Classes(()))).encode(image_of(noise(3, 32, 32)))


def test_parameters_are_checked() -> None:
    for wrong in ({"stride": 0}, {"tile": 100}, {"long_side": 5}, {"output_stride": "7"}):
        with pytest.raises(UsageError, match="backbone"):
            registry.parameters(registry.load("encoders", "backbone"), wrong, "backbone")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_agrees_with_the_cpu(weights: dict[str, Path]) -> None:
    path = str(weights["torchvision/mobilenet_v2"])
    params = Backbone.Params(model="torchvision/mobilenet_v2", weights=path)
    image = image_of(noise(3, 90, 130))
    cpu, cuda = (Backbone(params, Context(Classes(()), device=d)).encode(image) for d in ("cpu", "cuda"))
    assert np.allclose(cpu.data, cuda.data, atol=2e-3)
