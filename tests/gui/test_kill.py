"""``kill -9`` of the real program in a real window: the next start shows the same unfinished object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from skimage.io import imsave

from napari_wsss.drawing import nuclei

ROOT = Path(__file__).parents[2]


def start(what: str, path: Path) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gui" / "killed.py"), what, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[0])


def test_the_next_start_goes_on_where_the_killed_one_was(tmp_path: Path):
    imsave(tmp_path / "a.tif", nuclei(0, 8, (128, 128)).pixels, check_contrast=False)
    status, before = start("first", tmp_path / "a.tif")
    assert status == -signal.SIGKILL
    assert before["pixels"] > 0
    status, after = start("second", Path(before["project"]))
    assert status == 0
    assert after == before
