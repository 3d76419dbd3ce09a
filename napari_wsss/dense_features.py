"""Dense features of a run's encoder, through memory and the project's cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.choices import Choice
from napari_wsss.project import Cache
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import Box4, Features, Image, digest

Arrays = dict[str, NDArray[Any]]

_PIXELS_AT_ONCE = 4 << 20  # images that go through the encoder together have no more, so that their features fit memory
_LIMIT = 2 << 30  # bytes of features in memory
_REMEMBERED = 3 << 30


class DenseFeatures:
    """Images to features. Kept at half precision, and rounded so when fresh too: the cache gives the same pixels.

    An encoder with ``faster_than_disk = True`` is computed again rather than read back, and not rounded. Features are
    forgotten with the object, but within :func:`remembered`, where all are rounded.
    """

    def __init__(self, choice: Choice, context: Context, cache: Cache) -> None:
        self.encoder = LazyEncoder(choice, context)
        self._signature, self._cache = choice.signature, cache
        shared = _shared.get()
        self._recent, self._halved = shared or _Recent(), shared is not None

    def __call__(self, image: Image) -> Features:
        return next(self.several([image]))

    def several(self, images: Sequence[Image]) -> Iterator[Features]:
        """Features of each image, in order, computed when asked for.

        Images of one shape whose features are nowhere yet go through the encoder together where it has
        ``encode_batch``; each alone where it has not.
        """
        for held in self._several(images):
            yield Features(held["data"].astype(np.float32, copy=False), float(held["stride"]))

    def means(self, image: Image, boxes: Sequence[Box4]) -> NDArray[np.float64]:
        """Mean features (n, d) over half-open boxes (y0, x0, y1, x1) of image pixels, each over one token at least."""
        (held,) = self._several([image])
        return box_means(held["data"], float(held["stride"]), boxes)

    def _several(self, images: Sequence[Image]) -> Iterator[Arrays]:
        ready: dict[int, Arrays] = {}
        for number in range(len(images)):
            if number not in ready:
                ready |= self._with_alike(images, number, ready)
            yield ready.pop(number)

    def _with_alike(self, images: Sequence[Image], first: int, ready: dict[int, Arrays]) -> dict[int, Arrays]:
        """The first of these images that is not ready, and if it must be computed, later ones along with it."""
        shape = images[first].channels.shape
        most = max(1, _PIXELS_AT_ONCE // max(1, shape[1] * shape[2]))
        found: dict[int, Arrays] = {}
        missing: dict[int, str] = {}
        for number in range(first, len(images)):
            if number in ready or images[number].channels.shape != shape:
                continue
            key = self._key(images[number])
            held = self._held(key)
            if held is None:
                missing[number] = key
            else:
                found[number] = held
            if not missing or len(found) + len(missing) >= most:
                break
        computed = self._computed([images[n] for n in missing], list(missing.values()))
        return found | dict(zip(missing, computed, strict=True))

    def _computed(self, images: Sequence[Image], keys: Sequence[str]) -> list[Arrays]:
        batched = getattr(self.encoder, "encode_batch", None) if len(images) > 1 else None
        made = batched(images) if batched else [self.encoder.encode(image) for image in images]
        return [self._kept(key, features) for key, features in zip(keys, made, strict=True)]

    def _key(self, image: Image) -> str:
        return digest("features", self._signature, image.key, str(image.rgb_channels), str(image.shape))

    def _held(self, key: str) -> Arrays | None:
        """What memory or the project's cache has under this key."""
        held = self._recent.get(key)
        if held is None and not self._again:
            held = self._cache.get(key)
            if held is not None:
                self._recent.put(key, held)
        return held

    def _kept(self, key: str, features: Features) -> Arrays:
        arrays: Arrays = {"data": features.data, "stride": np.array(features.stride)}
        if not self._again or self._halved:
            arrays["data"] = features.data.astype(np.float16)
        if not self._again:
            self._cache.put(key, arrays)
        self._recent.put(key, arrays)
        return arrays

    @property
    def _again(self) -> bool:
        return bool(getattr(self.encoder, "faster_than_disk", False))


def box_means(data: NDArray[Any], stride: float, boxes: Sequence[Box4]) -> NDArray[np.float64]:
    """Mean features (n, d) of a map (d, h, w), of half or single precision, over boxes of image pixels."""
    found = []
    for box in boxes:
        y0, x0, y1, x1 = (int(v // stride) for v in box)
        part = data[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].astype(np.float32)
        found.append(part.reshape(len(part), -1).mean(1, dtype=np.float64))
    return np.stack(found)


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
    """The features used last, in memory, bounded in bytes: fitting and predicting read each image twice.

    With ``first`` those that came first in a round: where all images are read in one order again and again and do not
    fit, the last ones would always have pushed out the next.
    """

    def __init__(self, limit: int = _LIMIT, first: bool = False) -> None:
        self._limit, self._first, self._round = limit, first, 0
        self._held, self._lock = dict[str, tuple[Arrays, int]](), Lock()  # used last comes last

    def begin_round(self) -> None:
        """What nobody uses from now on makes room."""
        self._round += 1

    def get(self, key: str) -> Arrays | None:
        with self._lock:
            held = self._held.pop(key, None)
            if held is None:
                return None
            self._held[key] = held[0], self._round
            return held[0]

    def put(self, key: str, arrays: Arrays) -> None:
        with self._lock:
            self._held.pop(key, None)
            self._held[key] = arrays, self._round
            while len(self._held) > 1 and self._size() > self._limit:
                oldest = next(iter(self._held))
                del self._held[key if self._first and self._held[oldest][1] == self._round else oldest]

    def _size(self) -> int:
        return sum(a.nbytes for arrays, _ in self._held.values() for a in arrays.values())


_shared: ContextVar[_Recent | None] = ContextVar("features that all stages share", default=None)


@contextmanager
def remembered(limit: int = _REMEMBERED) -> Iterator[None]:
    """Features stay in memory from one stage to the next, up to so many bytes: for many short runs on the same images.

    For what begins in the same thread only. Within another it shares that one's memory, and begins a round: what it
    does not use makes room.
    """
    outer = _shared.get()
    if outer is not None:
        outer.begin_round()
        yield
        return
    token = _shared.set(_Recent(limit, first=True))
    try:
        yield
    finally:
        _shared.reset(token)
