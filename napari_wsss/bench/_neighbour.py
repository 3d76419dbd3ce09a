"""The other process of ``bench write``: reads and writes a project until a file appears, and times its writes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from napari_wsss.bench.write import THEIRS
from napari_wsss.pipeline import by_person
from napari_wsss.project import Project
from napari_wsss.types import Point


def main(folder: Path, stop: Path) -> None:
    by, milliseconds = by_person("bench, the other"), list[float]()
    with Project.open(folder) as project:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not stop.exists():
            n = len(milliseconds)
            start = time.perf_counter()
            project.add_marks(THEIRS, [Point(n % 64, n // 64 % 64, 1)], by)
            milliseconds.append(1e3 * (time.perf_counter() - start))
            project.labels(THEIRS)
            project.records()
            time.sleep(0.002)
    sys.stdout.write(json.dumps(milliseconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
