"""The figures equal the reference script's, and hold the laws of methods.md 3.1."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imsave

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.evaluation import Case, evaluate, hinted
from napari_wsss.evaluation.pixels import boundary_iou, edge_counts
from napari_wsss.types import Class, Classes, Point, Stroke, WeakLabels

NAMES = ("a", "b", "c", "d")
CLASSES = Classes(tuple(Class(n, name, "#808080") for n, name in enumerate(NAMES, 1)))


def patches(rng, shape, classes, missing=0.1):
    """Random maps with areas and lone pixels: both edges and noise."""
    coarse = rng.integers(0, classes + 1, (shape[0] // 6 + 1, shape[1] // 6 + 1))
    out = np.kron(coarse, np.ones((6, 6), int))[: shape[0], : shape[1]]
    noise = rng.random(shape) < missing
    return np.where(noise, rng.integers(0, classes + 1, shape), out).astype(np.uint16)


@pytest.fixture
def reference(shared_data):
    path = shared_data.parent / "eval" / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_reference_script(reference, tmp_path, seed):
    rng = np.random.default_rng(seed)
    count, used = 5, 4 if seed % 2 else 3  # with seed even one class never occurs in the truth
    for folder in ("set/masks", "out", "weak/scribbles"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "set/classes.txt").write_text("\n".join(NAMES))
    (tmp_path / "set/test.txt").write_text("\n".join(f"i{n}" for n in range(count)))
    cases, points = [], ["image,y,x,class"]
    for n in range(count):
        shape = (int(rng.integers(20, 60)), int(rng.integers(20, 60)))
        truth, answer = patches(rng, shape, used), patches(rng, shape, 4)
        if n == 0:
            answer = truth.copy()
        strokes = np.where(rng.random(shape) < 0.05, truth, 0).astype(np.uint16)
        y, x = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
        points.append(f"i{n}.png,{y},{x},a")
        labels = WeakLabels(marks=(Point(y, x, 1), Stroke(0, 0, strokes)))
        for folder, mask in (("set/masks", truth), ("weak/scribbles", strokes)):
            imsave(tmp_path / folder / f"i{n}.png", mask.astype(np.uint8), check_contrast=False)
        if n != 3:
            imsave(tmp_path / "out" / f"i{n}.png", answer.astype(np.uint8), check_contrast=False)
        cases.append((f"i{n}", truth, None if n == 3 else answer, hinted(labels, shape)))
    (tmp_path / "weak/points.csv").write_text("\n".join(points))
    for without in (None, tmp_path / "weak"):
        theirs = reference(tmp_path / "set", tmp_path / "out", without=without)
        ours = evaluate((Case(*c[:3], left_out=c[3] if without else None) for c in cases), CLASSES).as_json()
        assert theirs["missing"] == ours["missing"] == 1
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, abs=1e-9), name
        assert ours["images"] == count


def test_no_edges_in_the_truth_is_none_not_zero():
    truth = np.ones((9, 9), np.uint16)
    assert evaluate([Case("x", truth, truth)], CLASSES).boundary_f1 is None


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_fp_fn_and_iou_add_up_to_one_and_covered_is_at_least_miou(seed):
    rng = np.random.default_rng(seed)
    truth, answer = patches(rng, (20, 24), 4), patches(rng, (20, 24), 4)
    truth[0, 0] = 1
    found = evaluate([Case("x", truth, answer)], CLASSES)
    assert found.fp_ratio + found.fn_ratio + found.miou == pytest.approx(1)
    assert found.miou_covered is None or found.miou_covered >= found.miou - 1e-12
    same = evaluate([Case("x", truth, truth)], CLASSES)
    assert (same.miou, same.accuracy, same.coverage, same.fp_ratio, same.boundary_iou) == (1, 1, 1, 0, 1)


def test_convention_of_classes_matters_and_both_are_told():
    truth = np.ones((10, 10), np.uint16)
    answer = truth.copy()
    answer[0] = 2
    found = evaluate([Case("x", truth, answer)], CLASSES)
    assert found.miou == pytest.approx(0.9)
    assert found.miou_all == pytest.approx(0.45)
    assert found.iou == {"a": 0.9}


def test_boundary_iou_oracle():
    """methods.md G.10: a 40 × 40 square shifted by 1 px."""
    a = np.zeros((80, 80), bool)
    a[20:60, 20:60] = True
    b = np.roll(a, 1, 1)
    assert (a & b).sum() / (a | b).sum() == pytest.approx(0.951, abs=5e-4)
    diagonal = np.hypot(80, 80)
    assert boundary_iou(a, b, 1 / diagonal) == pytest.approx(0.333, abs=5e-4)
    assert boundary_iou(a, b, 3 / diagonal) == pytest.approx(0.714, abs=5e-4)


def test_rim_at_the_border_is_rim():
    a = np.ones((50, 50), bool)
    assert boundary_iou(a, a) == 1
    b = a.copy()
    b[0] = False
    # bands one pixel deep: 196 of 50 × 50, 194 of 49 × 50, sharing both sides and the bottom
    assert boundary_iou(a, b, 1 / np.hypot(50, 50)) == pytest.approx(146 / (196 + 194 - 146))


def test_hints_left_out_make_no_rims():
    truth = np.ones((40, 40), np.uint16)
    truth[10:30, 10:30] = 2
    hints = np.zeros(truth.shape, bool)
    hints[19:21, 12:28] = True
    answer = np.roll(truth, 1, 1)
    full, less = (evaluate([Case("x", truth, answer, left_out=h)], CLASSES) for h in (None, hints))
    assert abs(full.boundary_iou_2px - less.boundary_iou_2px) < 0.02
    assert less.accuracy < full.accuracy


def test_edge_tolerance_is_two_pixels():
    truth = np.ones((10, 40), np.uint16)
    truth[:, 20:] = 2
    for shift, right in ((0, 1.0), (1, 1.0), (2, 1.0), (3, 0.5), (4, 0.0)):
        answer = np.ones_like(truth)
        answer[:, 20 + shift :] = 2
        good, found, met, true = edge_counts(truth, answer, truth > 0)
        assert good / found == right == met / true


def test_bad_input_is_one_clear_line():
    truth = np.ones((4, 4), np.uint16)
    with pytest.raises(WsssError, match=r"x: the mask is \(4, 5\), its truth \(4, 4\)"):
        evaluate([Case("x", truth, np.ones((4, 5), np.uint16))], CLASSES)
    with pytest.raises(WsssError, match="x: the mask holds class 9"):
        evaluate([Case("x", truth, truth * 9)], CLASSES)
    with pytest.raises(UsageError, match="nothing to score"):
        evaluate([Case("x", truth * 0, truth)], CLASSES)
    with pytest.raises(UsageError, match="nothing to score"):
        evaluate([], CLASSES)
