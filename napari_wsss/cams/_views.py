"""The views of an image that a multi-scale activation map looks at: its sizes and its mirror image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_wsss.errors import UsageError
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Features, Float, Image, Sample, digest

_Several = Callable[[Sequence[Image]], Iterator[Features]]

COARSE = 4.0  # pixels: on a finer grid, other sizes of the image show nothing new


@dataclass(frozen=True, eq=False)
class View:
    """Features of one view, which of its pixels are valid, and whether it is mirrored left to right."""

    features: Features
    valid: Bool
    flipped: bool = False


def parse_scales(text: str) -> tuple[float, ...]:
    """``"1,2"`` to (1.0, 2.0).

    Raises
    ------
    ValueError
        If one is no number from 0.25 to 4, or there is none.
    """
    try:
        scales = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(f"scales {text!r}: numbers separated by commas, such as 1,2") from None
    if not scales or not all(0.25 <= s <= 4 for s in scales):
        raise ValueError(f"scales {text!r}: at least one, each from 0.25 to 4")
    return scales


def views_of(sample: Sample, context: Context, scales: str, flip: bool) -> Iterator[View]:
    """The image's own features, then those of its resized and mirrored copies; see `views_of_all`."""
    return (view for _, view in views_of_all([sample], context, scales, flip))


def views_of_all(samples: Sequence[Sample], context: Context, scales: str, flip: bool) -> Iterator[tuple[int, View]]:
    """Every view of every image with the image's number, one kind of view after the other.

    Images of one shape go through the encoder together where the context's features can do that. An encoder
    with a grid of less than 4 pixels (`filters`) sees an image once: it covers many scales itself.
    Resized copies need the run's encoder; the pipeline gives it in the context.
    """
    chosen = parse_scales(scales)
    coarse = []
    for number, features in enumerate(_own(samples, context)):
        if features.stride >= COARSE:
            coarse.append(number)
        if features.stride < COARSE or 1.0 in chosen:
            yield number, View(features, samples[number].image.valid)
    for scale, flipped in itertools.product(chosen, (False, True) if flip else (False,)):
        if coarse and (scale != 1.0 or flipped):
            images = [_seen(samples[number].image, scale, flipped) for number in coarse]
            for number, image, features in zip(coarse, images, _encoded(images, context), strict=True):
                yield number, View(features, image.valid, flipped)


def _own(samples: Sequence[Sample], context: Context) -> Iterator[Features]:
    several: _Several | None = getattr(context.features, "several", None)
    return several([s.image for s in samples]) if several else (s.features for s in samples)


def _encoded(images: Sequence[Image], context: Context) -> Iterator[Features]:
    several: _Several | None = getattr(context.features, "several", None)
    if several:
        return several(images)
    if context.features is not None:
        return map(context.features, images)
    if context.encoder is None:
        raise UsageError("maps at several scales need an encoder; set scales=1 and flip=false")
    return map(context.encoder.encode, images)


def _seen(image: Image, scale: float, flipped: bool) -> Image:
    h, w = (max(1, round(n * scale)) for n in image.shape)
    channels, valid = image.channels, image.valid
    if scale != 1.0:
        resized = F.interpolate(
            torch.tensor(channels)[None],
            (h, w),
            mode="bilinear",
            align_corners=False,
            antialias=scale < 1,
        )[0]
        channels = resized.numpy()
        rows = np.minimum((np.arange(h) + 0.5) / scale, image.shape[0] - 1).astype(int)
        columns = np.minimum((np.arange(w) + 0.5) / scale, image.shape[1] - 1).astype(int)
        valid = valid[np.ix_(rows, columns)]
    if flipped:
        channels, valid = channels[:, :, ::-1], valid[:, ::-1]
    seen: Float = np.ascontiguousarray(channels * valid)
    key = digest(image.key, f"scale {scale} flipped {flipped}")
    return replace(image, key=key, channels=seen, valid=np.ascontiguousarray(valid), georeference=None, pixel_size=None)
