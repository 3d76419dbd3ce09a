"""One viewer and its session: layers are made from what the session says, and what a person does in them goes back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

from napari.components import ViewerModel
from napari.layers import Labels, Layer, Points, Shapes
from psygnal import Signal
from qtpy.compat import isalive

from napari_wsss.compute import torch_thread
from napari_wsss.compute.collecting import collect_all
from napari_wsss.session import Session
from napari_wsss.types import Box4
from napari_wsss.types import Labels as ClassIds
from napari_wsss.viewer import layers
from napari_wsss.viewer.adopting import Adopted, Adoption, natural
from napari_wsss.viewer.boxes import BoxLayer
from napari_wsss.viewer.hover import Hover
from napari_wsss.viewer.keys import bind
from napari_wsss.viewer.layers import ORDER, Role
from napari_wsss.viewer.main_thread import MainThread
from napari_wsss.viewer.painting import Painting
from napari_wsss.viewer.picture import PictureLayer
from napari_wsss.viewer.points import ClickLayer
from napari_wsss.viewer.predicted import ROLES as PREDICTED
from napari_wsss.viewer.predicted import PredictedLayers
from napari_wsss.viewer.preferences import preference
from napari_wsss.viewer.previews import PREVIEWS, Previews
from napari_wsss.viewer.regions import RegionBoxes
from napari_wsss.viewer.sight import Sight, single_shot
from napari_wsss.viewer.things import ThingMouse, show_chosen
from napari_wsss.viewer.turns import Turns

Tool = Literal["point", "negative", "scribble", "box", "block", "paint", "erase", "object", "split"]
_ALWAYS: tuple[Role, ...] = ("accepted", "objects", "proposal", "points")
_LAYER_OF: dict[Tool, Role] = {
    "point": "points",
    "negative": "points",
    "scribble": "scribbles",
    "box": "boxes",
    "block": "boxes",
    "paint": "proposal",
    "erase": "proposal",
    "object": "accepted",
    "split": "accepted",
}


class Binding:
    """Layers of a viewer, bound to a session.

    Attributes
    ----------
    viewer : ViewerModel
        Unwrapped.
    session : Session
    tool : str
        The prompt tool chosen last.
    turns : Turns
        Layers that are made one after the other.
    """

    tool_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._deliver = MainThread()
        self.session = Session(torch_thread(), self._deliver, **_preferences())
        self.tool: Tool = "point"
        self._layers: dict[Role, Layer] = {}
        self._views: dict[Role, Any] = {}
        self._mouse: ThingMouse | None = None
        self._plane = ""  # of the stack: the one that the slider shows
        self.picture, self.adoption = PictureLayer(viewer), Adoption(viewer, self.session)
        self._later, self.turns = single_shot(0, self.sync_marks), Turns()
        viewer.cursor.events.position.connect(self.turns.stir)
        self.session.when_drawn = partial(self.turns.add, "look ahead")  # loading torch would slow the first drawing
        self.sight = Sight(viewer, self.session, lambda: self._layers.get("points"))
        self.hover = Hover(self)
        self.previews = Previews(self)
        self._listen()
        self.predicted, self.regions = PredictedLayers(self), RegionBoxes(self)
        bind(viewer, self)

    def _listen(self) -> None:
        s = self.session
        s.image_opened.connect(self._on_image)
        s.marks_changed.connect(self._sync_soon)
        s.draft_changed.connect(self._sync_soon)
        s.class_changed.connect(self._on_class)
        s.proposal_changed.connect(lambda box: self._refresh(box, "proposal"))
        s.accepted_changed.connect(lambda box: self._refresh(box, "accepted", "objects", "proposal"))
        s.scribbles_changed.connect(self._on_scribbles)
        s.chosen_changed.connect(self._on_chosen)
        s.project_changed.connect(self.recolour)
        s.classes_changed.connect(self.recolour)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self._on_step)

    def close(self) -> None:
        """The window closes: all work is stopped; what a person made is on disk."""
        for timer in (self._later, self.sight.timer, self.hover.timer, self.previews.timer):
            if isalive(timer):  # type: ignore[no-untyped-call]  # Qt may have gone first
                timer.stop()
        self.turns.stop()
        self.session.close()
        collect_all()

    # ------------------------------------------------------------------ images

    @property
    def image(self) -> Layer | None:
        """The layer that shows the open image: somebody's that was adopted, or ours."""
        adopted = self.adoption.of(self.session.opened.name) if self.session.opened else None
        return adopted.layer if adopted else self.picture.layer

    def _on_image(self) -> None:
        opened = self.session.opened
        if opened is None:
            return
        adopted = self.adoption.of(opened.name)
        if adopted is None:
            alike = [r.name for r in self.session.records() if r.sha256 == opened.record.sha256]
            self.picture.show(opened, tuple(sorted(alike, key=natural)))
            self._plane = opened.name
        else:
            self.picture.hide()
            self._slide_to(adopted, opened.name)
        self.adoption.show(adopted)
        image = self.image
        for role, layer in self._layers.items():
            if image is not None:
                layers.place_like(layer, image)
            view = self._views.get(role)
            if isinstance(view, Painting) and role not in (*PREVIEWS, *PREDICTED):  # these are filled by their own
                view.reload()
        for role in _ALWAYS:
            self.layer(role)
        self._layers["accepted"].metadata["numbers"] = opened.instances  # for the writers
        self._on_chosen((0, 0, *opened.shape))
        if opened.scribbles.any():
            self.layer("scribbles")
        self.previews.show()
        self.session.mapping.refresh()
        self.sync_marks()
        self.sight.restore()
        active = self.viewer.layers.selection.active
        if active is None or active is self.image:  # nothing of ours in hand yet
            self.use(self.tool)

    def recolour(self) -> None:
        """The classes changed their names, colours or number. Layers stay: they are filled again."""
        told = layers.told(self.session.classes)
        for role, layer in self._layers.items():
            if all(layer.metadata[name] == value for name, value in told.items()):
                continue  # each colormap makes napari slice the layer anew
            layer.metadata = {**layer.metadata, **told}
            if isinstance(layer, Labels) and role not in ("objects", "chosen", "contradictions"):
                layers.recolour(layer, self.session.classes)
        self.sync_marks()

    def _on_step(self) -> None:
        """A slider moved: another plane of the stack is labelled."""
        if self.session.opened is None:
            return
        step = self.viewer.dims.current_step
        adopted = self.adoption.of(self.session.name)
        name = self.picture.at(step) if adopted is None else adopted.at(step)
        moved, self._plane = name != self._plane, name  # napari tells of steps that did not change, too
        if name and moved and name != self.session.name:
            self.session.open(name)

    def _slide_to(self, adopted: Adopted, name: str) -> None:
        """An image of a stack was opened from the dock: its plane comes into sight."""
        self._plane = name
        if adopted.at(self.viewer.dims.current_step) != name:
            first, steps = self.viewer.dims.ndim - 2 - len(adopted.leading), adopted.step_of(name)
            self.viewer.dims.set_current_step(range(first, first + len(steps)), steps)

    # ------------------------------------------------------------------ layers

    def layer(self, role: Role, hidden: bool = False) -> Layer | None:
        """Our layer of a role, made if it is not there (and then hidden, if asked); None while no image is open."""
        opened = self.session.opened
        if opened is None:
            return None
        if role not in self._layers:
            made = layers.make(role, opened.shape, self.session.classes, self.image, self._truth(role, None))
            made.visible = made.visible and not hidden
            self._layers[role] = made
            self._views[role] = view = self._view(role, made)
            if isinstance(view, ClickLayer | BoxLayer):
                view.sync()
            active = self.viewer.layers.selection.active
            self.viewer.layers.insert(self._place_of(role), made)
            self.viewer.layers.selection.active = active or made
            bind(made, self)
            if role == "accepted":
                made.metadata["numbers"] = opened.instances  # for the writers
                self._mouse = ThingMouse(cast("Labels", made), self.session, lambda: self.tool, self._chosen_layer)
        return self._layers[role]

    def shown_layer(self, role: Role) -> Layer | None:
        """Our layer of a role, if it is there."""
        return self._layers.get(role)

    def view_of(self, role: Role) -> Any:
        """What ties our layer of a role to the session; None if it is not there, or only drawn."""
        return self._views.get(role)

    def click_layer(self) -> ClickLayer | None:
        """The points layer's view."""
        self.layer("points")
        return cast("ClickLayer | None", self._views.get("points"))

    def box_layer(self) -> BoxLayer | None:
        """The boxes layer's view."""
        self.layer("boxes")
        return cast("BoxLayer | None", self._views.get("boxes"))

    def cursor(self) -> tuple[int, int] | None:
        """The pixel of the open image under the mouse; None while no image is open."""
        self.layer("accepted")
        return self._mouse.place_of(self.viewer.cursor.position) if self._mouse else None

    def split_here(self) -> None:
        """Divide the object under the mouse by its points; where it has fewer than two, by the tool."""
        at = self.cursor()
        if at is not None and not self.session.reshaping.split_by_points(at):
            self.use("split")

    def look_at(self, y: int, x: int) -> None:
        """Move the camera over a pixel of the open image."""
        layer, camera = self.layer("accepted"), self.viewer.scene.camera
        if layer is not None:
            camera.center = (*camera.center[:-2], *layer.data_to_world((y, x))[-2:])

    def _chosen_layer(self) -> Layer | None:
        return self.layer("chosen")

    def _on_chosen(self, box: Box4) -> None:
        if self.session.reshaping.chosen or "chosen" in self._layers:
            show_chosen(self._chosen_layer(), self.session, box)

    def _place_of(self, role: Role) -> int:
        """Above our layers that lie lower, else on top."""
        lower = set(ORDER[: ORDER.index(role)])
        above = [i for i, x in enumerate(self.viewer.layers) if layers.role_of(x) in lower or x is self.image]
        return max(above) + 1 if above else len(self.viewer.layers)

    def _view(self, role: Role, layer: Layer) -> Any:
        session = self.session
        if isinstance(layer, Points):
            return ClickLayer(layer, session, self._sync_soon)
        if role == "boxes":
            return BoxLayer(cast("Shapes", layer), session, self._sync_soon)
        if not isinstance(layer, Labels) or role in ("chosen", "contradictions"):
            return None
        said: dict[str, Callable[..., None]] = {
            "proposal": lambda box, changed, values: session.drafting.paint(box, changed, values > 0),
            "scribbles": session.labelling.scribble,
            "accepted": lambda box, changed, values: session.labelling.edit_accepted(box, values),
            "seeds": partial(session.labelling.correct, "seeds"),
            "pseudo": partial(session.labelling.correct, "pseudo"),
            "refined": partial(session.labelling.correct, "refined"),
            "objects": lambda box, changed, values: session.told.emit("Outlines are drawn by themselves."),
            "predicted": lambda box, changed, values: session.told.emit("Take the prediction over, then correct it."),
        }
        layer.selected_label = session.class_id
        return Painting(layer, lambda box: self._truth(role, box), said[role])

    def _truth(self, role: Role, box: Box4 | None) -> ClassIds | None:
        opened = self.session.opened
        if opened is None:
            return None
        if role in ("seeds", "pseudo", "refined"):
            return opened.preview(role, box)
        whole: Any = {
            "predicted": opened.predicted.labels if opened.predicted else None,
            "proposal": self.session.proposal,
            "scribbles": opened.scribbles,
            "accepted": opened.accepted,
            "objects": opened.outlines,
        }.get(role)
        return cast("ClassIds", whole if box is None or whole is None else whole[box[0] : box[2], box[1] : box[3]])

    def _refresh(self, box: Box4, *roles: Role) -> None:
        opened = self.session.opened
        for view in map(self._views.get, roles):
            if opened and isinstance(view, Painting):
                view.refresh(opened.beyond(box))  # outlines change beside it, too

    def _on_scribbles(self, box: Box4) -> None:
        self.layer("scribbles")
        self._refresh(box, "scribbles", "seeds", "pseudo", "refined")

    def _on_removed(self, event: Any) -> None:
        """Somebody deleted a layer: ours is made again when it is needed."""
        role = layers.role_of(event.value)
        if role is not None and self._layers.get(role) is event.value:
            del self._layers[role]
            self._views.pop(role, None)
        self.picture.forget(event.value)

    # ------------------------------------------------------------------ marks, results, tools

    def _sync_soon(self) -> None:
        self._later.start()

    def sync_marks(self) -> None:
        """Bring points and boxes up to date."""
        opened = self.session.opened
        if opened is None:
            return
        points, boxes = self._views.get("points"), self._views.get("boxes")
        if points is not None:
            points.sync()
        if boxes is None and any(type(m).__name__ == "Box" for m in opened.marks.values()):
            boxes = self.box_layer()
        if boxes is not None:
            boxes.sync()

    def _on_class(self) -> None:
        for layer in self._layers.values():
            if isinstance(layer, Labels) and layer.selected_label:
                layer.selected_label = self.session.class_id
        self.sync_marks()
        self.previews.show_maps()

    def use(self, tool: Tool) -> None:
        """Make a tool the one that the mouse holds."""
        if self.session.opened is None:
            self.session.told.emit("Open an image first.")
            return
        self.tool = tool
        role = _LAYER_OF[tool]
        layer = self.layer(role)
        if layer is None:
            return
        layer.visible = True
        self.viewer.layers.selection = {layer}
        self.viewer.layers.selection.active = layer
        if isinstance(layer, Points):
            self._views["points"].positive = tool == "point"
            layer.mode = "add"
        elif isinstance(layer, Shapes):
            self._views["boxes"].fill = tool == "block"
            layer.mode = "add_rectangle"
        elif role == "accepted":
            layer.mode = "pan_zoom"
            layer.mouse_pan = tool != "split"
        elif isinstance(layer, Labels):
            layer.selected_label = self.session.class_id
            layer.mode = "erase" if tool == "erase" else "paint"
            layer.brush_size = max(3, round(max(layer.data.shape) / 60)) if layer.brush_size == 10 else layer.brush_size
        self.sync_marks()
        self.tool_changed.emit()


def _preferences() -> dict[str, Any]:
    """What the person set in napari's preferences."""
    return {"device": str(preference("compute", "device", "auto"))}
