"""The filter encoder against scikit-image, and its laws: turning, tiling, nodata."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.feature import multiscale_basic_features

from napari_wsss import registry
from napari_wsss.encoders.filters import Filters
from napari_wsss.errors import Cancelled, UsageError
from napari_wsss.protocols import Context
from napari_wsss.types import Classes, Features, Image


def image_of(channels: np.ndarray, valid: np.ndarray | None = None) -> Image:
    channels = np.ascontiguousarray(channels, np.float32)
    everywhere = np.ones(channels.shape[1:], bool)
    rgb = (0, 1, 2) if len(channels) > 2 else (0, 0, 0)
    return Image("picture", "key", channels, everywhere if valid is None else valid, rgb)


def encoder(**given: object) -> Filters:
    return Filters(Filters.Params(**given), Context(Classes(())))


def encode(channels: np.ndarray, valid: np.ndarray | None = None, **given: object) -> Features:
    return encoder(**given).encode(image_of(channels, valid))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


PICTURES = {
    "camera": lambda: data.camera()[None, :300, :333] / 255,
    "astronaut": lambda: data.astronaut().transpose(2, 0, 1)[:, :256, :200] / 255,
    "coins": lambda: data.coins()[None] / 255,
    "white noise": lambda: noise(1, 256, 256),
}


@pytest.mark.parametrize("name", PICTURES)
def test_basic_features_correlate_with_scikit_image(name: str) -> None:
    channels = PICTURES[name]().astype(np.float32)
    theirs = multiscale_basic_features(channels, sigma_min=1, sigma_max=16, channel_axis=0, workers=1)
    filters = encoder()
    names = filters.feature_names(len(channels))
    ours = filters.encode(image_of(channels)).data
    basic = [i for i, n in enumerate(names) if "structure" not in n]
    assert len(basic) == theirs.shape[-1] == 20 * len(channels)
    for j, i in enumerate(basic):
        correlation = np.corrcoef(ours[i].ravel(), theirs[..., j].ravel())[0, 1]
        assert correlation >= 0.985 if name == "white noise" else correlation >= 0.99, (names[i], correlation)


def test_smoothing_is_gaussian_at_every_scale() -> None:
    """Also where every second weight is used, and where the grid is coarser than the image's."""
    channels = np.clip(noise(1, 192, 160) + (np.arange(160) > 90), 0, 2).astype(np.float32)
    features, names = encode(channels).data, encoder().feature_names(1)
    for sigma in (1, 2, 4, 8, 16):
        exact = gaussian_filter(channels[0].astype(float), sigma, mode="nearest", truncate=6)
        error = features[names.index(f"c0.s{sigma}.intensity")] - exact
        assert np.abs(error).max() < 0.02 * np.ptp(exact), sigma
        assert error.std() < 0.004 * exact.std(), sigma


def test_names_count_the_features() -> None:
    filters = encoder()
    names = filters.feature_names(2)
    assert len(names) == len(set(names)) == len(filters.encode(image_of(noise(2, 40, 50))).data)
    assert names[0] == "c0.s1.intensity"
    assert names[-1] == "c1.s16.structure_small"


@pytest.mark.parametrize("shape", [(1, 64, 96), (3, 128, 64)])
def test_a_turned_image_has_turned_features(shape: tuple[int, ...]) -> None:
    channels = noise(*shape)
    turned = encode(np.rot90(channels, axes=(1, 2)))
    assert np.allclose(turned.data, np.rot90(encode(channels).data, axes=(1, 2)), atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), stride=st.sampled_from([1, 2, 4, 8, 16]))
def test_any_size_gives_finite_features_on_the_promised_grid(height: int, width: int, stride: int) -> None:
    features = encode(noise(1, height, width), stride=stride)
    assert features.stride == stride
    assert features.data.shape == (30, -(-height // stride), -(-width // stride))
    assert features.data.dtype == np.float32
    assert np.isfinite(features.data).all()


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_tiles_make_no_difference(stride: int) -> None:
    channels = noise(1, 300, 330)
    whole = encode(channels, stride=stride, sigma_max=4.0)
    tiled = encode(channels, stride=stride, sigma_max=4.0, tile=128)
    assert np.allclose(whole.data, tiled.data, atol=1e-5)


def test_tiles_make_no_difference_at_the_largest_scale() -> None:
    channels = noise(1, 800, 128)
    assert np.allclose(encode(channels).data, encode(channels, tile=64).data, atol=1e-5)


def test_a_coarser_grid_is_the_mean_of_the_finer() -> None:
    channels = noise(1, 64, 64)
    fine, coarse = encode(channels).data, encode(channels, stride=2).data
    names = encoder().feature_names(1)
    for kind in ("c0.s1.intensity", "c0.s2.hessian_large"):
        i = names.index(kind)
        assert np.allclose(fine[i].reshape(32, 2, 32, 2).mean((1, 3)), coarse[i], atol=1e-5)


def test_nodata_influences_nothing_and_is_zero() -> None:
    channels = noise(2, 100, 120)
    valid = np.ones((100, 120), bool)
    valid[30:60, 50:] = False
    valid[:, :7] = False
    other = channels.copy()
    other[:, ~valid] = 1e6
    other[0, 40, 60] = np.nan
    first, second = encode(channels, valid).data, encode(other, valid).data
    assert np.array_equal(first, second)
    assert (first[:, ~valid] == 0).all()
    assert np.isfinite(first).all()


def test_nodata_makes_no_edge() -> None:
    """A constant image with a hole is constant: no gradient at the hole's border."""
    valid = np.ones((80, 80), bool)
    valid[20:50, 20:50] = False
    channels = np.where(valid, 0.5, 0.0)[None].astype(np.float32)
    features = encode(channels, valid).data
    for i, name in enumerate(encoder().feature_names(1)):
        assert np.allclose(features[i][valid], 0.5 if "intensity" in name else 0.0, atol=1e-3), name


def test_an_image_of_nodata_is_zero() -> None:
    assert not encode(noise(1, 20, 20), np.zeros((20, 20), bool)).data.any()


@settings(max_examples=10, deadline=None)
@given(angle=st.sampled_from([0.0, 30.0, 45.0, 90.0, 120.0]), wavelength=st.sampled_from([40.0, 64.0]))
def test_a_wave_has_the_derivatives_of_calculus(angle: float, wavelength: float) -> None:
    """I = cos(k.x): after smoothing its amplitude is exp(-k^2 s^2 / 2), its second derivative -k^2 times that."""
    y, x = np.mgrid[:256, :256].astype(np.float32)
    k = 2 * np.pi / wavelength
    phase = k * (np.cos(np.deg2rad(angle)) * x + np.sin(np.deg2rad(angle)) * y)
    features = encode(np.cos(phase)[None])
    names = encoder().feature_names(1)
    inner = (slice(80, -80), slice(80, -80))
    for sigma in (2, 4, 8):
        amplitude = np.exp(-0.5 * (k * sigma) ** 2)
        crest = amplitude * (k * sigma) ** 2
        intensity, gradient, large, small, *_ = (
            features.data[names.index(f"c0.s{sigma}.{kind}")][inner]
            for kind in ("intensity", "gradient", "hessian_large", "hessian_small")
        )
        assert intensity.max() == pytest.approx(amplitude, rel=0.05)
        assert gradient.max() == pytest.approx(amplitude * k * sigma, rel=0.05)
        assert large.max() == pytest.approx(crest, rel=0.08)
        assert small.min() == pytest.approx(-crest, rel=0.08)


def test_structure_tensor_tells_a_line_from_a_corner() -> None:
    edge = np.zeros((1, 96, 96), np.float32)
    edge[:, :, 48:] = 1
    corner = np.zeros((1, 96, 96), np.float32)
    corner[:, 48:, 48:] = 1
    names = encoder().feature_names(1)
    large, small = names.index("c0.s2.structure_large"), names.index("c0.s2.structure_small")
    on_edge, on_corner = encode(edge).data[:, 48, 48], encode(corner).data[:, 48, 48]
    assert on_edge[small] < 0.02 * on_edge[large]
    assert on_corner[small] > 0.3 * on_corner[large]


def test_colour_opponents_replace_the_rgb_channels_only() -> None:
    channels = noise(4, 32, 32)
    plain, opponent = encode(channels).data, encode(channels, colour="opponent").data
    assert np.array_equal(plain[90:], opponent[90:])
    grey = np.repeat(channels[:1], 3, 0)
    without_colour = encode(grey, colour="opponent").data
    assert np.allclose(without_colour[30:90], 0, atol=1e-5)
    assert np.allclose(without_colour[:30], plain[:30], atol=1e-5)


def test_equal_input_gives_equal_features() -> None:
    assert np.array_equal(encode(noise(1, 90, 70)).data, encode(noise(1, 90, 70)).data)


def test_images_together_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    valid = np.ones((70, 50), bool)
    valid[:30, 20:] = False
    images = [image_of(noise(2, 70, 50, seed=i), valid if i == 1 else None) for i in range(3)]
    alone = [encoder(tile=64).encode(image).data for image in images]
    for side_by_side in (1, 4, 100):  # channels computed at once: one on a CPU, many on a GPU
        monkeypatch.setattr(Filters, "_together", lambda self, shape, n=side_by_side: n)
        together = encoder(tile=64).encode_batch(images)
        assert all(np.allclose(one.data, other, atol=1e-6) for one, other in zip(together, alone, strict=True))


def test_threads_make_no_difference() -> None:
    channels = noise(3, 150, 130)
    alone = encode(channels).data
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = encode(channels).data
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(alone, together)


def test_the_input_is_not_changed() -> None:
    channels = noise(3, 40, 40)
    kept = channels.copy()
    encode(channels, colour="opponent")
    assert np.array_equal(channels, kept)


def test_parameters_are_checked() -> None:
    for wrong in ({"stride": 3}, {"tile": 100}, {"sigma_min": 9.0, "sigma_max": 2.0}):
        with pytest.raises(UsageError, match="filters"):
            registry.parameters(registry.load("encoders", "filters"), wrong, "filters")


def test_progress_can_cancel() -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        Filters(Filters.Params(), Context(Classes(()), progress=stop)).encode(image_of(noise(1, 32, 32)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_agrees_with_the_cpu() -> None:
    channels = noise(5, 200, 150)
    on_gpu = Filters(Filters.Params(), Context(Classes(()), device="cuda")).encode(image_of(channels))
    assert np.allclose(on_gpu.data, encode(channels).data, atol=1e-4)
