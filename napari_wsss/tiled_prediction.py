"""Predicting an image of any size: overlapping tiles, blended, a band of rows in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_wsss.models.placed import places
from napari_wsss.trained import Trained
from napari_wsss.types import Bool, Box4, Float, Labels, Prediction, Progress, no_progress

Read = Callable[[Box4], tuple[Float, Bool]]
"""A box of the image to the network's input (c, h', w') and the validity of the box's pixels."""

_CELLS = 1 << 17
_ALIGN = 32
FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Views of test-time augmentation: axes that are flipped."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Side of a tile and overlap of neighbours, in image pixels; ``views`` of :data:`FLIPS` are averaged."""

    tile: int = 512
    overlap: int = 64
    views: int = 1


ONE_VIEW = Tiling()


def from_probabilities(probabilities: Float, valid: Bool) -> Prediction:
    """What is known of every pixel at once (K, h, w), kept as a segmenter's prediction is."""
    stride = cell_of((valid.shape[0], valid.shape[1]))
    p = np.where(valid, probabilities, np.float32(0))
    labels = np.where(valid, p.argmax(0) + 1, 0).astype(np.uint16)
    return Prediction(labels, np.stack(list(_cell_means(p, valid, stride))).astype(np.float16), stride)


def predict_tiled(
    trained: Trained,
    shape: tuple[int, int],
    step: int,
    read: Read,
    tiling: Tiling = ONE_VIEW,
    progress: Progress = no_progress,
    what: str = "",
) -> Prediction:
    """Classes of every pixel of an image, and probabilities at reduced size.

    Parameters
    ----------
    shape : (h, w)
    step : int
        Image pixels a cell of the input.
    read : callable
        Called once a tile, from top to bottom; boxes begin at multiples of ``step``.

    Returns
    -------
    Prediction
        ``disagreement`` where there is more than one view or a student, ``hardness`` where the network tells it.
    """
    stride = cell_of(shape)
    out = _Out(shape, len(trained.recipe.classes), stride, planes_beside(trained, tiling.views))
    align = math.lcm(_ALIGN, step, stride)
    tile = max(align, -(-tiling.tile // align) * align)
    overlap = min(tile // 2, -(-tiling.overlap // align) * align)
    rows, columns = (starts(n, tile, overlap) for n in shape)
    done = 0
    for number, top in enumerate(rows):
        bottom = min(top + tile, shape[0])
        band = _Band(out.planes, bottom - top, shape[1])
        for left in columns:
            progress(done, len(rows) * len(columns), what)
            box = (top, left, bottom, min(left + tile, shape[1]))
            x, valid = read(box)
            seen = _views(trained, trained.input_of(x, places(shape, box, step)), valid.shape, tiling.views)
            band.add(seen, valid, box, shape, overlap)
            done += 1
        out.take(band, top, rows[number + 1] if number + 1 < len(rows) else shape[0])
    progress(done, len(rows) * len(columns), what)
    return out.prediction()


def cell_of(shape: tuple[int, int]) -> int:
    """Image pixels a cell of the kept probabilities: the smallest power of two that gives at most 2^17 cells."""
    stride = 1
    while shape[0] * shape[1] > _CELLS * stride**2:
        stride *= 2
    return stride


def planes_beside(trained: Trained, views: int) -> tuple[str, ...]:
    """Planes that are kept beside the probabilities, in this order."""
    compared = views > 1 or trained.student is not None
    return (*(["disagreement"] if compared else []), *(["hardness"] if trained.hardness is not None else []))


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: every ``tile - overlap`` pixels, until one reaches the end."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [i * (tile - overlap) for i in range(count)]


def _views(trained: Trained, here: Tensor, size: tuple[int, int], views: int) -> Tensor:
    """Mean probabilities (K, h, w); as planes more half the mean absolute spread, and the hardness, where wanted."""
    seen: list[Tensor] = []
    beside: list[Tensor] = []
    with torch.inference_mode():
        for axes in FLIPS[:views]:
            flipped = torch.flip(here, axes) if axes else here
            found = trained.network(_laid_out(flipped), size)
            p = found.logits.float().softmax(1)
            seen.append((torch.flip(p, axes) if axes else p)[0])
            if trained.hardness is not None and not axes:
                beside.append(trained.hardness(found.fused.float(), size)[0])
        mean = torch.stack(seen).mean(0)
        if trained.student is not None:
            seen.append(trained.student(_laid_out(here), size).logits.float().softmax(1)[0])
        if len(seen) > 1:
            others = seen if views > 1 else seen[1:]  # the teacher's one view is the mean
            beside.insert(0, torch.stack([(p - mean).abs().sum(0) / 2 for p in others]).mean(0))
        return torch.cat([mean, *(plane[None] for plane in beside)]).cpu()


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class _Band:
    """One row of tiles: weighted sums of planes and of weights."""

    def __init__(self, planes: int, height: int, width: int) -> None:
        self.sums: Float = np.zeros((planes, height, width), np.float32)
        self.weights: Float = np.zeros((height, width), np.float32)
        self.valid: Bool = np.zeros((height, width), bool)

    def add(self, planes: Tensor, valid: Bool, box: Box4, shape: tuple[int, int], overlap: int) -> None:
        y0, x0, y1, x1 = box
        weight = np.outer(_ramp(y0, y1, shape[0], overlap), _ramp(x0, x1, shape[1], overlap)).astype(np.float32)
        self.sums[:, :, x0:x1] += planes.numpy() * weight
        self.weights[:, x0:x1] += weight
        self.valid[:, x0:x1] = valid


def _ramp(start: int, end: int, length: int, overlap: int) -> NDArray[np.float64]:
    """Weights along one axis: rising and falling over the overlap, 1 where the tile touches the image's border."""
    at = np.arange(end - start) + 0.5
    weight = np.ones(end - start)
    if overlap and start > 0:
        weight = np.minimum(weight, at / overlap)
    if overlap and end < length:
        weight = np.minimum(weight, (end - start - at) / overlap)
    return weight


class _Out:
    """What is finished: labels, and means over cells. Holds the overlap with the next row of tiles."""

    def __init__(self, shape: tuple[int, int], classes: int, stride: int, beside: tuple[str, ...]) -> None:
        self.classes, self.planes, self.stride, self.beside = classes, classes + len(beside), stride, beside
        cells = (-(-shape[0] // stride), -(-shape[1] // stride))
        self.labels: Labels = np.zeros(shape, np.uint16)
        self.kept: NDArray[np.float16] = np.zeros((self.planes, *cells), np.float16)
        self._waiting: tuple[Float, Float] | None = None

    def take(self, band: _Band, top: int, upto: int) -> None:
        """Add what waited of the row above, finish rows ``top`` to ``upto``, keep the rest waiting."""
        if self._waiting is not None:
            sums, weights = self._waiting
            band.sums[:, : sums.shape[1]] += sums
            band.weights[: len(weights)] += weights
        ready = upto - top
        valid = band.valid[:ready]
        mean = band.sums[:, :ready]
        mean /= np.maximum(band.weights[:ready], 1e-9)
        mean[:, ~valid] = 0
        self.labels[top:upto] = np.where(valid, mean[: self.classes].argmax(0) + 1, 0)
        first = top // self.stride
        reduced = np.stack(list(_cell_means(mean, valid, self.stride)))
        self.kept[:, first : first + reduced.shape[1]] = reduced
        self._waiting = (band.sums[:, ready:].copy(), band.weights[ready:].copy())

    def prediction(self) -> Prediction:
        planes = dict(zip(self.beside, self.kept[self.classes :], strict=True))
        return Prediction(self.labels, self.kept[: self.classes], self.stride, **planes)


def _cell_means(planes: Float, valid: Bool, stride: int) -> Iterator[Float]:
    """Mean of each plane over the valid pixels of cells."""
    if stride == 1:
        yield from planes
        return
    counts = _cell_sums(valid.astype(np.float32), stride)
    for plane in planes:
        yield (_cell_sums(plane, stride) / np.maximum(counts, 1)).astype(np.float32)


def _cell_sums(plane: Float, stride: int) -> Float:
    rows, columns = (np.arange(0, n, stride) for n in plane.shape)
    sums: Float = np.add.reduceat(np.add.reduceat(plane, rows, 0), columns, 1)
    return sums
