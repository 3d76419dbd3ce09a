"""Signals of the session to widgets that may be gone tomorrow."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget

_waiting: set[Callable[[], None]] = set()
"""Kept here, since Python's garbage collection may take a widget and a slot of its ``destroyed`` apart together, and
Qt then calls into half a function."""


def when_destroyed(widget: QWidget, call: Callable[[], object]) -> None:
    """Call once, when Qt deletes the widget."""

    def destroyed() -> None:
        _waiting.discard(destroyed)
        call()

    _waiting.add(destroyed)
    widget.destroyed.connect(destroyed)


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect a widget's method until Qt deletes the widget; does not keep it alive."""
    signal.connect(slot)
    method = weakref.WeakMethod(slot)

    def disconnect() -> None:
        alive = method()
        if alive is not None:
            signal.disconnect(alive, missing_ok=True)

    when_destroyed(widget, disconnect)
