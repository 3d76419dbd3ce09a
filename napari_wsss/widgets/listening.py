"""Signals of the session to widgets that may be gone tomorrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect a widget's method until Qt deletes the widget; does not keep it alive."""
    signal.connect(slot)
    disconnect = signal.disconnect
    widget.destroyed.connect(lambda: disconnect(slot, missing_ok=True))
