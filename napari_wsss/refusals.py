"""Why images could not be fed to a stage, remembered between runs."""

from __future__ import annotations

import json

import numpy as np

from napari_wsss.project import Cache
from napari_wsss.types import digest


class Refusals:
    """Why labels could not feed a stage, kept until anything that was told changes.

    Thus a run that has nothing to do finds out without loading a method.
    """

    def __init__(self, cache: Cache, told: str) -> None:
        self._cache, self._key = cache, digest("refusals", told)
        kept = cache.get(self._key)
        self._lines: dict[str, str] = {} if kept is None else json.loads(kept["lines"].tobytes())
        self._grown = False

    def of(self, key: str) -> str:
        """The line for the result of this key, '' if it was not refused."""
        return self._lines.get(key, "")

    def add(self, key: str, line: str) -> None:
        self._lines[key], self._grown = line, True

    def save(self) -> None:
        if self._grown:
            lines = json.dumps(self._lines).encode()
            self._cache.put(self._key, {"lines": np.frombuffer(lines, np.uint8)})
