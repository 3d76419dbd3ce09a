"""The views of an image that a multi-scale activation map looks at: its sizes and its mirror image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_wsss.errors import UsageError
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Features, Float, Image, Sample, digest

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
    """The image's own features, then those of its resized and mirrored copies.

    An encoder with a grid of less than 4 pixels (`filters`) sees the image once: it covers many scales itself.
    Resized copies need the run's encoder; the pipeline gives it in the context.
    """
    own = View(sample.features, sample.image.valid)
    several = own.features.stride >= COARSE
    for scale in parse_scales(scales) if several else (1.0,):
        for flipped in (False, True) if several and flip else (False,):
            if scale == 1.0 and not flipped:
                yield own
                continue
            image = _seen(sample.image, scale, flipped)
            yield View(_encode(image, context), image.valid, flipped)


def _encode(image: Image, context: Context) -> Features:
    if context.features is not None:
        return context.features(image)
    if context.encoder is None:
        raise UsageError("maps at several scales need an encoder; set scales=1 and flip=false")
    return context.encoder.encode(image)


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
