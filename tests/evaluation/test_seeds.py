"""Seed figures: one pass over all thresholds equals trying each."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.errors import UsageError
from napari_wsss.evaluation import Case, SeedCase, evaluate, evaluate_seeds
from napari_wsss.types import Class, Classes

CLASSES = Classes((Class(1, "cat", "#ff0000"), Class(2, "background", "#000000"), Class(3, "dog", "#00ff00")))


def cases(seed=0):
    rng = np.random.default_rng(seed)
    for n in range(3):
        truth = rng.integers(0, 4, (15, 17)).astype(np.uint16)
        # some scores lie on thresholds exactly
        scores = (rng.integers(0, 101, (2, 15, 17)) / 100 * rng.choice([1, 0.999], (2, 15, 17))).astype(np.float32)
        yield SeedCase(f"i{n}", truth, scores, (1, 3))


def at(threshold):
    for case in cases():
        scores = case.scores.astype(np.float64)
        best = np.array(case.class_ids)[scores.argmax(0)]
        yield Case(case.name, case.truth, np.where(scores.max(0) > threshold, best, 2).astype(np.uint16))


def test_every_threshold_equals_the_plain_way():
    found = evaluate_seeds(cases(), CLASSES, fixed=0.4)
    plain = [evaluate(at(n / 100), CLASSES) for n in range(101)]
    assert found.curve == pytest.approx([p.miou for p in plain], abs=1e-12)
    assert found.fixed_miou == pytest.approx(plain[40].miou)
    assert found.fixed_fp_ratio == pytest.approx(plain[40].fp_ratio)
    assert found.best_miou == max(found.curve) == found.curve[round(found.best_threshold * 100)]
    assert found.best_fn_ratio == pytest.approx(plain[round(found.best_threshold * 100)].fn_ratio)
    assert found.images == 3


def test_no_maps_is_background_everywhere():
    truth = np.array([[1, 2, 2, 2]], np.uint16)
    found = evaluate_seeds([SeedCase("x", truth, np.zeros((0, 1, 4), np.float32), ())], CLASSES)
    assert found.fixed_miou == pytest.approx((0 + 0.75) / 2)


def test_wrong_use():
    with pytest.raises(UsageError, match="background"):
        evaluate_seeds(cases(), Classes((Class(1, "cat", "#ff0000"),)))
    with pytest.raises(UsageError, match="threshold"):
        evaluate_seeds(cases(), CLASSES, fixed=0.405)
    with pytest.raises(UsageError, match="nothing to score"):
        evaluate_seeds([], CLASSES)
