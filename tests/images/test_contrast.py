"""Contrast: robust, bounded, blind to nodata, and never noise stretched to a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_wsss.errors import UsageError
from napari_wsss.images import contrast, default_rgb, load, open_source
from napari_wsss.images._header import Header
from napari_wsss.images._sampling import SAMPLE, sample, sample_boxes
from napari_wsss.images.contrast import normalised
from napari_wsss.images.source import ImageSource


def source_of(array: np.ndarray, valid: np.ndarray | None = None, names: tuple[str, ...] = ()) -> ImageSource:
    """A source whose (c, h, w) pixels are in memory."""
    c, h, w = array.shape
    ok = np.ones((h, w), bool) if valid is None else valid
    header = Header(("",), (h, w), c, array.dtype, names or tuple(f"channel {i + 1}" for i in range(c)), False, (h, w))
    return ImageSource(
        Path("memory"), header, lambda _, b: (array[:, b[0] : b[2], b[1] : b[3]], ok[b[0] : b[2], b[1] : b[3]])
    )


def loaded(source: ImageSource) -> np.ndarray:
    return load(source, "", name="a", key="k", contrast=contrast(source, ""), rgb_channels=None).channels


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_a_constant_channel_is_0(dtype):
    for value in (0, 7, 100):
        assert not loaded(source_of(np.full((2, 30, 40), value, dtype))).any()


@pytest.mark.parametrize(("dtype", "level", "noise"), [("uint8", 20, 1), ("uint16", 1000, 2), ("uint16", 20000, 40)])
def test_a_blank_image_stays_blank(dtype, level, noise):
    rng = np.random.default_rng(0)
    blank = (level + rng.integers(-noise, noise + 1, (1, 200, 200))).astype(dtype)
    assert np.ptp(loaded(source_of(blank))) <= 0.41  # not the full range
    assert loaded(source_of(blank)).std() < 0.2


def test_a_dim_picture_is_stretched():
    rng = np.random.default_rng(0)
    dim = (100 + 60 * rng.random((1, 200, 200))).astype(np.uint16)
    assert np.ptp(loaded(source_of(dim))) == 1


def test_percentiles_of_a_small_image_are_numpys():
    array = np.random.default_rng(0).normal(0, 100, (3, 50, 60)).astype(np.float32)
    lo, hi = contrast(source_of(array), "", (2.0, 95.0))
    np.testing.assert_allclose(lo, np.percentile(array, 2, axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(hi, np.percentile(array, 95, axis=(1, 2)), rtol=1e-6)


def test_nodata_enters_no_statistic_and_is_0():
    array = np.random.default_rng(0).integers(100, 200, (1, 40, 40)).astype(np.int32)
    valid = np.ones((40, 40), bool)
    valid[:30] = False
    with_nodata = np.where(valid, array, -99999)
    lo, hi = contrast(source_of(with_nodata, valid), "")
    other = np.where(valid, array, 2_000_000)
    assert (lo, hi) == contrast(source_of(other, valid), "")
    assert lo >= 100
    image = loaded(source_of(with_nodata, valid))
    assert not image[:, ~valid].any()
    assert image[:, valid].max() == 1


@settings(deadline=None, max_examples=60)
@given(
    array=st.sampled_from(["uint8", "int16", "uint32", "int64", "float16", "float32", "float64"]).flatmap(
        lambda dtype: arrays(dtype, (2, 6, 7))
    )
)
def test_whatever_the_numbers_the_image_is_within_0_and_1(array):
    valid = np.isfinite(array).all(0) & (np.abs(array.astype(np.float64)) <= 1e38).all(0)
    if not valid.any():
        return
    lo, hi = contrast(source_of(array, valid), "")
    assert (lo < hi).all()
    channels = normalised(array, valid, lo, hi)
    assert channels.dtype == np.float32
    assert np.isfinite(channels).all()
    assert channels.min() >= 0
    assert channels.max() <= 1
    order = np.argsort(array[0][valid], kind="stable")
    assert (np.diff(channels[0][valid][order]) >= 0).all()  # contrast never turns the order of values round


@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((30000, 30000), (256, 256)),
        ((30000, 30000), (1, 30000)),
        ((30000, 20000), (30000, 20000)),
        ((5, 9_000_000), (1, 9_000_000)),
    ],
)
def test_the_sample_of_a_huge_plane_is_bounded_and_spread(shape, block):
    boxes = list(sample_boxes(shape, block))
    pixels = sum((c - a) * (d - b) for a, b, c, d in boxes)
    assert all(0 <= a < c <= shape[0] and 0 <= b < d <= shape[1] for a, b, c, d in boxes)
    if block != shape and block[0] * block[1] < 10**6:
        assert pixels <= 64 * 2 * 512**2
        assert max(c for _, _, c, _ in boxes) > 0.9 * shape[0]
        assert min(a for a, *_ in boxes) < 0.1 * shape[0]


def test_the_sample_holds_at_most_a_million_pixels_and_finds_the_only_valid_ones():
    def read(box):
        h, w = box[2] - box[0], box[3] - box[1]
        inside = box[0] <= 2000 < box[2] and box[1] <= 4000 < box[3]
        return np.full((1, h, w), 5, np.uint8), np.full((h, w), inside and only)

    only = False
    assert sample(read, (5000, 5000), (250, 250)).shape == (1, 0)
    only = True
    assert sample(read, (5000, 5000), (250, 250)).shape[1] > 0
    everywhere = sample(
        lambda b: (np.ones((1, b[2] - b[0], b[3] - b[1])), np.ones((b[2] - b[0], b[3] - b[1]), bool)),
        (5000, 5000),
        (250, 250),
    )
    assert 300_000 < everywhere.shape[1] <= SAMPLE


def test_the_sample_of_a_large_image_gives_its_percentiles(tmp_path):
    y, x = np.mgrid[:3000, :3200].astype(np.float32)
    array = (1000 * np.sin(y / 300) + x).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", array, tile=(256, 256))
    lo, hi = contrast(open_source(tmp_path / "a.tif"), "")
    span = np.ptp(array)
    assert abs(lo[0] - np.percentile(array, 1)) < 0.06 * span
    assert abs(hi[0] - np.percentile(array, 99)) < 0.06 * span


def test_default_rgb():
    def rgb(*names):
        return default_rgb(source_of(np.zeros((len(names), 2, 2), np.uint8), names=names))

    assert rgb("grey") == (0, 0, 0)
    assert rgb("DAPI", "GFP") == (0, 1, 1)
    assert rgb("a", "b", "c", "d", "e") == (0, 1, 2)
    assert rgb("B2 blue", "B3 green", "B4 red", "B5 nir") == (2, 1, 0)
    assert rgb("Blue", "Green", "Red Edge", "Red") == (3, 1, 0)
    assert rgb("infrared", "green", "blue") == (0, 1, 2)


def test_load_of_a_box_moves_the_georeference(tmp_path, make):
    stored = make.picture(c=4, dtype="uint16").transpose(2, 0, 1)
    source = open_source(make.geotiff(tmp_path / "a.tif", stored))
    limits = contrast(source, "")
    whole = load(source, "", name="n", key="k", contrast=limits, rgb_channels=(3, 2, 1))
    part = load(source, "", name="n", key="k", contrast=limits, rgb_channels=(3, 2, 1), box=(10, 20, 30, 50))
    np.testing.assert_array_equal(part.channels, whole.channels[:, 10:30, 20:50])
    assert part.rgb_channels == (3, 2, 1)
    assert (part.name, part.key, part.pixel_size) == ("n", "k", source.pixel_size)
    assert whole.georeference == source.georeference
    assert part.georeference.transform == (30, 0, 5e5 + 20 * 30, 0, -30, 4e6 - 10 * 30)


def test_wrong_settings_are_one_line(tmp_path, make):
    source = open_source(make("png", tmp_path))
    limits = contrast(source, "")
    for percentiles in [(99.0, 1.0), (-1.0, 50.0), (1.0, 101.0)]:
        with pytest.raises(UsageError, match="percentiles"):
            contrast(source, "", percentiles)
    with pytest.raises(UsageError, match="RGB channels"):
        load(source, "", name="n", key="k", contrast=limits, rgb_channels=(0, 1, 3))
    for box in [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 41, 5)]:
        with pytest.raises(UsageError, match="not inside"):
            source.read("", box)
