"""The process whose memory ``bench tile`` measures: opens an image and reads one tile."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from napari_wsss.images import contrast, load, open_source

_TILE = 512


def main(path: Path) -> None:
    start = time.perf_counter()
    source = open_source(path)
    limits = contrast(source, "")
    opened = time.perf_counter()
    y, x = (n // 2 - _TILE // 2 for n in source.shape)
    box = (y, x, y + _TILE, x + _TILE)
    image = load(source, "", name=path.name, key="tile", contrast=limits, rgb_channels=None, box=box)
    if not image.valid.any():
        raise SystemExit("the tile is empty")
    read = time.perf_counter()
    sys.stdout.write(json.dumps({"open_s": opened - start, "tile_s": read - opened, "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    status = Path("/proc/self/status")  # getrusage would count the parent's memory before exec
    if status.exists():
        line = next(n for n in status.read_text(encoding="utf-8").splitlines() if n.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
