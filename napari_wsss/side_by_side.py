"""Images computed side by side: on a CPU, one torch thread each beats several threads on one image."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST = 4  # images in work at once; each holds its features in memory


def workers() -> int:
    """As many as there are cores, at most four; ``OMP_NUM_THREADS`` sets fewer."""
    return max(1, min(_MOST, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)))


def side_by_side(work: Callable[[T], R], items: Sequence[T], n: int) -> Iterator[tuple[T, R]]:
    """Each item with its result, in order; what the work raises is raised here, and what waits is dropped."""
    if n == 1:
        for item in items:
            yield item, work(item)
        return
    pool = ThreadPoolExecutor(n, initializer=_one_torch_thread)
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > n:
                first, done = waiting.popleft()
                yield first, done.result()
        while waiting:
            first, done = waiting.popleft()
            yield first, done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)
