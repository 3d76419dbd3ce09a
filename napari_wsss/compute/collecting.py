"""Python's collector of garbage walks all that lives whenever that grew by a quarter, and no thread runs meanwhile.

torch and napari are half a million objects: 0.3 s at each walk, ten walks while they load. What they leave behind lives
as long as the process does, so nothing is gained by walking it.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_MANY = 100  # modules: so many were loaded that what they left is worth setting aside

_lock = threading.Lock()
_within = 0
_collected_before = True
_is_over = False


@cache
def _leave_nothing() -> None:
    """At the process's end all is collected as if nothing had been set aside; nanobind (Triton) tells of leaks else."""
    atexit.register(gc.unfreeze)


def collect_all() -> None:
    """From now on all that lives is walked: a window was closed, and what it leaves behind must not be kept."""
    global _is_over
    _is_over = True
    gc.unfreeze()


@contextmanager
def loading() -> Iterator[None]:
    """Collect nothing while the block runs; what is there at its end is set aside, if it loaded many modules.

    May be nested, and used by several threads at once: the last one to leave turns collecting on again, if it was on.
    """
    global _within, _collected_before
    with _lock:
        if not _within:
            _collected_before = gc.isenabled()
            gc.disable()
        _within += 1
    before = len(sys.modules)
    try:
        yield
    finally:
        if len(sys.modules) - before > _MANY and not _is_over:
            gc.freeze()
            _leave_nothing()
        with _lock:
            _within -= 1
            if not _within and _collected_before:
                gc.enable()
