"""Arrays that can be computed again, by content hash; bounded, the longest unused go first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_wsss.project.atomic import write_bytes
from napari_wsss.types import digest

_RECOUNT_EVERY = 64
"""Other processes put too: so many own puts after a count, the folder is counted again."""


class Cache:
    """Named arrays in safetensors files below ``folder``, which may be deleted at any time.

    Parameters
    ----------
    folder, temporary : Path
        Where the files lie, and where they are written first (same file system).
    limit : int
        Bytes; beyond it the files used longest ago are removed, down to nine tenths of it.
    """

    def __init__(self, folder: Path, temporary: Path, limit: int) -> None:
        self._folder, self._temporary, self.limit = folder, temporary, limit
        self._bytes, self._puts = 0, 0

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays put under this key; None if they are not (or no longer) there, or damaged."""
        file = self._file(key)
        try:
            arrays = load(file.read_bytes())
        except FileNotFoundError:
            return None
        except SafetensorError:  # a damaged cache entry is a missing one
            file.unlink(missing_ok=True)
            return None
        with contextlib.suppress(FileNotFoundError):  # removed by another process just now; we have the arrays
            os.utime(file)
        return arrays

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the arrays; what alone exceeds the limit is not kept.

        A put that fails for want of disk space raises OSError and leaves the cache as it was.
        """
        data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
        if len(data) > self.limit:
            return
        write_bytes(self._file(key), data, self._temporary)
        self._count(len(data))

    def size(self) -> int:
        """Bytes now in the cache."""
        return sum(size for _, size, _ in self._entries())

    def _count(self, added: int) -> None:
        self._bytes, self._puts = self._bytes + added, self._puts + 1
        if self._puts % _RECOUNT_EVERY != 1 and self._bytes <= self.limit:
            return
        entries = sorted(self._entries())
        self._bytes = sum(size for _, size, _ in entries)
        goal = self.limit if self._bytes <= self.limit else int(0.9 * self.limit)
        for _, size, path in entries[:-1]:  # never the one just put
            if self._bytes <= goal:
                break
            with contextlib.suppress(FileNotFoundError, PermissionError):  # gone already, or in use (Windows)
                os.unlink(path)
            self._bytes -= size

    def _entries(self) -> list[tuple[int, int, str]]:
        """(time of last use, bytes, path) of every file."""
        entries: list[tuple[int, int, str]] = []
        if self._folder.is_dir():
            for entry in os.scandir(self._folder):
                with contextlib.suppress(FileNotFoundError):  # removed by another process meanwhile
                    status = entry.stat()
                    entries.append((status.st_mtime_ns, status.st_size, entry.path))
        return entries

    def _file(self, key: str) -> Path:
        return self._folder / f"{digest(key)[:40]}.safetensors"
