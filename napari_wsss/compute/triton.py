"""Triton after Mesa's LLVM ends the process; loaded first with its own symbols it does not (ARCHITECTURE.md)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def load_triton() -> bool:
    """Load Triton in a way that a canvas's LLVM cannot disturb; whether this was needed.

    Only on Linux, where Triton is installed and not loaded yet. Safe from any thread.
    """
    if sys.platform != "linux" or "triton" in sys.modules or importlib.util.find_spec("triton") is None:
        return False
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("triton")
    finally:
        sys.setdlopenflags(flags)
    return True
