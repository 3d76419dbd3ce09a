"""Methods by kind and name: our own modules, and other packages' entry points.

Our methods are the modules of a kind's folder (a new file is a new method); other packages add
theirs by an entry point ``name = "module"`` in the group ``napari_wsss.<kind>``. Listing names
imports no method.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_wsss.errors import UsageError

KINDS = ("encoders", "cams", "label_models", "refiners", "segmenters", "acquisition", "exporters")


@cache
def _own(kind: str) -> tuple[str, ...]:
    package = importlib.import_module(f"napari_wsss.{kind}")
    return tuple(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


@cache
def _others(kind: str) -> dict[str, EntryPoint]:
    return {e.name.replace("-", "_"): e for e in entry_points(group=f"napari_wsss.{kind}")}


def names(kind: str) -> tuple[str, ...]:
    """Names of all methods of a kind, ours first; imports none of them."""
    own = _own(kind)
    return own + tuple(n for n in sorted(_others(kind)) if n not in own)


def module_of(kind: str, name: str) -> str:
    """Importable module of a method.

    Raises
    ------
    UsageError
        If there is no such method; the message lists those that are.
    """
    if name in _own(kind):
        return f"napari_wsss.{kind}.{name}"
    if name in _others(kind):
        return _others(kind)[name].module
    raise UsageError(
        f"no {kind.removesuffix('s').replace('_', ' ')} named {name!r}; there are: {', '.join(names(kind))}"
    )


def load(kind: str, name: str) -> type[Any]:
    """The method's class (``METHOD`` of its module). Imports the module."""
    return typing.cast("type[Any]", importlib.import_module(module_of(kind, name)).METHOD)


@cache
def summary(kind: str, name: str) -> str:
    """First line of the method file's docstring, read without importing it."""
    spec = find_spec(module_of(kind, name))
    if spec is None or spec.origin is None:
        return ""
    doc = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return doc.splitlines()[0] if doc else ""


def parameters(method: type[Any], given: Mapping[str, Any], label: str) -> Any:
    """A method's ``Params`` with the given values, strings converted to the fields' types.

    Raises
    ------
    UsageError
        For a name that is no parameter or a value that does not convert; names ``label.parameter``.
    """
    hints = typing.get_type_hints(method.Params)
    fields = {f.name for f in dataclasses.fields(method.Params)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise UsageError(f"{label} has no parameter {key!r}; it has: {known}")
        values[key] = _convert(value, hints[key], f"{label}.{key}")
    try:
        return method.Params(**values)
    except ValueError as error:
        raise UsageError(f"{label}: {error}") from error


def _convert(value: Any, hint: Any, label: str) -> Any:
    if typing.get_origin(hint) is typing.Literal:
        if value in typing.get_args(hint):
            return value
        raise UsageError(f"{label}: {value!r} is not one of {', '.join(map(str, typing.get_args(hint)))}")
    if hint is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on"):
            return True
        if str(value).lower() in ("0", "false", "no", "off"):
            return False
        raise UsageError(f"{label}: {value!r} is neither true nor false")
    try:
        return hint(value)
    except (TypeError, ValueError):
        raise UsageError(f"{label}: {value!r} is not a {hint.__name__}") from None
