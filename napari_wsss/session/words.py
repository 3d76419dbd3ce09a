"""Errors as a person reads them."""

from __future__ import annotations

from napari_wsss.errors import WsssError
from napari_wsss.session.shortage import is_shortage


def in_words(error: BaseException) -> str:
    """An error as a person reads it, with a way out where we know one."""
    if isinstance(error, WsssError):
        return str(error)
    if is_shortage(error):
        return "Not enough memory on the device; choose the CPU in Preferences > Plugins, or close other programs."
    return f"{type(error).__name__}: {error}"
