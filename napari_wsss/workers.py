"""Where work is done beside this process: processes of this machine, or the workers of a dask scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from napari_wsss.errors import UsageError, WsssError

_CONNECT_SECONDS = 20


@dataclass(frozen=True)
class Workers:
    """Makers of executors, of the standard library's form.

    Attributes
    ----------
    make : callable
        A ready executor; called again when workers died.
    count : callable
        How many workers there are now, so that not much more than they can do is handed out at once.
    deaths : tuple of exception types
        What a piece of work raises whose worker died.
    idle : callable
        Whether there are workers and none of them has anything to do: what still waits then was lost. A dask client
        may hear nothing of a piece whose worker died between finishing it and handing it over.
    """

    make: Callable[[], Executor]
    count: Callable[[], int]
    deaths: tuple[type[BaseException], ...] = (BrokenExecutor,)
    idle: Callable[[], bool] = lambda: False


def processes(count: int) -> Workers:
    """So many new processes of this machine (torch does not survive a fork)."""

    def make() -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))

    return Workers(make, lambda: count)


@contextmanager
def scheduler(address: str) -> Iterator[Workers]:
    """The workers of a dask scheduler, e.g. ``tcp://head:8786``; they must see the project and its images.

    Raises
    ------
    UsageError
        dask.distributed is not installed, or nobody answers at the address.
    """
    try:
        import distributed
        from dask import config
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise UsageError("a scheduler needs dask.distributed: pip install 'napari-wsss[cluster]'") from error
    with config.set({"distributed.comm.timeouts.connect": _CONNECT_SECONDS}):
        try:
            make: Any = distributed.Client
            client = make(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no dask scheduler answers at {address} ({error}); start one with `dask scheduler`"
            ) from error
        with client:
            gone = f"the dask scheduler at {address} is gone; what was finished is kept, run the command again"
            deaths = KilledWorker, CancelledError  # cancelled: the scheduler lost it
            yield Workers(
                lambda: _executor(client, gone), lambda: _threads(client, gone), deaths, lambda: _idle(client, gone)
            )


def _executor(client: Any, gone: str) -> Executor:
    if client.status != "running":
        raise WsssError(gone)
    made: Executor = client.get_executor(pure=False)
    return made


def _threads(client: Any, gone: str) -> int:
    """Pieces of work that the scheduler's workers do at once; at least one, for workers may still come."""
    try:
        return max(1, int(sum(client.nthreads().values())))
    except (OSError, ValueError) as error:
        raise WsssError(gone) from error


def _idle(client: Any, gone: str) -> bool:
    try:
        return bool(client.nthreads()) and not any(client.processing().values())
    except (OSError, ValueError) as error:
        raise WsssError(gone) from error
