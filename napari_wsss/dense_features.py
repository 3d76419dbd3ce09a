"""Dense features of a run's encoder, through memory and the project's cache."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.choices import Choice
from napari_wsss.project import Cache
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import Features, Image, digest

Arrays = dict[str, NDArray[Any]]


class DenseFeatures:
    """Images to features. Kept at half precision, and rounded so when fresh too: the cache gives the same pixels.

    An encoder with ``faster_than_disk = True`` is computed again rather than read back.
    """

    def __init__(self, choice: Choice, context: Context, cache: Cache) -> None:
        self.encoder = LazyEncoder(choice, context)
        self._signature, self._cache, self._recent = choice.signature, cache, _Recent()

    def __call__(self, image: Image) -> Features:
        key = digest("features", self._signature, image.key, str(image.rgb_channels), str(image.shape))
        held = self._recent.get(key)
        if held is None:
            held = self._fresh(image) if getattr(self.encoder, "faster_than_disk", False) else self._kept(key, image)
            self._recent.put(key, held)
        return Features(held["data"].astype(np.float32, copy=False), float(held["stride"]))

    def _fresh(self, image: Image) -> Arrays:
        features: Features = self.encoder.encode(image)
        return {"data": features.data, "stride": np.array(features.stride)}

    def _kept(self, key: str, image: Image) -> Arrays:
        held = self._cache.get(key)
        if held is None:
            held = self._fresh(image)
            held["data"] = held["data"].astype(np.float16)
            self._cache.put(key, held)
        return held


class LazyEncoder:
    """An encoder that is made when first used: a stage that needs no features loads no weights."""

    def __init__(self, choice: Choice, context: Context) -> None:
        self._choice, self._context = choice, context
        self._made: Encoder | None = None

    @property
    def used(self) -> str | None:
        """Name and model of the encoder, None while nobody used it."""
        if self._made is None:
            return None
        return self._choice.name + (f" ({self._made.model})" if self._made.model else "")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._made is None:
            self._made = self._choice.make(self._context)
        return getattr(self._made, name)


class _Recent:
    """The features used last, in memory, bounded in bytes: fitting and predicting read each image twice."""

    def __init__(self, limit: int = 2 << 30) -> None:
        self._limit, self._held, self._lock = limit, dict[str, Arrays](), Lock()

    def get(self, key: str) -> Arrays | None:
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
                self._held[key] = held
        return held

    def put(self, key: str, arrays: Arrays) -> None:
        with self._lock:
            self._held.pop(key, None)
            self._held[key] = arrays
            while len(self._held) > 1 and sum(a.nbytes for h in self._held.values() for a in h.values()) > self._limit:
                del self._held[next(iter(self._held))]
