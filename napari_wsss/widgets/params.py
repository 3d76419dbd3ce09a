"""A method's typed parameters as a form, the class docstring's words as tooltips; loaded off the window's thread."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from magicgui.widgets import Container, create_widget
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_wsss import registry
from napari_wsss.compute import Job, Priority
from napari_wsss.errors import WsssError
from napari_wsss.session import Session
from napari_wsss.widgets.listening import listen, while_alive


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


class MethodSettings(QWidget):
    """Parameters of the project's method of a kind, folded away until asked for; what is changed is written at once.

    Attributes
    ----------
    form : Container or None
        The parameters; None while folded, and while the method is being loaded: it brings torch, so that this is done
        in the torch thread.
    """

    def __init__(self, session: Session, kind: str) -> None:
        super().__init__()
        self._session, self._kind = session, kind
        self._wanted = ""
        self.form: Container[Any] | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.hide()
        listen(self, session.project_changed, self._again)

    def unfold(self, name: str) -> None:
        """Show the parameters of this method instead of what is shown."""
        self.fold()
        if not name or self._session.project is None:
            return
        self._wanted, kind = name, self._kind

        def work(job: Job[Any]) -> Any:
            return registry.load(kind, name)

        job = self._session.start(work, f"settings of {kind}", f"loading {name}", Priority.CLICK)
        self._session.when_done(job, while_alive(self, lambda _: self._show(name)))

    def fold(self) -> None:
        """Show nothing."""
        self._wanted, self.form = "", None
        while (item := self._column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.hide()

    def _again(self) -> None:
        """Another project has other values."""
        self.unfold(self._wanted)

    def _show(self, name: str) -> None:
        if name != self._wanted or self.form is not None:
            return
        given = self._session.the_project().settings.params.get(name, {})
        try:
            self.form = form(self._kind, name, given, lambda parameter, value: self._set(name, parameter, value))
        except WsssError as error:
            self._session.failed.emit(str(error))
            return
        self._column.addWidget(self.form.native if len(self.form) else QLabel("this method has no settings"))
        self.show()

    def _set(self, method: str, parameter: str, value: Any) -> None:
        params = {k: dict(v) for k, v in self._session.the_project().settings.params.items()}
        params.setdefault(method, {})[parameter] = value
        self._session.save_settings(params=params)
