"""Keys of the window: none that napari uses for the same layers, but the digits on our own.

On our own layers digits choose classes; napari's modes keep their letters there (P, S, E, F, L, Z...).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_wsss.viewer.preferences import preference

if TYPE_CHECKING:
    from napari_wsss.viewer.binding import Binding, Tool

DEFAULT_KEYS: Mapping[str, str] = {
    "accept": "W",
    "reject": "Q",
    "next": "N",
    "previous": "Shift-N",
    "accept_image": "Shift-W",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "point": "Alt-1",
    "negative": "Alt-2",
    "scribble": "Alt-3",
    "box": "Alt-4",
    "block": "Alt-5",
    "paint": "Alt-6",
    "erase": "Alt-7",
    "object": "Alt-8",
    "split": "Alt-9",
    "merge_objects": "Shift-J",
    "split_object": "Shift-K",
    "relabel_object": "Shift-C",
    "delete_object": "Shift-D",
    "region_accept": "Y",
    "region_class": "U",
    "region_skip": "H",
    "region_next": "G",
}
"""Action to key, as napari writes keys; a person changes them in napari's preferences (page of this plugin)."""


def key_of(action: str) -> str:
    """The key of an action, as the person set it."""
    return str(preference("keys", f"{action}_key", DEFAULT_KEYS[action]))


def shown(action: str) -> str:
    """The key as a button shows it."""
    return key_of(action).replace("Shift-", "⇧").replace("Control-", "Ctrl+").replace("Alt-", "Alt+")


def actions(binding: Binding) -> dict[str, Callable[[], Any]]:
    """What each action does."""
    session = binding.session
    tools: tuple[Tool, ...] = ("point", "negative", "scribble", "box", "block", "paint", "erase", "object", "split")
    shape = session.reshaping
    return {
        "accept": session.drafting.accept,
        "reject": session.drafting.reject,
        "next": lambda: session.go(1),
        "previous": lambda: session.go(-1),
        "accept_image": lambda: session.working.accept_image(),
        "undo": session.undo,
        "redo": session.redo,
        "merge_objects": lambda: shape.merge(binding.cursor()),
        "split_object": binding.split_here,
        "relabel_object": lambda: shape.relabel(session.class_id, binding.cursor()),
        "delete_object": lambda: shape.delete(binding.cursor()),
        "region_accept": partial(session.queue.answer, "accept"),
        "region_class": partial(session.queue.answer, "class"),
        "region_skip": partial(session.queue.answer, "skip"),
        "region_next": partial(session.queue.step, 1),
        **{tool: partial(binding.use, tool) for tool in tools},
    }


def bind(target: Layer | ViewerModel, binding: Binding) -> None:
    """Bind every key on a layer of ours, or on the viewer (where any layer's own keys go first)."""
    for name, what in actions(binding).items():
        target.bind_key(key_of(name), _calls(what), overwrite=True)
    for digit in range(1, 10):
        target.bind_key(str(digit), _calls(partial(binding.session.choose_class, digit)), overwrite=True)


def _calls(what: Callable[[], Any]) -> Callable[[Any], None]:
    def on_key(target: Any) -> None:
        what()

    return on_key
