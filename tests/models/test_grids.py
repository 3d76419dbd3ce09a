"""Features on another grid keep their place in the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.models.grids import on_grid, whole_step
from napari_wsss.types import Features


@pytest.mark.parametrize(("stride", "step"), [(1, 1), (1.9, 1), (2, 2), (5.625, 4), (7.5, 4), (8, 8), (40, 32)])
def test_the_step_is_the_power_of_two_below_the_stride(stride, step):
    assert whole_step(stride, 32) == step


@given(st.floats(1, 20), st.integers(40, 90), st.integers(40, 90), st.sampled_from([1, 2, 4]))
def test_a_ramp_over_the_image_stays_where_it_is(stride, height, width, step):
    cells = [int(np.ceil(n / stride)) for n in (height, width)]
    rows = (np.arange(cells[0]) + 0.5) * stride - 0.5  # of the image, at the cells' centres
    found = on_grid(
        Features(np.repeat(rows[None, :, None], cells[1], 2).astype(np.float32), stride), step, (height, width)
    )
    assert found.shape == (1, -(-height // step), -(-width // step))
    wanted = ((np.arange(found.shape[1]) + 0.5) * step - 0.5).clip(rows[0], rows[-1])
    assert np.allclose(found[0], wanted[:, None], atol=1e-3)


def test_features_that_fit_are_handed_on_as_they_are():
    data = np.random.default_rng(0).random((3, 10, 12), np.float32)
    assert on_grid(Features(data, 4.0), 4, (40, 47)) is data
