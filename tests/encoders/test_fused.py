"""Two encoders on one grid."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss import registry
from napari_wsss.bench._drawn import textured_image
from napari_wsss.models.grids import on_grid
from napari_wsss.protocols import Context
from napari_wsss.types import Classes

CONTEXT = Context(Classes(()), "cpu", 0)


def made(name, **params):
    method = registry.load("encoders", name)
    return method(method.Params(**params), CONTEXT)


def test_the_features_of_both_lie_side_by_side_on_the_wanted_grid():
    image = textured_image((70, 90), 1, seed=1)
    found = made("fused").encode(image)
    fine, coarse = made("filters", stride=4).encode(image), made("embedded").encode(image)
    assert found.stride == 4
    assert found.data.shape == (len(fine.data) + len(coarse.data), 18, 23)
    assert np.array_equal(found.data[: len(fine.data)], fine.data)
    assert np.allclose(found.data[len(fine.data) :], on_grid(coarse, 4, (70, 90)))
    assert "embedded" in made("fused").model


def test_another_pair_and_no_nesting():
    image = textured_image((40, 40), 1, seed=1)
    assert len(made("fused", coarse="filters", stride=8).encode(image).data) == 60
    with pytest.raises(ValueError, match="other encoders"):
        made("fused", fine="fused")
