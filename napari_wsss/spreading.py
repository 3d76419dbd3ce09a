"""Work spread over an executor of the standard library's form; what a dead worker held is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from typing import TypeVar

from napari_wsss.errors import WsssError

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 4


def spread(
    work: Callable[[T], R], items: Sequence[T], make_executor: Callable[[], Executor] | None
) -> Iterator[tuple[T, R]]:
    """Each item with its result, as they come.

    Parameters
    ----------
    work : callable
        Picklable where the executor's workers are processes.
    make_executor : callable or None
        Called again, up to four times in all, when workers died; None = the work is done here, in order.

    Raises
    ------
    WsssError
        Workers died again and again.
    """
    if make_executor is None:
        for item in items:
            yield item, work(item)
        return
    left = list(items)
    for _ in range(ATTEMPTS):
        if not left:
            return
        died: list[T] = []
        with make_executor() as executor:
            futures = {executor.submit(work, item): item for item in left}
            try:
                for future in as_completed(futures):
                    item = futures[future]
                    try:
                        result = future.result()
                    except BrokenExecutor:
                        died.append(item)
                        continue
                    yield item, result
            finally:
                for future in futures:
                    future.cancel()
        left = died
    if left:
        raise WsssError(f"workers died {ATTEMPTS} times; {len(left)} items are not done, e.g. {left[0]}")
