"""Signals of the session, and answers to what it was asked, to widgets that may be gone tomorrow."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from qtpy.compat import isalive
from qtpy.QtCore import QObject
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
    method, most = weakref.WeakMethod(slot), len(inspect.signature(slot).parameters)

    def call(*arguments: Any) -> None:
        alive = method()
        if alive is not None:
            while_alive(alive.__self__, alive)(*arguments[:most])  # type: ignore[attr-defined]

    signal.connect(call)
    when_destroyed(widget, lambda: signal.disconnect(call, missing_ok=True))


def while_alive(widget: QWidget, what: Callable[..., Any]) -> Callable[..., None]:
    """The same function, doing nothing once Qt has deleted the widget; nor is it deleted in the middle of a call.

    A dock that was closed belongs to Python. Its garbage collection, which may come at any line, would delete the
    dock with all widgets in it, unless somebody holds it.
    """

    def call(*arguments: Any) -> None:
        if isalive(widget):  # type: ignore[no-untyped-call]
            held = _above(widget)
            what(*arguments)
            del held

    return call


def _above(widget: QObject) -> list[QObject]:
    """The widget and all that it lies in."""
    held = [widget]
    while (parent := held[-1].parent()) is not None:
        held.append(parent)
    return held
