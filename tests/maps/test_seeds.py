"""Seeds by a person's thresholds: the method's own without any, background only where every map is low."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_wsss.maps.seeds import seeds, with_thresholds
from napari_wsss.project.settings import parse_classes
from napari_wsss.types import Cam, Classes

CLASSES = parse_classes(["background", "a", "b"])
RAMP = np.linspace(0, 1, 101, dtype=np.float32)[None]
CAM = Cam(np.stack([RAMP, RAMP[:, ::-1] * 0.9]), (2, 3), np.ones(2, np.float32), np.full((1, 101), 3, np.uint16))


def having(**thresholds) -> Classes:
    return Classes(tuple(replace(c, thresholds=thresholds.get(c.name)) for c in CLASSES))


def test_without_thresholds_the_methods_own_seeds_stay():
    assert seeds(CAM, CLASSES) is CAM.seeds
    assert with_thresholds(CAM, CLASSES) is CAM


def test_a_class_is_where_its_map_wins_and_reaches_the_upper_threshold():
    found = seeds(CAM, having(a=(0.1, 0.8)))[0]
    assert np.array_equal(np.flatnonzero(found == 2), np.arange(80, 101))
    assert np.array_equal(np.flatnonzero(found == 3), np.arange(0, 45)), "b has the usual thresholds"


def test_background_is_where_every_map_is_low():
    found = seeds(CAM, having(a=(0.6, 0.95), b=(0.5, 0.95)))[0]
    low = (RAMP[0] <= np.float32(0.6)) & (RAMP[0, ::-1] * np.float32(0.9) <= np.float32(0.5))
    assert np.array_equal(found == 1, low)
    assert not seeds(replace(CAM, scores=CAM.scores * 0), having(a=(0.6, 0.95))).any(), "an empty map says nothing"


def test_nodata_has_no_seed():
    valid = np.arange(101)[None] < 90
    assert not seeds(CAM, having(a=(0.1, 0.8)), valid)[~valid].any()
