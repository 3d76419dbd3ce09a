"""Memory that finished work has freed goes back to the system; glibc would keep most of it between what is in use."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> bool:
    """Hand free memory of this process back to the system; whether there is a way (there is with glibc).

    Takes milliseconds, a tenth of one for each MiB handed back; other threads run on.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return False
    trim(ctypes.c_size_t(0))
    return True
