"""Accepted objects under the mouse: chosen by a click, divided by a line or by two clicks; the chosen ones outlined."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_wsss.session.draft import Patch
from napari_wsss.types import Box4

if TYPE_CHECKING:
    from napari_wsss.session import Session

Place = tuple[int, int]

_STILL = 4  # screen pixels that the mouse may move in a click
_LINE = 255  # value of the layer; the chosen objects have 1, 2, ...


class ThingMouse:
    """The mouse on the accepted layer, while the tool ``object`` or ``split`` is in hand.

    Parameters
    ----------
    tool : callable
        Name of the tool in hand.
    marks : callable
        The layer that shows what is chosen, made when it is first asked for.
    """

    def __init__(self, layer: Labels, session: Session, tool: Callable[[], str], marks: Callable[[], Any]) -> None:
        self.layer, self._session, self._tool, self._marks = layer, session, tool, marks
        self._first: Place | None = None
        layer.mouse_drag_callbacks.append(self._on_press)

    def place_of(self, world: Any) -> Place:
        """The pixel under a position of the world."""
        y, x = np.floor(np.asarray(self.layer.world_to_data(world))[-2:] + 0.5).astype(int)
        return int(y), int(x)

    def _on_press(self, layer: Labels, event: Any) -> Generator[None]:
        tool = self._tool()
        if tool not in ("object", "split") or str(layer.mode) != "pan_zoom":
            return
        start, path = np.array(event.pos), [self.place_of(event.position)]
        far, more = False, "Shift" in event.modifiers
        yield
        while event.type == "mouse_move":
            far = far or bool(np.abs(np.array(event.pos) - start).max() > _STILL)
            path.append(self.place_of(event.position))
            if tool == "split" and far:
                self._show(_drawn(path, self._shape()))
            yield
        if tool == "object" and not far:
            self._session.reshaping.choose(*path[0], more=more)
        elif tool == "split":
            self._split(path, far)

    def _split(self, path: list[Place], far: bool) -> None:
        """A line, or the first or second of two clicks."""
        first, self._first = self._first, None
        if far:
            line = _drawn(path, self._shape())
            self._hide(line.box)
            self._session.reshaping.cut(line)
        elif first is None:
            self._first = path[0]
            self._show(_drawn(path[:1] * 2, self._shape()))
            self._session.told.emit("Now click in the other part of the object.")
        else:
            self._hide((first[0], first[1], first[0] + 1, first[1] + 1))
            self._session.reshaping.split_between(first, path[0])

    def _shape(self) -> tuple[int, int]:
        return self._session.opened.shape if self._session.opened else (0, 0)

    def _show(self, line: Patch) -> None:
        marks = self._marks()
        if marks is not None and line:
            rows, columns = np.nonzero(line.pixels)
            marks.data_setitem((rows + line.y0, columns + line.x0), _LINE)

    def _hide(self, box: Box4) -> None:
        show_chosen(self._marks(), self._session, box)


def show_chosen(layer: Labels | None, session: Session, box: Box4) -> None:
    """Bring the outlines of what is chosen up to date inside a box."""
    opened = session.opened
    if layer is None or opened is None or box[0] >= box[2]:
        return
    if layer.data.shape != opened.shape:
        layer.data = np.zeros(opened.shape, np.uint8)
    values = chosen_pixels(session, box)
    rows, columns = np.nonzero(layer.data[box[0] : box[2], box[1] : box[3]] != values)
    if len(rows):
        layer.data_setitem((rows + box[0], columns + box[1]), values[rows, columns])


def chosen_pixels(session: Session, box: Box4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The chosen objects in a box, numbered from 1 (those after the 254th together)."""
    values = np.zeros((box[2] - box[0], box[3] - box[1]), np.uint8)
    for n, thing in enumerate(session.reshaping.chosen, 1):
        values[thing.patch.within(box)] = min(n, _LINE - 1)
    return values


def _drawn(path: list[Place], shape: tuple[int, int]) -> Patch:
    """The pixels of a path inside the image."""
    from skimage.draw import line

    steps = [np.transpose(line(*a, *b)) for a, b in pairwise(path)]
    pixels = np.unique(np.concatenate(steps), axis=0) if steps else np.array([path[0]])
    inside = pixels[(pixels >= 0).all(1) & (pixels < np.array(shape)).all(1)]
    if not len(inside):
        return Patch.of(np.zeros((0, 0), bool))
    low, high = inside.min(0), inside.max(0)
    mask = np.zeros(high - low + 1, bool)
    mask[tuple((inside - low).T)] = True
    return Patch(int(low[0]), int(low[1]), mask)
