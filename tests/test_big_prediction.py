"""A large image: predicted by bands, memory bounded by its own answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile

from napari_wsss.project import Project
from napari_wsss.training.loop import train
from tests.training.toy import QUICK, accepted

_JOB = """
import resource, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from napari_wsss.project import Project
from napari_wsss.prediction import predict
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Project.open(Path(sys.argv[1])) as project:
    report = predict(project, ["big.tif"], device="cpu")
    assert report.predicted == ["big.tif"], report
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
        [sys.executable, "-c", _JOB, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < count(700, 5300)  # MiB
    with Project.open(folder) as project:
        found = project.result("big.tif", "predicted")
    assert found.labels.shape == (side, side)
    assert found.labels.min() >= 1
    assert found.probabilities[0].size <= 1 << 17
