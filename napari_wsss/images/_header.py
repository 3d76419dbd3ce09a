"""What every file format tells of an image, and how refusals are worded."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage, WsssError
from napari_wsss.types import Bool, Box4, Georeference, PixelSize

Raw = NDArray[Any]  # (c, h, w) in the file's own dtype
Pixels = Callable[[int, Box4], tuple[Raw, Bool]]
"""``pixels(plane index, box)``: raw (c, h, w) and valid (h, w) of the box."""

SEGMENT_LIMIT = 2**30  # bytes: one compressed piece (strip, tile, chunk, whole PNG) may not unpack to more
READ_LIMIT = 2**32  # bytes: one call of read may not return more
LARGEST_FLOAT = 1e38  # beyond it a float is nodata: -3.4e38 is a common mark, and float32 ends at 3.4e38


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image before any pixel is decoded.

    Attributes
    ----------
    planes : tuple of str
        ``''`` for a single plane, else ``t3z12``, ``z12``, ``t3``; counted from 0.
    shape : (h, w)
    n_channels : int
        Without alpha.
    block : (bh, bw)
        The smallest piece that can be decoded alone; equal to ``shape`` where there is only one.
    """

    planes: tuple[str, ...]
    shape: tuple[int, int]
    n_channels: int
    dtype: np.dtype[Any]
    channel_names: tuple[str, ...]
    is_rgb: bool
    block: tuple[int, int]
    georeference: Georeference | None = None
    pixel_size: PixelSize | None = None


RGB_NAMES = ("red", "green", "blue")


def default_names(n_channels: int, is_rgb: bool) -> tuple[str, ...]:
    """Names of channels that the file does not name."""
    if is_rgb and n_channels == 3:
        return RGB_NAMES
    return ("grey",) if n_channels == 1 else tuple(f"channel {i + 1}" for i in range(n_channels))


def check_dtype(path: Path, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype if it is a real number, else UnreadableImage."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UnreadableImage(f"{path}: pixels of type {dtype} are not read; save them as integers or floats")
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def finite(raw: Raw) -> Bool:
    """Bool (h, w): every channel holds a number that float32 can hold."""
    if raw.dtype.kind != "f":
        return np.ones(raw.shape[1:], bool)
    valid, largest = np.ones(raw.shape[1:], bool), min(LARGEST_FLOAT, float(np.finfo(raw.dtype).max))
    for channel in raw:
        valid &= np.abs(channel) <= largest  # False for NaN
    return valid


def equals_nodata(raw: Raw, nodata: float) -> Bool:
    """Bool (h, w): pixels that a nodata value marks.

    A pixel is nodata where any channel holds the value, since then a channel is not known there.
    In 8-bit images of several channels the value (0 or 255, mostly) is also an ordinary dark or
    bright one, so there all channels must hold it.
    """
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore"):
            nodata = raw.dtype.type(nodata)  # -3.4e38 is written with fewer or more digits than float32 has
    same = np.isnan(raw) if np.isnan(nodata) else raw == nodata
    return np.asarray(same.all(0) if raw.dtype.itemsize == 1 else same.any(0))


# What decoders stumble with over nonsense; the words of these say nothing to a person.
_SENSELESS = (TypeError, AttributeError, LookupError, AssertionError, ArithmeticError, NotImplementedError)


def one_line(error: BaseException | str) -> str:
    """The first line of an error's text, short enough for a list."""
    if isinstance(error, _SENSELESS) or not str(error):
        return f"its structure makes no sense, {type(error).__name__}"
    text = re.sub(r"<tifffile\.\w+ [^>]*> ", "", " ".join(str(error).split()))
    return text[:200]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into UnreadableImage with one line naming the file.

    Decoders meet damaged bytes with errors of every kind (struct, zlib, index, memory...), so all
    of them are caught here, and raised again in the one form that callers know.
    """
    try:
        yield
    except WsssError:
        raise
    except FileNotFoundError as error:
        raise UnreadableImage(f"{path}: no such file; check the path or link the folder again") from error
    except PermissionError as error:
        raise UnreadableImage(f"{path}: permission denied; make the file readable") from error
    except Exception as error:
        why = one_line(error.__cause__ or error)  # rasterio keeps GDAL's reason in the cause
        raise UnreadableImage(f"{path}: damaged or not a complete image ({why}); copy it again") from error


_filters_lock = threading.RLock()


@contextmanager
def no_warnings(*fatal: type[Warning]) -> Iterator[None]:
    """Print no warning of a library inside; those of the ``fatal`` kinds are raised.

    The filters are the process's, so one thread at a time may change them; keep the body short.
    """
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in fatal:
            warnings.simplefilter("error", kind)
        yield


_ONLY_METADATA = ("TiffTag", "OME series", "ImageJ series", "metadata")


class _Listener(logging.Filter):
    """Keeps what a library logs from the screen while this thread reads, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    @property
    def records(self) -> list[str] | None:
        records: list[str] | None = getattr(self._here, "records", None)
        return records

    @records.setter
    def records(self, value: list[str] | None) -> None:
        self._here.records = value

    def filter(self, record: logging.LogRecord) -> bool:
        if self.records is None:
            return True
        message = record.getMessage()
        if record.levelno >= logging.WARNING and not any(word in message for word in _ONLY_METADATA):
            self.records.append(message)
        return False


_listener = _Listener()
for _name in ("tifffile", "rasterio._env"):  # a logger's filter sees only what is logged to it by name
    logging.getLogger(_name).addFilter(_listener)


@contextmanager
def decoders_say() -> Iterator[list[str]]:
    """What tifffile and GDAL log (warnings and errors) while this thread is inside, instead of printing it.

    What is said of single tags and of metadata is left out: the pixels are read without them.
    """
    outer, said = _listener.records, list[str]()
    _listener.records = said
    try:
        yield said
    finally:
        _listener.records = outer
