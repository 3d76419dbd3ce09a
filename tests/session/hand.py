"""A session without a window: results are handed over when the test asks."""

from __future__ import annotations

import queue

from napari_wsss.compute import TorchThread
from napari_wsss.session import Session


class Hand:
    """A session, and what it wants done in "the window's thread"."""

    def __init__(self, **options) -> None:
        self.thread = TorchThread("test")
        self.waiting: queue.Queue = queue.Queue()
        self.session = Session(self.thread, self.waiting.put, device="cpu", **options)
        self.told: list[str] = []
        self.failed: list[str] = []
        self.session.told.connect(self.told.append)
        self.session.failed.connect(self.failed.append)

    def settle(self) -> None:
        """Until nothing waits any more."""
        while True:
            self.thread.submit(lambda: None).result(120)  # everything of this priority before it is done
            self.thread.start(lambda job: None, priority=2).result(120)
            if self.waiting.empty():
                return
            while not self.waiting.empty():
                self.waiting.get()()

    def close(self) -> None:
        self.session.close()
        self.thread.shutdown(cancel_futures=True)
