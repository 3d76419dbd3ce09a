"""An array in chunked files: a Zarr v3 array of one resolution that any Zarr reader opens.

Written here in a few lines rather than through the zarr package, because each chunk must be replaced
atomically and a stroke of the brush must cost milliseconds. The layout is the Zarr v3 specification's:
``zarr.json`` and one gzip file ``c.I.J`` a chunk; a chunk of zeros has no file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.project.atomic import write_bytes
from napari_wsss.types import Box4

CHUNK = 512

_NAMES = {"uint16": "<u2", "uint32": "<u4"}


def chunk_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Size of the chunks of an image: 512 pixels square, smaller images are one chunk."""
    return min(CHUNK, shape[0]), min(CHUNK, shape[1])


def chunks_under(box: Box4, shape: tuple[int, int]) -> Iterator[tuple[int, int, Box4]]:
    """Chunks (i, j) that a box of an image touches, each with the touched part in image coordinates."""
    (height, width), (y0, x0, y1, x1) = chunk_shape(shape), box
    for i in range(y0 // height, -(-y1 // height)):
        for j in range(x0 // width, -(-x1 // width)):
            yield i, j, (max(y0, i * height), max(x0, j * width), min(y1, (i + 1) * height), min(x1, (j + 1) * width))


class ChunkedArray:
    """A two-dimensional unsigned array on disk, zero where nothing was written.

    Parameters
    ----------
    folder : Path
        The array's own folder; made with the first chunk that is not zero.
    shape : (int, int)
    dtype : ``uint16`` or ``uint32``
    """

    def __init__(self, folder: Path, shape: tuple[int, int], dtype: str) -> None:
        self._folder, self._shape, self._dtype = folder, shape, dtype
        self.chunk = chunk_shape(shape)

    def read(self, i: int, j: int) -> NDArray[Any] | None:
        """One chunk, padded to the chunk's full size; None where its file is damaged."""
        try:
            data = gzip.decompress(self._file(i, j).read_bytes())
        except FileNotFoundError:
            return np.zeros(self.chunk, self._dtype)
        except (OSError, EOFError, zlib.error):  # gzip's own complaints are OSError
            return None
        if len(data) != self.chunk[0] * self.chunk[1] * np.dtype(self._dtype).itemsize:
            return None
        return np.frombuffer(data, _NAMES[self._dtype]).reshape(self.chunk).astype(self._dtype)

    def write(self, i: int, j: int, chunk: NDArray[Any], temporary: Path) -> None:
        """Replace one chunk; a chunk of zeros loses its file.

        Not flushed to the disk: what a power cut takes is made again from the journal, and whoever
        writes a chunk holds the journal's lock meanwhile.
        """
        if not chunk.any():
            self._file(i, j).unlink(missing_ok=True)
            return
        if not (self._folder / "zarr.json").exists():
            write_bytes(self._folder / "zarr.json", json.dumps(self._metadata(), indent=1).encode(), temporary)
        data = np.ascontiguousarray(chunk, _NAMES[self._dtype]).tobytes()
        write_bytes(self._file(i, j), gzip.compress(data, 1, mtime=0), temporary, durable=False)

    def _file(self, i: int, j: int) -> Path:
        return self._folder / f"c.{i}.{j}"

    def _metadata(self) -> dict[str, Any]:
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self._shape),
            "data_type": self._dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": 0,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "gzip", "configuration": {"level": 1}},
            ],
            "attributes": {},
            "dimension_names": ["y", "x"],
        }
