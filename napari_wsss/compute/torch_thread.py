"""The thread that owns torch: a standard executor with priorities, slots and cooperative cancelling.

torch on a CPU in two live threads is two to four times as slow, so one thread does all of it. A running
job is not interrupted; but whenever it reports progress, more urgent jobs that wait are done first, inside
that call. A click is therefore answered while a folder is being computed.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from enum import IntEnum
from functools import cache
from typing import Any, Generic, ParamSpec, TypeVar

from napari_wsss.compute.collecting import loading
from napari_wsss.compute.freed import give_back
from napari_wsss.compute.triton import load_triton
from napari_wsss.errors import Cancelled
from napari_wsss.types import Progress, no_progress

T = TypeVar("T")
P = ParamSpec("P")


class Priority(IntEnum):
    """What goes first: a person's click, work that was asked for, work that may be useful later."""

    CLICK = 0
    BATCH = 1
    IDLE = 2


class Job(Future[T], Generic[T]):
    """A future that can be stopped while it runs: the work sees it at its next report of progress.

    Attributes
    ----------
    what : str
        In a person's words.
    """

    def __init__(self, thread: TorchThread, priority: Priority, what: str, watch: Progress) -> None:
        super().__init__()
        self.priority, self.what = priority, what
        self._thread, self._watch = thread, watch
        self._stop = threading.Event()

    def stop(self) -> None:
        """Drop the job: one that waits never runs, one that runs ends with Cancelled at its next report."""
        self._stop.set()
        self.cancel()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell who watches, and let more urgent jobs pass. To be called by the work itself.

        Raises
        ------
        Cancelled
            The job was stopped.
        """
        if self._stop.is_set():
            raise Cancelled(f"{self.what}: stopped")
        self._watch(done, total, what)
        self._thread.let_pass(self.priority)


class TorchThread(Executor):
    """One daemon thread and a queue. ``submit`` is the standard one; ``start`` knows slots and priorities."""

    def __init__(self, name: str = "napari-wsss torch") -> None:
        self._queue: list[tuple[int, int, Job[Any], Callable[[Job[Any]], Any]]] = []
        self._ready = threading.Condition()
        self._count = itertools.count()
        self._slots: dict[str, Job[Any]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def start(
        self,
        work: Callable[[Job[T]], T],
        *,
        slot: str = "",
        priority: Priority = Priority.BATCH,
        what: str = "",
        watch: Progress = no_progress,
    ) -> Job[T]:
        """Queue ``work(job)``.

        Parameters
        ----------
        slot : str
            A new job of a slot stops the older one; '' = no slot.
        watch : callable
            Told of progress, in the torch thread.
        """
        job: Job[T] = Job(self, priority, what, watch)
        with self._ready:
            if self._closed:
                raise RuntimeError("the torch thread has been shut down")
            older = self._slots.pop(slot, None) if slot else None
            if slot:
                self._slots[slot] = job
            heapq.heappush(self._queue, (priority, next(self._count), job, work))
            self._ready.notify()
        if older is not None:
            older.stop()
        return job

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """As the standard library's: run ``fn`` when its turn comes."""
        return self.start(lambda job: fn(*args, **kwargs), what=getattr(fn, "__name__", ""))

    def drop(self, slot: str) -> None:
        """Stop the slot's job, waiting or running."""
        with self._ready:
            job = self._slots.pop(slot, None)
        if job is not None:
            job.stop()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread once the queue is empty, or at once with ``cancel_futures``."""
        with self._ready:
            self._closed = True
            waiting = [entry[2] for entry in self._queue] + list(self._slots.values())
            self._ready.notify()
        if cancel_futures:
            for job in waiting:
                job.stop()
        if wait:
            self._thread.join()

    def let_pass(self, below: Priority) -> None:
        """Do what waits and is more urgent than this. Does nothing in any other thread than the torch thread."""
        if threading.current_thread() is not self._thread:
            return
        while (entry := self._pop(below)) is not None:
            self._do(*entry)

    def _pop(self, below: int) -> tuple[Job[Any], Callable[[Job[Any]], Any]] | None:
        with self._ready:
            if not self._queue or self._queue[0][0] >= below:
                return None
            _, _, job, work = heapq.heappop(self._queue)
        return job, work

    def _loop(self) -> None:
        with loading():
            load_triton()
        holds_freed = False  # memory, of work that nobody waits for
        while True:
            with self._ready:
                while not self._queue and not self._closed:
                    self._ready.wait()
                if not self._queue:
                    return
            entry = self._pop(len(Priority))
            if entry is not None:
                self._do(*entry)
                holds_freed = holds_freed or entry[0].priority is not Priority.CLICK
            del entry  # holds no arrays while it waits
            if holds_freed and not self._queue:
                give_back()
                holds_freed = False

    def _do(self, job: Job[Any], work: Callable[[Job[Any]], Any]) -> None:
        if not job.set_running_or_notify_cancel():
            return
        try:
            with loading() if job.priority is Priority.IDLE else nullcontext():  # the first of them load torch
                result = work(job)
        except BaseException as error:  # noqa: BLE001  # belongs to whoever asks the future
            job.set_exception(error)
        else:
            job.set_result(result)
        with self._ready:
            for slot in [s for s, j in self._slots.items() if j is job]:
                del self._slots[slot]


@cache
def torch_thread() -> TorchThread:
    """The process's one torch thread, started when first asked for."""
    return TorchThread()
