"""``demo``: the main job on images that ship with the product."""

from __future__ import annotations

from typing import Any


def add_commands(commands: Any) -> None:
    del commands
