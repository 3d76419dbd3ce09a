"""Benchmarks: each file measures one thing beside a named reference, in the same run.

A benchmark's file holds ``measure(setting)``, which yields rows; its name is the file's name, the
first line of its docstring the summary that ``bench --help`` shows. Only such a file, and the jobs
that it starts, know the references: nothing else of the product uses them.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from napari_wsss.bench._machine import machine
from napari_wsss.bench._rows import Row, Setting, Shard
from napari_wsss.errors import UsageError

__all__ = ["HOURS", "Row", "Setting", "Shard", "machine", "measure", "names", "summary"]


HOURS = ("asking", "learn", "losses")
"""Benchmarks that train many times; they run when they are named only."""


def names() -> tuple[str, ...]:
    """Names of all benchmarks; imports none of them."""
    return tuple(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def summary(name: str) -> str:
    """First line of a benchmark's docstring, read without importing it."""
    text = (Path(__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def measure(name: str, setting: Setting) -> Iterator[Row]:
    """The rows of one benchmark, each as soon as it is measured.

    Raises
    ------
    UsageError
        No benchmark of this name.
    WsssError
        The reference is not installed, or a set cannot be read.
    """
    if name not in names():
        raise UsageError(f"no benchmark {name!r}; there are: {', '.join(names())}")
    rows: Iterator[Row] = importlib.import_module(f"napari_wsss.bench.{name}").measure(setting)
    yield from rows
