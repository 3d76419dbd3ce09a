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
                self.layer.data = truth.astype(self.layer.data.dtype)  # a copy: napari paints in it
            finally:
                self._writing = False

    def refresh(self, box: Box4) -> None:
        """Show what changed inside a box: cost follows the change, not the image."""
        values = self._truth(box)
        if values is None or values.shape != (box[2] - box[0], box[3] - box[1]):
            return
        rows, columns = np.nonzero(self.layer.data[box[0] : box[2], box[1] : box[3]] != values)
        if len(rows):
            self._writing = True
            try:
                fresh = values[rows, columns].astype(self.layer.data.dtype)
                self.layer.data_setitem((rows + box[0], columns + box[1]), fresh)
            finally:
                self._writing = False

    def _on_paint(self) -> None:
        if self._writing:
            return
        truth = self._truth(None)
        if truth is None or truth.shape != self.layer.data.shape:
            return
        differs = self.layer.data != truth
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        if not len(rows):
            return
        box = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        self._painted(box, differs[there], self.layer.data[there].copy())
        self.refresh(box)  # what the session did not take
