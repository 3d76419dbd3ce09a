"""Threads for many small array operations.

Splitting one operation on a map of half a megapixel over threads costs about what it gains, and far more on
a busy machine. Whole pieces of work are spread instead, each on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch

_SMALL = 200_000


class Crew:
    """Runs pieces of work on as many threads as torch has; at once where the map is small or the device no CPU.

    Inside the ``with`` block torch itself uses one thread for an operation.
    """

    def __init__(self, device: torch.device, size: int) -> None:
        """``size`` is the number of values of the map at hand; a small one is done before a thread is up."""
        self._threads = torch.get_num_threads() if device.type == "cpu" else 1
        self._spread = size >= _SMALL
        self._pool: ThreadPoolExecutor | None = None
        self._running: list[Future[None]] = []

    def __enter__(self) -> Crew:
        if self._threads > 1:
            torch.set_num_threads(1)
            self._pool = ThreadPoolExecutor(self._threads) if self._spread else None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)
        if self._threads > 1:
            torch.set_num_threads(self._threads)

    def do(self, work: Callable[[], None]) -> None:
        """Start a piece of work."""
        if self._pool is None:
            work()
        else:
            self._running.append(self._pool.submit(work))

    def rest(self, still_running: int = 0) -> None:
        """Wait until at most so many pieces are left; raises what one of the others raised."""
        while len(self._running) > still_running:
            self._running.pop(0).result()
