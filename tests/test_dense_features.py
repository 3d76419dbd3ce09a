"""How long features are kept: with one stage, or from one to the next where many short runs see the same images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.choices import Choice
from napari_wsss.dense_features import DenseFeatures, remembered
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
