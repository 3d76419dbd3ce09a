"""Reading a 512 x 512 tile of a tiled 30,000 x 30,000 BigTIFF: seconds and peak memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from napari_wsss.bench._rows import Row, Setting, cost
from napari_wsss.bench._timing import job

_SIDE, _BLOCK, _CHANNELS = 30_000, 256, 3
_EVERY = 10  # of the file's blocks along rows and columns hold pixels; and those of the middle
_LIMIT = 1024.0  # MiB resident


def measure(setting: Setting) -> Iterator[Row]:
    """Opening, contrast and the tile in the image's middle, in a process of its own; its peak resident memory."""
    setting.progress(0, 1, "tile: writing the image")
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        path = write_sparse(Path(folder) / "large.btf", _SIDE)
        _, said = job("napari_wsss.bench._tile_job", [str(path)])
    setting.progress(1, 1, "tile")
    found = json.loads(said)
    of = f"tiled BigTIFF {_SIDE}x{_SIDE}x{_CHANNELS}"
    yield cost(of, "peak_memory", "ours", found["peak_mib"], "MiB", _LIMIT)
    yield cost(of, "open_and_contrast_seconds", "ours", found["open_s"], "s")
    yield cost(of, "tile_seconds", "ours", found["tile_s"], "s")


def write_sparse(path: Path, side: int) -> Path:
    """A tiled RGB BigTIFF of which some blocks are there, so that it takes little disk."""
    count = -(-side // _BLOCK)
    middle = {count // 2 + i for i in range(-2, 3)}
    block = np.random.default_rng(0).integers(1, 255, (_BLOCK, _BLOCK, _CHANNELS), np.uint8).tobytes()

    def blocks() -> Iterator[bytes]:
        for y in range(count):
            for x in range(count):
                there = (y % _EVERY == 0 and x % _EVERY == 0) or (y in middle and x in middle)
                yield block if there else b""

    tifffile.imwrite(
        path,
        blocks(),
        shape=(side, side, _CHANNELS),
        dtype="uint8",
        tile=(_BLOCK, _BLOCK),
        bigtiff=True,
        photometric="rgb",
    )
    return path
