"""The napari layers of a session: how they look, where they lie, and which is which.

A layer is known by ``metadata["wsss"]["role"]``, never by its name; it may be renamed, moved, hidden and deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_wsss.types import BACKGROUND, Class

Role = Literal[
    "image", "cam", "confidence", "uncertainty", "worth", "seeds", "pseudo", "predicted", "refined", "contradictions",
    "accepted", "objects", "scribbles", "proposal", "chosen", "regions", "boxes", "preview", "points",
]  # fmt: skip
ORDER: tuple[Role, ...] = get_args(Role)
"""From the bottom up."""

TITLES: dict[Role, str] = {
    "image": "image",
    "cam": "activation map",
    "confidence": "confidence",
    "seeds": "seeds of the map",
    "uncertainty": "uncertainty",
    "worth": "worth asking (RIPU)",
    "pseudo": "pseudo-labels",
    "predicted": "predicted",
    "refined": "refined",
    "contradictions": "contradictions",
    "accepted": "accepted",
    "objects": "outlines",
    "scribbles": "scribbles",
    "proposal": "proposal",
    "chosen": "chosen objects",
    "regions": "asked regions",
    "boxes": "boxes",
    "preview": "under the mouse",
    "points": "points",
}
_OPACITY: dict[Role, float] = {
    "pseudo": 0.45, "predicted": 0.45, "refined": 0.45, "accepted": 0.5, "scribbles": 0.9, "proposal": 0.6,
    "seeds": 0.7,
}  # fmt: skip
_OUTLINES: dict[Role, tuple[str, int]] = {
    "objects": ("white", 0),
    "chosen": ("#ffd400", 2),
    "contradictions": ("#ff2040", 0),
}
_MAPS: dict[Role, str] = {"cam": "magma", "confidence": "viridis", "uncertainty": "inferno", "worth": "inferno"}
_SHAPES: dict[Role, tuple[float, float]] = {"preview": (1.0, 0), "boxes": (1.0, 1 / 400), "regions": (0.3, 1 / 1200)}
"""Lines in pixels: at least so wide, and so much of the longer side."""
_FAINT = "59"  # alpha


def role_of(layer: Layer) -> Role | None:
    """Which of our layers this is; None for anybody else's."""
    mark = layer.metadata.get("wsss")
    role = mark.get("role") if isinstance(mark, dict) and mark.get("live") else None
    return role if role in ORDER else None


def placed_like(image: Layer | None) -> dict[str, Any]:
    """Scale, translation, rotation, shear, affine, units and axis names of an image's last two axes."""
    if image is None:
        return {}
    return {
        "scale": image.scale[-2:],
        "translate": image.translate[-2:],
        "rotate": image.rotate[-2:, -2:],
        "shear": image.shear[-1:],
        "affine": image.affine.set_slice([image.ndim - 2, image.ndim - 1]),
        "units": image.units[-2:],
        "axis_labels": image.axis_labels[-2:],
    }


def place_like(layer: Layer, image: Layer) -> None:
    """Lay an existing layer where the image lies."""
    for name, value in placed_like(image).items():
        if not _same(getattr(layer, name), value):  # each makes napari slice the layer anew
            setattr(layer, name, value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Affine):
        return a.affine_matrix.shape == b.affine_matrix.shape and np.allclose(a.affine_matrix, b.affine_matrix)
    if isinstance(a, tuple):
        return a == tuple(b)
    return np.shape(a) == np.shape(b) and np.array_equal(a, b)


def place_cells_like(layer: Layer, image: Layer, stride: int) -> None:
    """Lay a map with cells of so many pixels where the image lies."""
    place_like(layer, image)
    if stride > 1:
        zeros, half = (0.0,) * (image.ndim - 2), (stride - 1) / 2
        first, middle = (np.array(image.data_to_world((*zeros, at, at)))[-2:] for at in (0.0, half))
        linear = np.array(layer.affine.linear_matrix)[-2:, -2:]
        layer.translate = np.array(layer.translate) + np.linalg.solve(linear, middle - first)
        layer.scale = np.array(layer.scale) * stride


def colours(classes: Iterable[Class]) -> DirectLabelColormap:
    """The classes' colours, the background's fainter; magenta is a class that the project does not know."""
    table: dict[int | None, str] = {0: "transparent", None: "magenta"}
    table.update((c.id, c.colour + _FAINT if c.name == BACKGROUND else c.colour) for c in classes)
    return DirectLabelColormap(color_dict=table)


def told(classes: Iterable[Class]) -> dict[str, Any]:
    """Names and colours of the classes by id, for a layer's metadata: writers need them."""
    listed = list(classes)
    return {"classes": {c.id: c.name for c in listed}, "colours": {c.id: c.colour for c in listed}}


def fitting(classes: Iterable[Class]) -> type[np.unsignedinteger[Any]]:
    """What a layer of classes holds; napari asks for the colour of each number there may be, 65,536 take it 40 ms."""
    return np.uint8 if max((c.id for c in classes), default=0) < np.iinfo(np.uint8).max else np.uint16


def recolour(layer: Labels, classes: Iterable[Class]) -> None:
    """Show other classes; where there are more of them than the layer's numbers, it gets larger ones."""
    listed = list(classes)
    if fitting(listed) is np.uint16 and layer.data.dtype == np.uint8:
        layer.data = layer.data.astype(np.uint16)
    layer.colormap = colours(listed)


def _filled(shape: tuple[int, int], kind: type[np.generic], truth: NDArray[Any] | None) -> NDArray[Any]:
    """A copy to paint in, or zeros (which take no memory until somebody paints)."""
    return np.zeros(shape, kind) if truth is None or not truth.any() else truth.astype(kind)


def make(
    role: Role,
    shape: tuple[int, int],
    classes: Iterable[Class],
    image: Layer | None,
    truth: NDArray[Any] | None = None,
) -> Layer:
    """A layer for a role; ``truth`` (h, w) is what a Labels layer shows."""
    listed = list(classes)
    common = {
        "name": TITLES[role],
        "metadata": {"wsss": {"role": role, "live": True}, **told(listed)},
        **placed_like(image),
    }
    if role == "points":
        size = max(2.0, max(shape) / 90)
        return Points(
            np.zeros((0, 2)), ndim=2, size=size, border_width=0.12, border_color="white", canvas_size_limits=(7, 14),
            features={"key": np.zeros(0, int)}, **common,
        )  # fmt: skip
    if role in _SHAPES:
        least, share = _SHAPES[role]
        boxes = Shapes(ndim=2, face_color="transparent", edge_width=max(least, max(shape) * share), **common)
        boxes.editable = role == "boxes"
        boxes.opacity = 1.0 if role == "regions" else boxes.opacity
        return boxes
    if role in _MAPS:
        return Image(
            np.zeros(shape, np.float32), colormap=_MAPS[role], contrast_limits=(0.0, 1.0),
            blending="translucent", opacity=0.6, visible=False, **common,
        )  # fmt: skip
    if role in _OUTLINES:
        colour, width = _OUTLINES[role]
        outline = DirectLabelColormap(color_dict={0: "transparent", None: colour})
        layer = Labels(_filled(shape, np.uint8, truth), colormap=outline, opacity=0.9, **common)
        layer.contour = width
        layer.editable = role == "objects"
        return layer
    return Labels(_filled(shape, fitting(listed), truth), colormap=colours(listed), opacity=_OPACITY[role], **common)
