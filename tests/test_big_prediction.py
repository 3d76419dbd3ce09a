"""A large image: predicted by bands, memory bounded by its own answer."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_wsss.project import Project
from napari_wsss.tiled_prediction import Tiling, predict_tiled
from napari_wsss.trained import Trained
from napari_wsss.training.loop import train
from tests.test_prediction import RECIPE, Brightness
from tests.training.toy import QUICK, accepted

WIDTH = 640


@pytest.mark.parametrize("views", [1, 2])
def test_memory_grows_by_the_answer_alone(views):
    """A taller image needs more memory for its labels and cells, and not for more rows of tiles."""
    tracemalloc.start()
    try:
        peaks = {height: peak_of(height, views) for height in (1500, 3000)}
    finally:
        tracemalloc.stop()
    one_row = (2 + 1) * 4 * 512 * WIDTH
    answer = 2 * 1500 * WIDTH
    assert peaks[3000] - peaks[1500] < 1.2 * answer
    assert peaks[1500] < 2 * 1500 * WIDTH + 6 * one_row


def peak_of(height: int, views: int) -> int:
    """Most bytes that NumPy held at once while an image of this height was predicted."""

    def read(box):
        y0, x0, y1, x1 = box
        return np.full((1, y1 - y0, x1 - x0), 0.25, np.float32), np.ones((y1 - y0, x1 - x0), bool)

    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    predict_tiled(Trained(RECIPE, Brightness(), ""), (height, WIDTH), 1, read, Tiling(views=views))
    return tracemalloc.get_traced_memory()[1] - before


_JOB = """
import resource, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from napari_wsss.project import Project
from napari_wsss.prediction import predict
from napari_wsss.tiled_prediction import starts
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Project.open(Path(sys.argv[1])) as project:
    told = []
    report = predict(project, ["big.tif"], device="cpu", progress=lambda *said: told.append(said))
    assert report.predicted == ["big.tif"], report
    tiles = len(starts(int(sys.argv[2]), 512, 64)) ** 2
    assert told[:-1] == [(n, tiles, "predict big.tif") for n in range(tiles + 1)], told[-3:]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_follows_the_answer_and_not_the_network(tmp_path, count):
    """Above what Python and torch take: labels, their compressed form and a band; 6 GiB in all at 20,000 a side."""
    side = count(1500, 20_000)
    with accepted(tmp_path, 2, 2) as project:
        train(project, QUICK, device="cpu")
        pixels = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
        big = np.tile(pixels, (-(-side // 256), -(-side // 256)))[:side, :side]
        tifffile.imwrite(tmp_path / "big.tif", big, tile=(256, 256), compression="zlib")
        project.add_images([tmp_path / "big.tif"])
        folder = project.folder
    done = subprocess.run(
        [sys.executable, "-c", _JOB, str(folder), str(side)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    print(f"{side} x {side}: {done.stdout.strip()} MiB above the start")
    assert int(done.stdout) < count(700, 5300)  # MiB
    with Project.open(folder) as project:
        found = project.result("big.tif", "predicted")
    assert found.labels.shape == (side, side)
    assert found.labels.min() >= 1
    assert found.probabilities[0].size <= 1 << 17
