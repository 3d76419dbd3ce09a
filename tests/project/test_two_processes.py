"""Two processes use one project at once: nothing is lost, and nobody sees half a write."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_wsss.errors import WsssError
from napari_wsss.project import Project
from napari_wsss.types import Mask, Point

HERE = Path(__file__).parent

OTHER = """
import sys
import time
from pathlib import Path
import numpy as np
from napari_wsss.project import Project
from napari_wsss.types import Mask, Point, Provenance
by = Provenance("method", "other", "2026-11-20T10:00:00+00:00")
with Project.open(Path(sys.argv[1])) as project:
    print("ready", flush=True)
    n = 0
    while not Path(sys.argv[2]).exists():
        n += 1
        project.add_marks("b.png", [Point(n % 40, n % 30, 2)], by)
        project.accept("deep/c.png", Mask(np.full((40, 30), 1 + n % 3, np.uint16)), by)
        assert len(project.labels("b.png").marks) == n
        assert len(np.unique(project.accepted("deep/c.png").labels)) == 1
        project.records()
        time.sleep(0.002)
    print(n, flush=True)
"""


@pytest.mark.timeout(600)
def test_labels_of_both_processes_are_kept(project, by, tmp_path, count) -> None:
    stop, labels = tmp_path / "stop", count(100, 1000)
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, "-c", OTHER, str(project.folder), str(stop)]
    seconds = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        for n in range(labels):
            start = time.perf_counter()
            project.add_marks("a.png", [Point(n % 40, n // 40 % 30, 1 + n % 3)], by)
            seconds.append(time.perf_counter() - start)
            seen = project.accepted("deep/c.png")
            assert seen is None or len(np.unique(seen.labels)) == 1  # never half of the other's mask
        stop.touch()
        said, complaint = other.communicate(timeout=120)
    assert other.returncode == 0, complaint
    assert project.labels("a.png").marks == tuple(Point(n % 40, n // 40 % 30, 1 + n % 3) for n in range(labels))
    theirs = int(said)
    assert theirs > 1
    assert project.labels("b.png").marks == tuple(Point(n % 40, n % 30, 2) for n in range(1, theirs + 1))
    assert project.check() == []
    p50, p95 = np.percentile(seconds, [50, 95])
    print(f"{labels} labels beside {2 * theirs} of another process: p50 {1e3 * p50:.1f} ms, p95 {1e3 * p95:.1f} ms")


def test_a_reader_sees_the_mask_of_its_moment_while_another_folds(project, by) -> None:
    """An array file that is ahead of the reader's view of the journal is not believed."""
    project.accept("a.png", Mask(np.full((40, 30), 1, np.uint16)), by)
    with Project.open(project.folder) as other, other._journal.read() as db:
        row = other._images.row(db, "a.png")
        project.accept("a.png", Mask(np.full((40, 30), 2, np.uint16)), by)
        assert (other._masks.read(db, row).labels == 1).all()
    assert (project.accepted("a.png").labels == 2).all()


def test_threads_share_an_open_project(project, by) -> None:
    def label(name: str) -> None:
        for n in range(20):
            project.add_marks(name, [Point(n, n, 1)], by)
            assert len(project.labels(name).marks) == n + 1

    names = [record.name for record in project.records()]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(label, names))
    assert [len(project.labels(name).marks) for name in names] == [20] * 4
    assert project.check() == []


def test_a_transaction_that_cannot_be_saved_says_so_and_the_next_one_can(project, by) -> None:
    project._journal._db.execute("PRAGMA query_only = ON")  # as on a disk that takes no more
    with pytest.raises(WsssError, match="not saved"):
        project.add_marks("b", [Point(0, 0, 1)], by)
    project._journal._db.execute("PRAGMA query_only = OFF")
    project.add_marks("b", [Point(1, 1, 1)], by)
    assert project.labels("b").marks == (Point(1, 1, 1),)


def test_a_project_needs_no_torch(project) -> None:
    code = "import sys, napari_wsss.project; assert not {'torch', 'napari', 'qtpy'} & set(sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_a_damaged_array_file_is_made_again_from_the_journal(project, by) -> None:
    labels = np.arange(1200, dtype=np.uint16).reshape(40, 30) % 4
    project.accept("a.png", Mask(labels), by)
    [chunk] = project.folder.glob("masks/*/labels.zarr/c.*")
    chunk.write_bytes(chunk.read_bytes()[:50])
    assert (project.accepted("a.png").labels == labels).all()
    assert any("chunk 0, 0" in line for line in project.check())
