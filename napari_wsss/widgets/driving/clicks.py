"""From a click to its mask on the canvas, and from Ctrl+Z to its being gone, beside napari's own undo."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_wsss.viewer.bound import binding_of
from napari_wsss.widgets.driving.hand import CONTROL, RIGHT, Hand

Seconds = dict[str, list[float]]


def click_all(hand: Hand, places: list[tuple[int, int]]) -> Seconds:
    """Click each object once without counting, so that all features are there; then each a pixel farther, counted.

    ``first`` is a click on a new object, ``further`` a click beside it, ``undo`` the Ctrl+Z of such a mask, and
    ``napari_undo`` napari's own undo of the same pixels painted into a layer of the same size.
    """
    found: Seconds = {"first": [], "further": [], "undo": []}
    for y, x in places:
        hand.shown(hand.click(y, x))
        _reject(hand)
    for y, x in places:
        found["first"].append(hand.shown(hand.click(y + 1, x + 1)))
        hand.pause(0.1)
        found["undo"].append(hand.shown(hand.key(Qt.Key.Key_Z, CONTROL)))
        hand.key(Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
        hand.rest()
        found["further"].append(hand.shown(hand.click(y + 21, x + 21, RIGHT)))
        _reject(hand)
    return {**found, "napari_undo": undo_of_napari(hand, places)}


def _reject(hand: Hand) -> None:
    hand.pause(0.1)
    hand.key(Qt.Key.Key_Q)
    hand.rest()


def undo_of_napari(hand: Hand, places: list[tuple[int, int]]) -> list[float]:
    """Seconds of ``Labels.undo`` until the canvas is drawn, for the masks of the same clicks."""
    proposal = binding_of(hand.viewer).layer("proposal")
    masks: list[tuple[NDArray[Any], ...]] = []
    for y, x in places:
        hand.shown(hand.click(y + 1, x + 1))
        masks.append(np.nonzero(proposal.data))  # type: ignore[union-attr]
        _reject(hand)
    layer = Labels(np.zeros_like(proposal.data))  # type: ignore[union-attr]
    hand.viewer.add_layer(layer)
    seconds = []
    for mask in masks:
        layer.data_setitem(mask, 1)
        hand.pause(0.1)
        start = time.perf_counter()
        layer.undo()
        seconds.append(hand.redrawn(time.perf_counter()) - start)
    hand.viewer.layers.remove(layer)
    return seconds
