"""What the stages made of the open image, as layers: maps, their seeds, pseudo-labels, refined mask."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_wsss.viewer.layers import Role
from napari_wsss.viewer.painting import Painting
from napari_wsss.viewer.sight import single_shot

if TYPE_CHECKING:
    from napari_wsss.viewer.binding import Binding

PREVIEWS: tuple[Role, ...] = ("cam", "confidence", "seeds", "pseudo", "refined", "contradictions")
_DRAG = 100  # ms after which a layer that is being painted in is asked for again


class Previews:
    """The preview layers of a binding; made when there is something to show in them."""

    def __init__(self, binding: Binding) -> None:
        self._binding, self._session = binding, binding.session
        self.timer = single_shot(_DRAG, self.show)
        self._session.results_changed.connect(self.show)
        self._session.results_changed.connect(self._session.mapping.refresh)
        self._session.seeds_changed.connect(self._show_seeds)
        self._session.marks_changed.connect(self._doubt)
        self._session.project_changed.connect(self._session.mapping.refresh)

    def show(self) -> None:
        """Fill the layers of what the stages made; waits while the mouse is pressed, perhaps painting in one."""
        opened = self._session.opened
        if opened is None:
            return
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self.timer.start()
            return
        for role in PREVIEWS:
            self._bring(role)
        self.show_maps()

    def _doubt(self) -> None:
        """Something else was said: it may contradict; asked only while that is shown."""
        layer = self._binding.shown_layer("contradictions")
        if layer is not None and layer.visible:
            self._session.mapping.refresh()

    def _show_seeds(self) -> None:
        for role in ("seeds", "contradictions"):
            self._bring(role)

    def _is_there(self, role: Role) -> bool:
        """The open image has something to show in this layer."""
        opened = self._session.opened
        if opened is None:
            return False
        made: dict[Role, object] = {
            "cam": opened.cam, "confidence": opened.pseudo, "seeds": opened.map_seeds, "pseudo": opened.pseudo,
            "refined": opened.refined, "contradictions": opened.contradictions,
        }  # fmt: skip
        return made[role] is not None

    def _bring(self, role: Role) -> None:
        """Fill a layer; one that is not there is made in a turn of its own, for that takes longer."""
        if self._binding.shown_layer(role) is not None:
            self._fill(role)
        elif self._is_there(role):
            add = self._binding.turns.add if self._is_shown_at_first(role) else self._binding.turns.add_unseen
            add(role, partial(self._make, role))

    def _is_shown_at_first(self, role: Role) -> bool:
        opened = self._session.opened
        return role == "refined" or (role == "pseudo" and opened is not None and opened.refined is None)

    def _make(self, role: Role) -> None:
        """It is drawn in the next turn: napari's part of making it and the first drawing take 0.1 s each."""
        opened, known = self._session.opened, self._binding.shown_layer(role) is not None
        layer = self._binding.layer(role, hidden=True) if known or self._is_there(role) else None
        if opened is None or layer is None:
            return
        if not known and self._is_shown_at_first(role):
            self._binding.turns.add(f"show {role}", partial(setattr, layer, "visible", True), first=True)
        if known or not isinstance(self._binding.view_of(role), Painting):  # a new layer to paint in is filled
            self._fill(role)
        self.show_maps()

    def _fill(self, role: Role) -> None:
        opened, layer = self._session.opened, self._binding.shown_layer(role)
        if opened is None:
            return
        if role == "contradictions" and layer is not None:
            found = opened.contradictions
            layer.data = np.zeros(opened.shape, np.uint8) if found is None else found.astype(np.uint8)
        elif isinstance(layer, Labels):
            view = self._binding.view_of(role)
            if self._is_there(role) and isinstance(view, Painting):
                view.reload()
            else:
                layer.data = np.zeros(opened.shape, layer.data.dtype)

    def show_maps(self) -> None:
        """The activation map of the chosen class, and how sure the pseudo-labels are."""
        opened, chosen = self._session.opened, self._session.class_id
        if opened is None:
            return
        empty = np.zeros(opened.shape, np.float32)
        cam, sure = self._binding.shown_layer("cam"), self._binding.shown_layer("confidence")
        if isinstance(cam, Image):
            found = opened.cam
            there = found is not None and chosen in found.classes
            cam.data = found.scores[found.classes.index(chosen)] if there and found else empty
        if isinstance(sure, Image):
            sure.data = empty if opened.pseudo is None else opened.pseudo.confidence.astype(np.float32)
