"""Predicting: any size, the same pixels elsewhere, nodata, files outside, workers that die."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_wsss.errors import UsageError
from napari_wsss.models.multi_scale_head import Seen
from napari_wsss.models.placed import places
from napari_wsss.prediction import predict, told_of
from napari_wsss.prediction_files import split_names, write_masks
from napari_wsss.project import Project
from napari_wsss.tiled_prediction import Tiling, cell_of, from_probabilities, predict_tiled, starts
from napari_wsss.trained import Recipe, Trained, read_trained
from napari_wsss.training.learner import with_checkpoint
from napari_wsss.training.loop import train
from napari_wsss.training.run_folder import runs
from napari_wsss.workers import Workers
from tests.toy_projects import draw
from tests.training.toy import QUICK, accepted


class Brightness(torch.nn.Module):
    """Class 2 where it is bright: what a pixel is answered depends on that pixel alone."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, x, size=None, drop=None):
        return Seen(torch.cat([-self.gain * x, self.gain * x], 1), x)


RECIPE = Recipe("plain", {}, "image", 1, ("dark", "bright"), mean=(0.5,), std=(1.0,))


def run(values: np.ndarray, tiling: Tiling, valid: np.ndarray | None = None):
    valid = np.ones(values.shape, bool) if valid is None else valid
    boxes = []

    def read(box):
        y0, x0, y1, x1 = box
        boxes.append(box)
        return values[None, y0:y1, x0:x1], valid[y0:y1, x0:x1]

    return predict_tiled(Trained(RECIPE, Brightness(), ""), values.shape, 1, read, tiling), boxes


@pytest.mark.parametrize("shape", [(1, 1), (40, 300), (129, 64), (200, 131)])
def test_tiles_give_what_the_whole_gives(shape):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    whole, _ = run(values, Tiling(4096, 64))
    tiled, boxes = run(values, Tiling(64, 32))
    assert len(boxes) > 1 or max(shape) <= 64
    assert np.array_equal(whole.labels, np.where(values > 0.5, 2, 1))
    assert np.array_equal(whole.labels, tiled.labels)
    assert np.allclose(whole.probabilities, tiled.probabilities, atol=2e-3)


def test_every_pixel_is_covered_and_neighbours_overlap():
    for length in (1, 64, 65, 200, 1000):
        found = starts(length, 64, 16)
        assert found[0] == 0
        assert found[-1] + 64 >= length
        assert all(b - a == 48 for a, b in itertools.pairwise(found))
        assert len(found) == 1 or found[-1] + 16 < length  # the last one is not for nothing


def test_nodata_gets_no_class_and_enters_no_mean():
    values = np.full((700, 500), 0.9, np.float32)
    valid = np.ones(values.shape, bool)
    valid[100:301, 100:203] = False
    values[~valid] = 0
    found, _ = run(values, Tiling(256, 32), valid)
    assert found.stride == cell_of(values.shape) == 2
    assert (found.labels[~valid] == 0).all()
    assert (found.labels[valid] == 2).all()
    assert found.probabilities[:, 60:140, 60:90].max() == 0
    assert np.allclose(found.probabilities[:, 50:150, 49].sum(0), 1, atol=1e-2)
    assert np.allclose(found.probabilities[1, 50:150, 101], 1, atol=1e-2)  # the one cell that holds both


def test_what_is_known_of_every_pixel_is_kept_as_a_prediction_is():
    values = np.random.default_rng(0).uniform(0, 1, (700, 500)).astype(np.float32)
    valid = np.ones(values.shape, bool)
    valid[100:301, 100:203] = False
    found = from_probabilities(np.stack([1 - values, values]), valid)
    assert found.stride == cell_of(values.shape) == 2
    assert np.array_equal(found.labels, np.where(valid, 1 + (values > 0.5), 0))
    cells = found.probabilities.astype(np.float32)
    assert cells[:, 60:140, 60:90].max() == 0
    assert np.allclose(cells[1, :50], values[:100].reshape(50, 2, 250, 2).mean((1, 3)), atol=1e-3)
    assert np.allclose(cells[1, 50:150, 101], values[100:300, 203].reshape(100, 2).mean(1), atol=1e-3)


def test_flipped_views_of_a_fair_network_agree():
    values = np.random.default_rng(0).random((60, 70)).astype(np.float32)
    one, four = run(values, Tiling())[0], run(values, Tiling(views=4))[0]
    assert np.array_equal(one.labels, four.labels)
    assert one.disagreement is None
    assert four.disagreement.max() < 1e-3


# --------------------------------------------------------------------------- projects


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with accepted(folder) as project:
        train(project, replace(QUICK, steps=3), device="cpu")
        return project.folder


def test_the_weights_give_the_same_pixels_elsewhere(trained, tmp_path):
    with Project.open(trained) as project:
        first = predict(project, device="cpu")
        assert len(first.predicted) == 6
        again = predict(project, device="cpu")
        assert (len(again.predicted), again.up_to_date) == (0, 6)
        maker = project.result_provenance("0.png", "predicted")
        assert maker.model == first.model
        mine = {r.name: project.result(r.name, "predicted") for r in project.records()}
        file = next((trained / "runs").glob("*/weights.safetensors"))
        assert told_of(file)["step"] == 3
    other = Project.create(tmp_path / "other", ["background", "cell"])
    other.add_images([trained.parent / "images"])
    with other:
        predict(other, weights=file, device="cpu")
        for name, found in mine.items():
            theirs = other.result(name, "predicted")
            assert np.array_equal(theirs.labels, found.labels)
            assert np.array_equal(theirs.probabilities, found.probabilities)


def test_masks_are_written_for_images_of_the_project_and_for_others(trained, tmp_path):
    draw(tmp_path / "more", 1, first=9)
    (tmp_path / "bad.png").write_text("no picture")
    with Project.open(trained) as project:
        predict(project, device="cpu")
        wanted = ["0.png", str(tmp_path / "more" / "9.png"), str(tmp_path / "bad.png")]
        names, files = split_names(project, wanted)
        assert (names, len(files)) == (["0.png"], 2)
        failed: list[str] = []
        assert write_masks(project, tmp_path / "out", names, files, None, "cpu", 1, failed=failed) == 2
        assert len(failed) == 1
        assert "bad.png" in failed[0]
        written = np.array(Picture.open(tmp_path / "out" / "0.png"))
        assert np.array_equal(written, project.result("0.png", "predicted").labels)
        threads = Workers(lambda: ThreadPoolExecutor(2), lambda: 2)
        assert write_masks(project, tmp_path / "two", [], files, None, "cpu", 1, failed=failed, workers=threads) == 1
        assert failed[0] == failed[1]
    assert np.array(Picture.open(tmp_path / "out" / "9.png")).shape == (48, 56)
    assert (tmp_path / "out" / "9.png").read_bytes() == (tmp_path / "two" / "9.png").read_bytes()


def test_what_was_hard_and_where_the_student_differs_is_kept(tmp_path):
    with accepted(tmp_path, 2, 2) as project:
        train(project, replace(QUICK, steps=3, hardness=True), device="cpu")
        predict(project, device="cpu")
        plain = project.result("0.png", "predicted")
        assert plain.disagreement is None
        assert 0 < plain.hardness.min() < plain.hardness.max() < 1
        assert len(predict(project, device="cpu", student=True).predicted) == 2
        assert predict(project, device="cpu", student=True).up_to_date == 2
        found = project.result("0.png", "predicted")
        assert np.array_equal(found.labels, plain.labels)  # the teacher alone answers
        assert np.array_equal(found.probabilities, plain.probabilities)
        assert np.array_equal(found.hardness, plain.hardness)

        run = runs(project.folder)[0]
        both = with_checkpoint(read_trained(run.weights), run.checkpoint, "cpu", True)
        x = both.input_of(project.image("0.png").channels, places((48, 56), (0, 0, 48, 56)))
        with torch.no_grad():
            teacher, student = (net(x, (48, 56)).logits.softmax(1)[0] for net in (both.network, both.student))
        assert np.allclose(found.disagreement, (teacher - student).abs().sum(0) / 2, atol=2e-3)
        assert found.disagreement.max() > 0

        run.checkpoint.unlink()
        with pytest.raises(UsageError, match="no student to compare with"):
            predict(project, device="cpu", student=True)
        predict(project, device="cpu", again=True)
        assert project.result("0.png", "predicted").hardness is None


def test_threads_of_an_executor_predict_the_same(trained):
    with Project.open(trained) as project:
        predict(project, device="cpu", again=True)
        alone = project.result("3.png", "predicted").labels
        spread_out = predict(
            project, device="cpu", again=True, workers=Workers(lambda: ThreadPoolExecutor(2), lambda: 2)
        )
        assert len(spread_out.predicted) == 6
        assert np.array_equal(project.result("3.png", "predicted").labels, alone)
