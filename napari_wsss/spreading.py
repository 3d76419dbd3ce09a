"""Work spread over an executor of the standard library's form; what a dead worker held is done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_wsss.errors import WsssError
from napari_wsss.workers import Workers

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 4
PATIENCE = 15.0
"""Seconds without an answer after which idle workers are taken for ones that lost what they were given."""
_EACH = 2  # pieces of work a worker that are handed out at once: one in work, one that waits


def spread(work: Callable[[T], R], items: Iterable[T], workers: Workers | None) -> Generator[tuple[T, R], None, None]:
    """Each item with its result, as they come.

    Items are taken and results are held only as many as keep the workers busy: there may be thousands, and large ones.
    Whoever may leave early closes the generator: that ends the workers.

    Parameters
    ----------
    work : callable
        Picklable where the workers are processes. What it raises is raised here.
    workers : Workers or None
        An executor is made anew when workers died; None = the work is done here, in order.

    Raises
    ------
    WsssError
        The workers of one item died four times.
    """
    if workers is None:
        for item in items:
            yield item, work(item)
        return
    left, died = _Left(items), True
    while died:
        with workers.make() as executor:
            died = yield from _until_a_death(executor, work, left, workers)


@dataclass
class _Piece(Generic[T]):
    item: T
    deaths: int = 0


class _Left(Generic[T]):
    """Pieces that are still to be done: those whose workers died before fresh ones."""

    def __init__(self, items: Iterable[T]) -> None:
        self._fresh, self._again = iter(items), deque[_Piece[T]]()

    def take(self) -> _Piece[T] | None:
        if self._again:
            return self._again.popleft()
        return next((_Piece(item) for item in self._fresh), None)

    def give_back(self, piece: _Piece[T]) -> None:
        piece.deaths += 1
        if piece.deaths >= ATTEMPTS:
            raise WsssError(f"workers died {ATTEMPTS} times over {piece.item}; has each of them enough memory?")
        self._again.append(piece)


def _until_a_death(
    executor: Executor, work: Callable[[T], R], left: _Left[T], workers: Workers
) -> Generator[tuple[T, R], None, bool]:
    """Until nothing is left (False), or a worker died and all that was handed out has come back (True)."""
    out: dict[Future[R], _Piece[T]] = {}
    died = False
    try:
        while True:
            while not died and len(out) < _EACH * workers.count():
                piece = left.take()
                if piece is None:
                    break
                try:
                    out[executor.submit(work, piece.item)] = piece
                except workers.deaths:
                    left.give_back(piece)
                    died = True
            if not out:
                return died
            done = wait(out, PATIENCE, FIRST_COMPLETED).done
            if not done and workers.idle():
                for future, piece in out.items():
                    future.cancel()
                    left.give_back(piece)
                out.clear()
                died = True
            for future in done:
                piece = out.pop(future)
                try:
                    result = future.result()
                except workers.deaths:
                    left.give_back(piece)
                    died = True
                    continue
                yield piece.item, result
    finally:
        for future in out:
            future.cancel()
