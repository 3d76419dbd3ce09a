"""AGMM on all pixels of 512 x 512, 16 features, 8 components, beside scikit-learn's GaussianMixture."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss import registry
from napari_wsss.bench._rows import Row, Setting, cost, score
from napari_wsss.bench._timing import best_of, has_cuda, need_sklearn, thread_counts
from napari_wsss.device import torch_threads
from napari_wsss.errors import WsssError
from napari_wsss.protocols import Context
from napari_wsss.types import Class, Classes, Features, Image, Labels, Point, Sample, WeakLabels, WeakTarget
from napari_wsss.weak_labels import compile_target

_SIDE, _FEATURES, _CLASSES, _PASSES = 512, 16, 4, 8
_ROUNDS = 3
_LIMIT = 1.0  # seconds, on two threads
_REFERENCE = "GaussianMixture_diag"

Answer = Callable[[], Labels]


@dataclass(frozen=True, eq=False)
class Task:
    """An image's features with two marks a class, and the truth that only the check looks at."""

    features: Features
    image: Image
    labels: WeakLabels
    target: WeakTarget
    truth: Labels

    @property
    def sample(self) -> Sample:
        """Anew for each run: a sample keeps what it loaded."""
        return Sample("drawn", self.labels, lambda: self.target, lambda: self.image, lambda: self.features)


def measure(setting: Setting) -> Iterator[Row]:
    """Seconds of both from the same features and marks, best of three alternated runs, and how often each is right."""
    need_sklearn("agmm")
    task = drawn_task(_SIDE)
    of = f"drawn {_SIDE}x{_SIDE}, {_FEATURES} features, {2 * _CLASSES} components, {_PASSES} passes"
    counts = thread_counts(setting.threads)
    for done, threads in enumerate(counts):
        setting.progress(done, len(counts), f"agmm {threads} threads")
        calls: dict[str, Answer] = {"ours": lambda: ours(task), _REFERENCE: lambda: reference(task)}
        if has_cuda() and not done:
            calls["ours_cuda"] = lambda: ours(task, "cuda")
        with _all_threads(threads):
            seconds = best_of(calls, _ROUNDS)
        what = f"seconds_{threads}_thread{'s' if threads > 1 else ''}"
        for method, value in seconds.items():
            yield cost(of, what, method, value, "s", seconds[_REFERENCE])
        if threads == 2:
            yield cost(of, "seconds_2_threads_limit", "ours", seconds["ours"], "s", _LIMIT)
    setting.progress(len(counts), len(counts), "agmm")
    theirs = _right(reference(task), task)
    yield score(of, "accuracy", "ours", _right(ours(task), task), "share", theirs)
    yield score(of, "accuracy", _REFERENCE, theirs, "share", theirs)


def drawn_task(side: int) -> Task:
    """Eight blocks, two a class, each with a mean of its own and noise as wide as half their distance."""
    rng = np.random.default_rng(0)
    rows, columns = np.arange(side) * 2 // side, np.arange(side) * 4 // side
    block = rows[:, None] * 4 + columns
    means = rng.standard_normal((2 * _CLASSES, _FEATURES))
    data = means[block].transpose(2, 0, 1) + rng.normal(0, 0.5, (_FEATURES, side, side))
    truth = (block % _CLASSES + 1).astype(np.uint16)
    places = [(side // 4 + side // 2 * r, side // 8 + side // 4 * c) for r in range(2) for c in range(4)]
    labels = WeakLabels(marks=tuple(Point(y, x, int(truth[y, x])) for y, x in places))
    valid = np.ones((side, side), bool)
    image = Image("drawn", "drawn", data[:1].astype(np.float32), valid, (0, 0, 0))
    target = compile_target(labels, classes(), (side, side), valid, point_radius=2)
    return Task(Features(data.astype(np.float32), 1.0), image, labels, target, truth)


def classes() -> Classes:
    return Classes(tuple(Class(k, f"class{k}", "#808080") for k in range(1, _CLASSES + 1)))


def ours(task: Task, device: str = "cpu") -> Labels:
    """The label model as a run calls it: reducing and scaling the features, passes, labels and probabilities.

    Raises
    ------
    WsssError
        If it stopped before its last pass: then it did not do the work that is compared.
    """
    passes: set[int] = set()

    def count(done: int, total: int, what: str) -> None:
        if what == "mixture":
            passes.add(done)

    method = registry.load("label_models", "agmm")
    params = registry.parameters(method, {"passes": _PASSES, "dims": _FEATURES}, "agmm")
    labels: Labels = method(params, Context(classes(), device, progress=count))(task.sample, {}).labels
    if len(passes) < _PASSES:
        raise WsssError(f"bench agmm: the mixture made {len(passes)} passes of {_PASSES}")
    return labels


def reference(task: Task) -> Labels:
    """GaussianMixture on every pixel from the marks' means: 8 iterations, then the class of every pixel."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x = task.features.data.reshape(_FEATURES, -1).T
    means, class_of = _start(task, x)
    model = GaussianMixture(
        len(means),
        covariance_type="diag",
        max_iter=_PASSES,
        tol=0,
        weights_init=np.full(len(means), 1 / len(means)),
        means_init=means,
        precisions_init=np.ones_like(means),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of iterations is what is asked for
        component = model.fit_predict(x)
    if model.n_iter_ != _PASSES:
        raise WsssError(f"bench agmm: scikit-learn made {model.n_iter_} iterations of {_PASSES}")
    labels: Labels = class_of[component].reshape(task.truth.shape)
    return labels


def _start(task: Task, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], Labels]:
    """Mean features and class of each mark."""
    component, seed = task.target.component.ravel(), task.target.seed.ravel()
    numbers = range(1, component.max() + 1)
    means = np.stack([x[component == j].mean(0) for j in numbers])
    return means, np.array([seed[component == j][0] for j in numbers], np.uint16)


def _right(labels: Labels, task: Task) -> float:
    return float((labels == task.truth).mean())


@contextmanager
def _all_threads(count: int) -> Iterator[None]:
    """Torch's threads and those of the linear algebra behind NumPy."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(count), torch_threads(count):
        yield
