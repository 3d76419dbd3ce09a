"""A tile of a large TIFF costs memory for a tile, not for the image; measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
from pathlib import Path
from napari_wsss.images import contrast, load, open_source
source = open_source(Path(sys.argv[1]))
h, w = source.shape
limits = contrast(source, "")
y, x = h // 2 - 100, w // 2 - 100
image = load(source, "", name="a", key="k", contrast=limits, rgb_channels=None, box=(y, x, y + 512, x + 512))
raw, valid = source.read("", (y, x, y + 512, x + 512))
status = Path("/proc/self/status")  # getrusage would count the parent's memory before exec
if status.exists():
    peak = int(next(n for n in status.read_text().splitlines() if n.startswith("VmHWM")).split()[1]) * 1024
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak": peak, "sum": int(raw.sum()), "valid": int(valid.sum()), "shape": image.channels.shape}))
"""


def tiles(size: int, step: int, c: int):
    """Every step-th tile along the rows and columns is written, the tile of the middle too."""
    count = -(-size // 256)
    middle = range((size // 2 - 100) // 256, (size // 2 + 412) // 256 + 1)
    rng = np.random.default_rng(0)
    tile = rng.integers(1, 255, (256, 256, c), np.uint8)
    data = tile.tobytes()
    for ty in range(count):
        for tx in range(count):
            wanted = (ty % step == 0 and tx % step == 0) or (ty in middle and tx in middle)
            yield data if wanted else b""


def expected(size: int, c: int) -> int:
    tile = np.random.default_rng(0).integers(1, 255, (256, 256, c), np.uint8)
    rows = np.arange(size // 2 - 100, size // 2 + 412) % 256
    return int(tile[np.ix_(rows, rows)].sum())


@pytest.mark.parametrize("kind", ["tiled", "one strip"])
def test_a_tile_of_a_30000_squared_bigtiff_is_read_under_1_gib_resident(tmp_path, count, kind):
    size, c = count(9_000, 30_000), 3 if kind == "tiled" else 1
    path = tmp_path / "large.btf"
    if kind == "tiled":
        step = count(3, 1)
        tifffile.imwrite(
            path,
            tiles(size, step, c),
            shape=(size, size, c),
            dtype="uint8",
            tile=(256, 256),
            bigtiff=True,
            photometric="rgb",
        )
    else:
        written = tifffile.memmap(path, shape=(size, size), dtype="uint8", bigtiff=True)
        written[size // 2 - 100 : size // 2 + 412] = 3
        written.flush()
        del written
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    print(
        f"{kind} {size} x {size} x {c}: {path.stat().st_size / 2**20:.0f} MiB, peak {figures['peak'] / 2**20:.0f} MiB"
    )
    assert figures["peak"] < 2**30 * (1 if size == 30_000 else 0.25)
    assert figures["shape"] == [c, 512, 512]
    assert figures["valid"] == 512 * 512
    assert figures["sum"] == (expected(size, c) if kind == "tiled" else 3 * 512 * 512)
