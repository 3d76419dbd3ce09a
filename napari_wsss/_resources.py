"""Paths of files that ship with the product."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def resource(*parts: str) -> Path:
    """Path of a file below ``resources/``: inside the package in a wheel, beside it in a clone."""
    inside = _HERE.joinpath("resources", *parts)
    return inside if inside.exists() else _HERE.parent.joinpath("resources", *parts)
