"""Where things of this user lie on this machine: models and caches, and work that has no name yet."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "NAPARI_WSSS_HOME"


def home() -> Path:
    """Folder of all that is cached: ``$NAPARI_WSSS_HOME``, else the platform's cache folder of the user."""
    given = os.environ.get(HOME_VARIABLE, "")
    if given:
        return Path(given).expanduser()
    import pooch

    return Path(pooch.os_cache("napari-wsss"))


def workplace() -> Path:
    """Folder of projects that have no name yet: ``$NAPARI_WSSS_HOME/scratch``, else ``napari-wsss`` in the user's home.

    It is no cache: what lies there is a person's work.
    """
    return home() / "scratch" if os.environ.get(HOME_VARIABLE) else Path.home() / "napari-wsss"
