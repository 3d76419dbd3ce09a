"""What a window works on, without the window: one evented model with a history of named steps."""

from __future__ import annotations

from napari_wsss.session.session import PREDICTOR, Session

__all__ = ["PREDICTOR", "Session"]
