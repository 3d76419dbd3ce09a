"""Signals of the session to widgets that may be gone tomorrow."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect a widget's method until Qt deletes the widget; does not keep it alive."""
    signal.connect(slot)
    method = weakref.WeakMethod(slot)

    def disconnect() -> None:
        alive = method()
        if alive is not None:
            signal.disconnect(alive, missing_ok=True)

    widget.destroyed.connect(disconnect)
