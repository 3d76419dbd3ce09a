"""The command line ``napari-wsss``. Each module holds a few commands; none loads torch to show help."""

from __future__ import annotations

from napari_wsss.cli.program import main

__all__ = ["main"]
