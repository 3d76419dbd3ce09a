"""Quality without truth: learnt from reviews, honest about its doubt, silent before fifteen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_wsss.project import Project
from napari_wsss.quality import ENOUGH, FEATURES, features, mean_iou, note_review, predicted_iou, reviews, worst_first
from napari_wsss.types import Mask, Prediction, Provenance
from tests.toy_projects import draw, truth


def degraded(n: int, amount: float) -> Prediction:
    """The truth with an increasing share of pixels blurred into doubt and swapped."""
    rng = np.random.default_rng(100 + n)
    ids = truth(n)
    p = np.where(np.stack([ids == 1, ids == 2]), 0.97, 0.03)
    wrong = rng.random(ids.shape) < 0.5 * amount
    mixed = 0.5 + rng.normal(0, 0.08, ids.shape)
    p[0], p[1] = np.where(wrong, mixed, p[0]), np.where(wrong, 1 - mixed, p[1])
    return Prediction((p.argmax(0) + 1).astype(np.uint16), p.clip(0, 1).astype(np.float16))


def made(when: str, by: str = "method") -> Provenance:
    return Provenance(by, "toy", when)


def project_of(folder, count: int, reviewed: int) -> tuple[Project, np.ndarray]:
    draw(folder / "images", count)
    project = Project.create(folder / "project", ["background", "cell"])
    project.add_images([folder / "images"])
    amounts = np.random.default_rng(1).uniform(0, 1, count)
    for n in range(count):
        project.put_result(f"{n}.png", "predicted", degraded(n, amounts[n]), "k", made("2026-01-01T00:00:00Z"))
        if n < reviewed:
            project.accept(f"{n}.png", Mask(truth(n).astype(np.uint16)), made("2026-01-02T00:00:00Z", "person"))
    return project, amounts


def test_before_fifteen_reviews_there_is_an_order_and_no_number(tmp_path):
    project, amounts = project_of(tmp_path, ENOUGH + 5, ENOUGH - 1)
    with project:
        found = worst_first(project)
        assert all(q.iou is None and q.low is None for q in found)
        assert {q.image for q in found} == {f"{n}.png" for n in range(ENOUGH - 1, ENOUGH + 5)}
        order = [amounts[int(q.image.split(".")[0])] for q in found]
        assert stats.spearmanr(order, -np.arange(len(order))).statistic > 0.6


def test_from_fifteen_reviews_on_the_iou_is_predicted_with_an_interval(tmp_path):
    project, _ = project_of(tmp_path, 34, 20)
    with project:
        found = worst_first(project)
        true = []
        for q in found:
            n = int(q.image.split(".")[0])
            true.append(mean_iou(truth(n).astype(np.uint16), project.result(q.image, "predicted").labels))
        guess = np.array([q.iou for q in found])
        assert list(guess) == sorted(guess)
        assert stats.spearmanr(guess, true).statistic > 0.6
        assert np.abs(guess - true).mean() < np.abs(np.mean(reviews(project)[1]) - true).mean()  # beats a constant
        inside = [q.low <= t <= q.high for q, t in zip(found, true, strict=True)]
        assert np.mean(inside) > 0.7


def test_only_a_prediction_made_before_the_review_counts_and_it_is_kept_when_replaced(tmp_path):
    project, _ = project_of(tmp_path, 2, 1)
    with project:
        assert len(reviews(project)[1]) == 1
        assert note_review(project, "0.png")
        assert not note_review(project, "0.png")
        assert not note_review(project, "1.png")
        project.put_result("0.png", "predicted", degraded(0, 0.0), "k2", made("2026-01-03T00:00:00Z"))
        assert not note_review(project, "0.png")
        assert len(reviews(project)[1]) == 1
        assert reviews(project)[1][0] < 1


def test_features_are_finite_also_of_nothing(tmp_path):
    project, _ = project_of(tmp_path, 1, 0)
    with project:
        image = project.image("0.png")
        empty = Prediction(np.zeros(image.shape, np.uint16), np.zeros((2, *image.shape), np.float16))
        assert features(empty, image).shape == (len(FEATURES),)
        assert np.isfinite(features(empty, image)).all()


def test_the_interval_widens_with_the_noise_and_constant_features_do_no_harm():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(0, 1, 40), np.ones(40)])
    still, noisy = 0.9 - 0.5 * x[:, 0], 0.9 - 0.5 * x[:, 0] + rng.normal(0, 0.1, 40)
    guess, narrow = predicted_iou(x, still, x)
    assert guess == pytest.approx(still, abs=0.02)
    assert predicted_iou(x, noisy, x)[1] > 3 * narrow
