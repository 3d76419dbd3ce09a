"""Which binding a viewer has."""

from __future__ import annotations

import weakref

from napari.components import ViewerModel

from napari_wsss.viewer.binding import Binding

_BOUND: weakref.WeakKeyDictionary[ViewerModel, Binding] = weakref.WeakKeyDictionary()


def binding_of(viewer: ViewerModel) -> Binding:
    """The viewer's binding, made when first asked for; a viewer has one session, whatever docks come and go."""
    plain = getattr(viewer, "__wrapped__", viewer)
    if plain not in _BOUND:
        _BOUND[plain] = Binding(plain)
    return _BOUND[plain]


def release(viewer: ViewerModel | None) -> None:
    """The viewer's window is gone."""
    if viewer is None:
        return
    bound = _BOUND.pop(getattr(viewer, "__wrapped__", viewer), None)
    if bound is not None:
        bound.close()
