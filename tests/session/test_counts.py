"""Counts and areas of an accepted mask."""

from __future__ import annotations

import numpy as np

from napari_wsss.project.settings import parse_classes
from napari_wsss.session import counts
from napari_wsss.types import PixelSize

CLASSES = parse_classes(["background", "cell"])


def mask() -> tuple[np.ndarray, np.ndarray]:
    labels = np.ones((10, 20), np.uint16)
    labels[:4, :5] = 2
    labels[6:8, 10:14] = 2
    ids = np.zeros(labels.shape, np.uint32)
    ids[:4, :2], ids[:4, 2:5], ids[6:8, 10:14] = 7, 8, 9
    return labels, ids


def test_touching_objects_with_ids_are_counted_apart_and_regions_without():
    labels, ids = mask()
    assert [r.objects for r in counts.count(labels, ids, CLASSES, None)] == [1, 3]
    assert [r.objects for r in counts.count(labels, None, CLASSES, None)] == [1, 2]


def test_areas_have_the_images_unit_and_shares_sum_to_the_labelled_part():
    labels, _ = mask()
    labels[9] = 0
    rows = counts.count(labels, None, CLASSES, PixelSize(0.5, 0.25, "um"))
    assert rows[1].pixels == 28
    assert rows[1].area == 28 * 0.125
    assert sum(r.share for r in rows) == 0.9
    text = counts.to_csv("a.tif", rows, PixelSize(0.5, 0.25, "um"))
    assert text.splitlines()[0] == "image,class,objects,pixels,area [µm²],share"
    assert text.splitlines()[2] == "a.tif,cell,2,28,3.5,0.140000"
