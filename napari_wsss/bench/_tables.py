"""Rows as one Markdown table: what was measured down, sets across."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def as_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """A table of rows as :meth:`Row.as_json` gives them, in the order of their first appearance.

    A cell holds the value; where nothing was measured it holds a dash.
    """
    cells: dict[tuple[str, str], dict[str, str]] = {}
    sets: dict[str, None] = {}
    for row in rows:
        sets.setdefault(row["set"])
        cells.setdefault((row["what"], row["method"]), {})[row["set"]] = _number(row["value"], row["unit"])
    lines = [["what", "method", *sets], ["---"] * (2 + len(sets))]
    lines += [[what, method, *(own.get(name, "–") for name in sets)] for (what, method), own in cells.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(value: float, unit: str) -> str:
    return f"{value:.3f}" if unit == "share" else f"{value:.4g}"
