"""Signals of the session to widgets that may be gone tomorrow."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget


_until_destroyed: set[Callable[[], None]] = set()
"""Kept here, since Python's garbage collection may take a widget and a slot of its ``destroyed`` apart together, and
Qt then calls into half a function."""


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect a widget's method until Qt deletes the widget; does not keep it alive."""
    signal.connect(slot)
    method = weakref.WeakMethod(slot)

    def disconnect() -> None:
        _until_destroyed.discard(disconnect)
        alive = method()
        if alive is not None:
            signal.disconnect(alive, missing_ok=True)

    _until_destroyed.add(disconnect)
    widget.destroyed.connect(disconnect)
