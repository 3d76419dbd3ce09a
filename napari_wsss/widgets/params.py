"""A method's typed parameters as a form, with the class docstring's words as tooltips."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from magicgui.widgets import Container, create_widget

from napari_wsss import registry


def documented(method: type[Any]) -> dict[str, str]:
    """What the docstring's Parameters section says of each parameter."""
    text = inspect.getdoc(method) or ""
    found: dict[str, str] = {}
    name = ""
    for line in text.partition("Parameters\n----------\n")[2].splitlines():
        head = re.match(r"(\w+(?:, \w+)*) : ", line)
        if head:
            name = head.group(1)
            found.update(dict.fromkeys(name.split(", "), ""))
        elif line.startswith("    ") and name:
            for one in name.split(", "):
                found[one] = f"{found[one]} {line.strip()}".strip()
        elif line.strip():
            break
    return found


def form(kind: str, name: str, given: Mapping[str, Any], changed: Callable[[str, Any], None]) -> Container[Any]:
    """Widgets of a method's parameters with the given values, defaults elsewhere.

    Parameters
    ----------
    changed : callable
        Told of the name and value of a parameter that the person changed.
    """
    method = registry.load(kind, name)
    params = registry.parameters(method, given, name)
    hints, tips = typing.get_type_hints(method.Params), documented(method)
    widgets = []
    for field in dataclasses.fields(method.Params):
        options: dict[str, Any] = {"tooltip": tips.get(field.name, "")}
        if hints[field.name] in (int, float):
            options |= {"min": -1e9, "max": 1e9} if hints[field.name] is float else {"min": -(2**31), "max": 2**31 - 1}
        widget: Any = create_widget(
            value=getattr(params, field.name),
            annotation=hints[field.name],
            name=field.name,
            label=field.name.replace("_", " "),
            options=options,
        )
        widget.changed.connect(lambda value, of=field.name: changed(of, value))
        widgets.append(widget)
    return Container(widgets=widgets, labels=True)
