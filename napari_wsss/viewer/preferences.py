"""What the person set on this plugin's page of napari's preferences."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

PLUGIN = "napari-wsss"


def preference(page: str, name: str, default: Any) -> Any:
    """A value of the preferences; the default where napari does not know the plugin (used from a script)."""
    group = getattr(get_plugin_settings().get(PLUGIN), page, None)
    value = getattr(group, name, default)
    return getattr(value, "value", value)  # an enumeration of the allowed values
