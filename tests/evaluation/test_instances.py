"""AP50 and PQ on cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_wsss.evaluation import Case, evaluate
from napari_wsss.types import Class, Classes

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "nucleus", "#ff0000"), Class(3, "cell", "#00ff00")))


def scene(*boxes, class_id=2):
    labels, ids = np.ones((40, 40), np.uint16), np.zeros((40, 40), np.uint32)
    for n, (y0, x0, y1, x1) in enumerate(boxes, 1):
        labels[y0:y1, x0:x1], ids[y0:y1, x0:x1] = class_id, n
    return labels, ids


def figures(true, found, with_ids=True):
    return evaluate([Case("x", true[0], found[0], true[1], found[1] if with_ids else None)], CLASSES)


def test_counted_by_hand():
    true = scene((0, 0, 10, 10), (20, 0, 30, 10), (20, 20, 30, 30))
    found = scene((0, 0, 10, 8), (20, 0, 30, 4), (0, 20, 5, 25))  # IoU 0.8, 0.4, and a wrong one
    out = figures(true, found)
    assert out.objects == {
        "nucleus": {"true": 3, "found": 3, "matched": 1, "ap50": pytest.approx(1 / 5), "pq": pytest.approx(0.8 / 3)}
    }
    assert (out.ap50, out.pq, out.images_with_instances) == (pytest.approx(0.2), pytest.approx(0.8 / 3), 1)


def test_perfect_is_one_and_nothing_is_zero():
    true = scene((0, 0, 10, 10), (20, 0, 30, 10))
    assert (figures(true, true).ap50, figures(true, true).pq) == (1, 1)
    nothing = (np.ones((40, 40), np.uint16), np.zeros((40, 40), np.uint32))
    assert (figures(true, nothing).ap50, figures(true, nothing).pq) == (0, 0)
    missing = evaluate([Case("x", true[0], None, true[1])], CLASSES)
    assert missing.ap50 == 0


def test_iou_of_exactly_one_half_is_no_match():
    assert figures(scene((0, 0, 10, 10)), scene((0, 0, 10, 5))).ap50 == 0
    assert figures(scene((0, 0, 10, 10)), scene((0, 0, 10, 6))).ap50 == 1


def test_answer_without_ids_counts_connected_regions():
    true = scene((0, 0, 10, 10), (0, 10, 10, 20))  # touching: one region, of IoU 0.5 with either
    assert figures(true, true, with_ids=False).ap50 == 0
    apart = scene((0, 0, 10, 10), (0, 12, 10, 22))
    assert figures(apart, apart, with_ids=False).ap50 == 1


def test_false_objects_in_an_image_without_any_count():
    true = scene((0, 0, 10, 10))
    empty = scene()
    out = evaluate(
        [Case("x", *true[:1], true[0], true[1], true[1]), Case("y", empty[0], true[0], *[empty[1], true[1]])], CLASSES
    )
    assert out.objects["nucleus"] == {"true": 1, "found": 2, "matched": 1, "ap50": 0.5, "pq": pytest.approx(2 / 3)}


def test_unknown_truth_is_nobodys():
    true, found = scene((0, 0, 10, 10)), scene((0, 0, 10, 12), (20, 20, 30, 30), (30, 0, 40, 10))
    true[0][:, 10:12] = 0
    true[0][20:30, 20:26] = 0  # the second answer lies mostly there: no error; the third is one
    out = figures(true, found)
    assert out.objects["nucleus"]["found"] == 2
    assert out.pq == pytest.approx(1 / 1.5)


def test_match_that_lies_mostly_in_unknown_truth_is_still_found():
    true, found = scene((0, 0, 10, 4)), scene((0, 0, 10, 12))
    true[0][:10, 4:] = 0
    out = figures(true, found)
    assert out.objects["nucleus"] == {"true": 1, "found": 1, "matched": 1, "ap50": 1, "pq": 1}


def test_pixels_of_the_class_without_id_are_nobodys():
    true, found = scene((0, 0, 10, 10), (20, 20, 30, 30)), scene((0, 0, 10, 10), (20, 20, 30, 30))
    true[1][20:30, 20:30] = 0
    assert figures(true, found).ap50 == 1


def test_without_instances_the_figures_are_absent():
    labels, _ = scene((0, 0, 10, 10))
    out = evaluate([Case("x", labels, labels)], CLASSES)
    assert out.ap50 is None
    assert "ap50" not in out.as_json()


def test_classes_are_averaged():
    labels, ids = scene((0, 0, 10, 10))
    other = scene((20, 20, 30, 30), class_id=3)
    labels[20:30, 20:30], ids[20:30, 20:30] = 3, 7
    out = evaluate([Case("x", labels, other[0], ids, other[1])], CLASSES)
    assert {k: v["ap50"] for k, v in out.objects.items()} == {"nucleus": 0, "cell": 1}
    assert out.ap50 == 0.5
