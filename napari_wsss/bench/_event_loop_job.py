"""The window's part in ``bench pause``: 60 times a second some work as of a redraw, until a file appears."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

PERIOD = 1 / 60
_REDRAWN = 256  # side of the picture that is worked on each time, about 2 ms


def main(stop: Path) -> None:
    """Prints the milliseconds from each turn of the loop to the next."""
    picture, gaps = np.random.default_rng(0).random((_REDRAWN, _REDRAWN), np.float32), list[float]()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    last = time.perf_counter()
    due = last + PERIOD
    while not stop.exists():
        time.sleep(max(0.0, due - time.perf_counter()))
        now = time.perf_counter()
        gaps.append(1e3 * (now - last))
        last = now
        np.sort(picture, axis=0)
        due = max(due + PERIOD, time.perf_counter())
    sys.stdout.write(json.dumps(gaps))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
