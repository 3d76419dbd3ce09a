"""The process whose memory ``bench tile`` measures: opens an image and reads one tile."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from napari_wsss.bench._machine import peak_mib
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
