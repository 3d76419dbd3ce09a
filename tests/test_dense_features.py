"""How long features are kept: with one stage, or from one to the next where many short runs see the same images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.choices import Choice
from napari_wsss.dense_features import DenseFeatures, box_means, remembered
from napari_wsss.encoders.filters import Filters
from napari_wsss.project import Cache
from napari_wsss.protocols import Context
from napari_wsss.types import Class, Classes, Image


@pytest.fixture
def encoded(monkeypatch):
    """Names of the images that went through the encoder."""
    seen: list[str] = []
    encode = Filters.encode

    def watched(self, image):
        seen.append(image.name)
        return encode(self, image)

    monkeypatch.setattr(Filters, "encode", watched)
    return seen


@pytest.fixture
def stage(tmp_path):
    """Makes what one stage reads features by."""
    cache = Cache(tmp_path / "cache", tmp_path / "new", 1 << 30)
    context = Context(Classes((Class(1, "ground", "#000000"), Class(2, "thing", "#ff0000"))))
    return lambda: DenseFeatures(Choice("encoders", "filters", {}, "encoder"), context, cache)


def image(number: int) -> Image:
    channels = np.random.default_rng(number).uniform(0, 1, (1, 32, 40)).astype(np.float32)
    return Image(f"{number}", f"key {number}", channels, np.ones((32, 40), bool), (0, 0, 0))


def test_a_stage_forgets_its_features_unless_they_are_remembered(stage, encoded):
    first = stage()(image(0)).data
    assert (stage()(image(0)).data == first).all()
    assert encoded == ["0", "0"]
    encoded.clear()
    with remembered():
        for _ in range(2):
            for n in (0, 1):
                stage()(image(n))
        assert np.array_equal(stage()(image(0)).data, first.astype(np.float16).astype(np.float32))
        assert encoded == ["0", "1"]
    stage()(image(0))
    assert encoded == ["0", "1", "0"]


def test_what_is_remembered_is_bounded_and_of_a_round_that_does_not_fit_the_first_stay(stage, encoded):
    each = stage()(image(0)).data.nbytes // 2 + 100  # at half precision
    encoded.clear()
    with remembered(limit=2 * each):
        for _ in range(3):
            for n in range(4):
                stage()(image(n))
    assert encoded == ["0", "1", "2", "3", "2", "3", "2", "3"]


def test_a_later_round_keeps_what_it_uses_of_an_earlier_one_and_the_rest_makes_room(stage, encoded):
    each = stage()(image(0)).data.nbytes // 2 + 100
    encoded.clear()
    with remembered(limit=2 * each):
        for numbers in ((0, 1), (1, 0), (2, 0), (2, 0, 3)):
            with remembered():
                for n in numbers:
                    stage()(image(n))
    assert encoded == ["0", "1", "2", "3"]


def test_means_over_boxes_are_those_of_the_whole_map(stage):
    features = stage()(image(0))
    boxes = [(0, 0, 32, 40), (3, 5, 9, 6), (31, 39, 32, 40)]
    wanted = [features.data[:, y0:y1, x0:x1].mean((1, 2), dtype=float) for y0, x0, y1, x1 in boxes]
    assert np.allclose(stage().means(image(0), boxes), wanted, rtol=1e-6, atol=1e-7)
    with remembered():
        assert np.allclose(stage().means(image(0), boxes), wanted, rtol=2e-3, atol=2e-3)


def test_a_box_smaller_than_a_token_has_the_token_it_begins_in():
    data = np.arange(12, dtype=np.float16).reshape(1, 3, 4)
    assert box_means(data, 4.0, [(5, 9, 6, 11), (0, 0, 8, 4)]).tolist() == [[6.0], [2.0]]
