"""The filter encoder beside scikit-image's multiscale_basic_features, scales 1 to 16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_wsss import registry
from napari_wsss.bench._basic_features import basic_features
from napari_wsss.bench._drawn import textured_image
from napari_wsss.bench._rows import Row, Setting, cost, score
from napari_wsss.bench._sets import read_set
from napari_wsss.bench._timing import best_of, has_cuda, thread_counts
from napari_wsss.device import torch_threads
from napari_wsss.images import contrast, load, open_source
from napari_wsss.protocols import Context
from napari_wsss.types import Classes, Features, Image

_ROUNDS = 5
_DRAWN = (((256, 256), 1), ((512, 512), 3), ((1024, 1024), 1), ((1024, 1024), 4))
_IMAGES_OF_A_SET = 2
_SCALES = 5  # 1, 2, 4, 8, 16
_SHARED = 4  # features a scale and channel that both have: intensity, gradient, the Hessian's two
_AGREE = 0.99  # correlation that counts as the same feature
_REFERENCE = "multiscale_basic_features"

Encode = Callable[[Image], Features]


def measure(setting: Setting) -> Iterator[Row]:
    """Seconds of both for each image, best of five alternated runs; how many features; the lowest correlation."""
    images = list(_images(setting))
    for done, (of, image) in enumerate(images):
        setting.progress(done, len(images), f"filters {of}")
        yield from _one_image(of, image, setting)
    setting.progress(len(images), len(images), "filters")


def _images(setting: Setting) -> Iterator[tuple[str, Image]]:
    if not setting.sets:
        for shape, channels in _DRAWN:
            image = textured_image(shape, channels, seed=0)
            yield image.name, image
    for folder in setting.sets:
        of = read_set(folder)
        for path in of.images[:_IMAGES_OF_A_SET]:
            source = open_source(path)
            plane = source.planes[0]
            image = load(
                source, plane, name=path.name, key=str(path), contrast=contrast(source, plane), rgb_channels=None
            )
            c, h, w = image.channels.shape
            yield f"{of.name} {path.stem} {h}x{w}x{c}", image


def _one_image(of: str, image: Image, setting: Setting) -> Iterator[Row]:
    ours, same_kinds = _encoder("cpu"), _encoder("cpu", structure=False)
    on_gpu = _encoder("cuda") if has_cuda() else None
    counts = thread_counts(setting.threads)
    for threads in counts:
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda: ours(image),
            "ours_same_kinds": lambda: same_kinds(image),
            _REFERENCE: partial(reference_features, image, threads),
        }
        if on_gpu is not None and threads == counts[0]:
            calls["ours_cuda"] = lambda: on_gpu(image)
        with torch_threads(threads):
            seconds = best_of(calls, _ROUNDS)
        for method, value in seconds.items():
            yield cost(of, _seconds(threads), method, value, "s", seconds[_REFERENCE])
    found, theirs = ours(image).data, reference_features(image, 1)
    yield score(of, "features", "ours", len(found), "features", len(theirs))
    yield score(of, "lowest_correlation", "ours", lowest_correlation(found, theirs), "correlation", _AGREE)


def _seconds(threads: int) -> str:
    return f"seconds_{threads}_thread{'s' if threads > 1 else ''}"


def _encoder(device: str, structure: bool = True) -> Encode:
    method = registry.load("encoders", "filters")
    params = registry.parameters(method, {"sigma_min": 1, "sigma_max": 16, "structure": structure}, "filters")
    encode: Encode = method(params, Context(Classes(()), device)).encode
    return encode


def reference_features(image: Image, workers: int) -> NDArray[np.float32]:
    """scikit-image's features (channels * 5 * 4, h, w) of the same normalised channels."""
    planes: NDArray[np.float32] = basic_features(image.channels.transpose(1, 2, 0), workers).transpose(2, 0, 1)
    return planes


def lowest_correlation(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Of the features that both have, the lowest Pearson correlation over the image's pixels."""
    mine = ours.reshape(-1, ours.shape[0] * _SHARED // len(theirs), *ours.shape[1:])[:, :_SHARED]
    pairs = zip(mine.reshape(-1, mine[0, 0].size), theirs.reshape(len(theirs), -1), strict=True)
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs if a.std() > 0 and b.std() > 0)
