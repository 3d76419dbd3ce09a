"""Dual-threshold boxes (methods.md A.15): one whole box an object, neither one for two nor two for one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.maps.boxes import boxes


def scene(seed: int) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Two discs that fall off to their edge, with a bridge at 0.4 of the peak between them, and their boxes."""
    rng = np.random.default_rng(seed)
    r1, r2, gap = (int(rng.integers(15, 28)), int(rng.integers(15, 28)), int(rng.integers(2, 25)))
    yy, xx = np.mgrid[:90, :180]
    y, x1 = 45, 10 + r1
    x2 = x1 + r1 + gap + r2
    out = np.zeros((90, 180), np.float32)
    out[y - 4 : y + 4, x1:x2] = 0.4
    for x, r in ((x1, r1), (x2, r2)):
        away = np.hypot(yy - y, xx - x) / r
        out = np.maximum(out, np.where(away <= 1, 1 - 0.7 * away**2, 0)).astype(np.float32)
    return out, [(y - r, x - r, y + r + 1, x + r + 1) for x, r in ((x1, r1), (x2, r2))]


def iou(a, b) -> float:
    high, wide = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(high, 0) * max(wide, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def test_two_bridged_discs_are_two_whole_boxes():
    worst = []
    for seed in range(20):
        scores, truth = scene(seed)
        found = boxes(scores, 0.25, 0.7)
        assert len(found) == 2
        worst.append(min(max(iou(f, t) for f in found) for t in truth))
    assert np.mean(worst) >= 0.8
    assert min(worst) >= 0.65


def test_one_threshold_alone_fails_where_two_do_not():
    scores, truth = scene(3)
    assert len(boxes(scores, 0.25, 0.25)) == 1
    high = boxes(scores, 0.7, 0.7)
    assert max(min(iou(f, t) for f in high) for t in truth) < 0.65


def test_a_halo_is_no_second_object_and_an_empty_map_has_none():
    yy, xx = np.mgrid[:80, :80]
    away = np.hypot(yy - 40, xx - 40)
    scores = np.where(away <= 15, 1.0, np.where(away <= 30, 0.4, 0)).astype(np.float32)
    (box,) = boxes(scores, 0.25, 0.7)
    assert iou(box, (10, 10, 71, 71)) > 0.85
    assert boxes(np.zeros((10, 10), np.float32), 0.25, 0.7) == []


def test_thresholds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="the lower comes first"):
        boxes(np.ones((4, 4), np.float32), 0.8, 0.2)
