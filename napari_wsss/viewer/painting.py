"""Labels layers that a person paints in: what was painted goes to the session, what changed comes from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_wsss.types import Bool, Box4

Painted = Callable[[Box4, Bool, NDArray[Any]], None]
"""Told of a box, which of its pixels were painted, and the box's values."""

Truth = Callable[[Box4 | None], NDArray[Any] | None]


class Painting:
    """One Labels layer beside the session's array of the same meaning.

    napari's ``paint`` event comes once a stroke; the stroke is what then differs between the two arrays.
    Undo is the session's, so napari's own history of the layer is never asked.

    Parameters
    ----------
    truth : callable
        The session's array now, within a box or (None) whole; None where there is none.
    painted : callable
        See :data:`Painted`.
    """

    def __init__(self, layer: Labels, truth: Truth, painted: Painted) -> None:
        self.layer, self._truth, self._painted = layer, truth, painted
        self._writing = False
        layer.events.paint.connect(self._on_paint)

    def reload(self) -> None:
        """Show the session's array of another image."""
        truth = self._truth(None)
        if truth is not None:
            self._writing = True
            try:
                if truth.shape == self.layer.data.shape and not truth.any() and not self.layer.data.any():
                    return  # as it is: a large image costs napari much
                self.layer.data = truth.astype(self.layer.data.dtype)  # a copy: napari paints in it
            finally:
                self._writing = False

    def refresh(self, box: Box4) -> None:
        """Show what changed inside a box: cost follows the change, not the image."""
        values = self._truth(box)
        if values is None or values.shape != (box[2] - box[0], box[3] - box[1]):
            return
        shown = self.layer.data[box[0] : box[2], box[1] : box[3]]
        rows, columns = np.nonzero(shown != values)
        if not self.layer.visible:
            shown[:] = values  # napari has no picture of a hidden layer to change, and takes a new one when it is shown
        elif len(rows):
            self._writing = True
            try:
                fresh = values[rows, columns].astype(self.layer.data.dtype)
                self.layer.data_setitem((rows + box[0], columns + box[1]), fresh)
            finally:
                self._writing = False

    def _on_paint(self, event: Any) -> None:
        if self._writing:
            return
        around = _touched(event.value) or (0, 0, *self.layer.data.shape)
        y, x = around[:2]
        truth, shown = self._truth(around), self.layer.data[y : around[2], x : around[3]]
        if truth is None or truth.shape != shown.shape:
            return
        differs = shown != truth
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        if not len(rows):
            return
        there = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        box = int(rows[0]) + y, int(columns[0]) + x, int(rows[-1]) + 1 + y, int(columns[-1]) + 1 + x
        self._painted(box, differs[there], shown[there].copy())
        self.refresh(box)  # what the session did not take


def _touched(atoms: Any) -> Box4 | None:
    """The box around a stroke, as napari's event tells it; None where it tells in a way that we do not know.

    napari 0.9 tells either slices or a tuple of indices. Looking at the whole image would give the same, slowly.
    """
    corners = []
    for atom in atoms if isinstance(atoms, list) else [None]:
        key: Any = getattr(atom, "slice_key", None) or (atom[0] if isinstance(atom, tuple) and atom else ())
        if len(key) == 2 and all(isinstance(k, slice) and k.stop is not None and k.step in (None, 1) for k in key):
            corners.append([key[0].start or 0, key[1].start or 0, key[0].stop, key[1].stop])
        elif len(key) == 2 and all(isinstance(k, np.ndarray) and k.dtype.kind == "i" and k.size for k in key):
            corners.append([key[0].min(), key[1].min(), key[0].max() + 1, key[1].max() + 1])
        else:
            return None
    if not corners:
        return None
    found = np.array(corners)
    low, high = found[:, :2].min(0), found[:, 2:].max(0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
