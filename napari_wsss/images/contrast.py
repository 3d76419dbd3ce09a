"""Contrast by robust percentiles, one for the person's eye and for every model, and the loaded image."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.images._header import RGB_NAMES, Raw
from napari_wsss.images._sampling import sample
from napari_wsss.images.source import ImageSource
from napari_wsss.types import Bool, Box4, Float, Georeference, Image

_LEVELS = 5.0  # grey levels that an integer image's contrast spans at least: 2 % of 8 bits
_SHARE = 0.02  # and, where integers are unsigned, this share of the largest value met
_ROUNDING = 1e-6  # and, everywhere, this share: below it there is only float32's rounding
_NOTHING = 1e-30  # a span below it is no span in float32


def contrast(source: ImageSource, plane: str, percentiles: tuple[float, float] = (1.0, 99.0)) -> tuple[Float, Float]:
    """Values of each channel that become 0 and 1.

    The two percentiles of the valid pixels, on a regular subsample of at most a million; of a
    plane above four million pixels 8 x 8 evenly laid tiles are read. The same file always gives
    the same answer.

    A blank image stays blank: ``hi - lo`` is at least 5 grey levels for integers and, for
    unsigned integers of more than 8 bits, at least 2 % of the largest value met (a dark frame's
    read-out noise is not stretched to a picture). Floats have no natural step, so for them only
    rounding (1e-6 of the largest magnitude) is kept from being stretched. A constant channel
    becomes 0 throughout.

    Returns
    -------
    lo, hi : float32 (c,)
        ``lo < hi``.

    Raises
    ------
    UnreadableImage
        No pixel of the plane is valid.
    UsageError
        Percentiles that are not 0 <= low < high <= 100.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles {low}, {high}: give two numbers with 0 <= low < high <= 100")
    values = sample(lambda box: source.read(plane, box), source.shape, source.block)
    if not values.shape[1]:
        raise UnreadableImage(f"{source.path}: {_of(plane)}every pixel is nodata or NaN; there is nothing to label")
    lo, hi = np.percentile(values.astype(np.float64), (low, high), axis=1)
    least = np.asarray([_least_span(channel) for channel in values])
    hi = np.maximum(hi, lo + least)
    return lo.astype(np.float32), hi.astype(np.float32)


def _of(plane: str) -> str:
    return f"plane {plane}: " if plane else ""


def _least_span(values: NDArray[Any]) -> float:
    largest = float(np.abs(values.astype(np.float64)).max())
    least = _ROUNDING * largest
    if values.dtype.kind in "iu":
        least = max(least, _LEVELS)
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        least = max(least, _SHARE * largest)
    return least if least > _NOTHING else 1.0


# --------------------------------------------------------------------------- the loaded image


def load(
    source: ImageSource,
    plane: str,
    *,
    name: str,
    key: str,
    contrast: tuple[Float, Float],
    rgb_channels: tuple[int, int, int] | None,
    box: Box4 | None = None,
) -> Image:
    """A plane (or a box of it) as every method and every eye sees it.

    ``contrast`` is what :func:`contrast` gave; values are clipped to [0, 1], nodata is 0. With
    ``rgb_channels`` None, :func:`default_rgb` chooses. The georeference of a box is its own.
    """
    rgb = default_rgb(source) if rgb_channels is None else rgb_channels
    if len(rgb) != 3 or not all(0 <= c < source.n_channels for c in rgb):
        raise UsageError(f"{name}: RGB channels {rgb} of an image with {source.n_channels}; count from 0")
    raw, valid = source.read(plane, box)
    georeference = source.georeference
    if georeference is not None and box is not None:
        georeference = _moved(georeference, box)
    channels = normalised(raw, valid, *contrast)
    return Image(name, key, channels, valid, rgb, georeference, source.pixel_size)


def normalised(raw: Raw, valid: Bool, lo: Float, hi: Float) -> Float:
    """float32 (c, h, w) in [0, 1]: (value - lo) / (hi - lo) clipped, 0 where not valid."""
    if len(lo) != len(raw) or len(hi) != len(raw):
        raise UsageError(f"contrast of {len(lo)} channels for an image with {len(raw)}; compute it again")
    exact = np.float32 if raw.dtype.itemsize <= 2 or raw.dtype == np.float32 else np.float64
    out = np.zeros(raw.shape, np.float32)
    for channel, low, high, to in zip(raw, lo.astype(exact), hi.astype(exact), out):
        scaled = np.where(valid, channel, low).astype(exact)
        with np.errstate(over="ignore"):  # an outlier far beyond the percentiles is clipped next
            scaled -= low
            scaled /= high - low
        to[:] = np.clip(scaled, 0, 1)
    return out


def _moved(georeference: Georeference, box: Box4) -> Georeference:
    a, b, c, d, e, f = georeference.transform
    y0, x0 = box[:2]
    return Georeference(georeference.crs, (a, b, c + a * x0 + b * y0, d, e, f + d * x0 + e * y0))


def default_rgb(source: ImageSource) -> tuple[int, int, int]:
    """The channels that stand for red, green and blue where the settings do not say.

    One channel: three times itself; two: the first as red, the second as green and blue; more:
    those whose names hold the words red, green and blue (``B4 red``, but not ``red edge``), else
    the first three.
    """
    n = source.n_channels
    if n < 3:
        return (0, n - 1, n - 1)
    found = [_named(source.channel_names, colour) for colour in RGB_NAMES]
    if None not in found:
        return tuple(found)  # type: ignore[return-value]
    return (0, 1, 2)


def _named(names: tuple[str, ...], colour: str) -> int | None:
    pattern = re.compile(rf"(?<![a-z]){colour}(?![a-z])(?![ _-]*edge)", re.IGNORECASE)
    return next((i for i, name in enumerate(names) if pattern.search(name)), None)
