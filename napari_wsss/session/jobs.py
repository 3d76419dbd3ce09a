"""Work of one window in the torch thread: started, dropped, and handed over in the window's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from napari_wsss.compute import Job, Priority, TorchThread

T = TypeVar("T")
Deliver = Callable[[Callable[[], None]], None]


class Jobs:
    """What a window asked of the torch thread. Once it is closed, no answer reaches it any more.

    Parameters
    ----------
    thread : TorchThread
        Where heavy work runs.
    deliver : callable
        Runs a function in the window's thread, soon.
    """

    def __init__(self, thread: TorchThread, deliver: Deliver) -> None:
        self.thread, self._deliver = thread, deliver
        self._slots: set[str] = set()  # in which anything was ever started
        self._closed = False

    def start(self, work: Callable[[Job[T]], T], slot: str, what: str, priority: Priority, **options: Any) -> Job[T]:
        """Queue work; a newer job of a slot drops the older one."""
        self._slots.add(slot)
        return self.thread.start(work, slot=f"{id(self)}:{slot}", what=what, priority=priority, **options)

    def drop(self, slot: str) -> None:
        """Stop what a slot does or waits for."""
        self.thread.drop(f"{id(self)}:{slot}")

    def drop_all(self) -> None:
        """Stop everything that was ever started."""
        for slot in self._slots:
            self.drop(slot)

    def when_done(self, job: Job[T], then: Callable[[T], None], again: Callable[[], None] | None = None) -> None:
        """Hand the result over in the window's thread; late answers are dropped, errors told in words.

        ``again`` starts the job once more: offered to the person where memory did not suffice.
        """
        job.add_done_callback(lambda done: self._deliver(lambda: self._finish(job, then, again)))

    def deliver(self, what: Callable[[], None]) -> None:
        """Run something in the window's thread, unless the window is closed by then."""
        if not self._closed:  # a window that is gone takes no calls
            self._deliver(lambda: None if self._closed else what())

    def on_error(self, what: str, error: BaseException, again: Callable[[], None] | None) -> None:
        """A job (``what`` in words) failed."""
        raise NotImplementedError

    def _finish(self, job: Job[T], then: Callable[[T], None], again: Callable[[], None] | None) -> None:
        if self._closed or job.is_stopped or job.cancelled():
            return
        error = job.exception()
        if error is None:
            then(job.result())
        else:
            self.on_error(job.what, error, again)
