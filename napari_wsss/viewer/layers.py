"""The napari layers of a session: how they look, where they lie, and which is which.

A layer is known by ``metadata["wsss"]["role"]``, never by its name; it may be renamed, moved, hidden and deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap

from napari_wsss.types import BACKGROUND, Class

Role = Literal[
    "image",
    "cam",
    "confidence",
    "seeds",
    "pseudo",
    "refined",
    "contradictions",
    "accepted",
    "objects",
    "scribbles",
    "proposal",
    "chosen",
    "boxes",
    "points",
]
ORDER: tuple[Role, ...] = (
    "image", "cam", "confidence", "seeds", "pseudo", "refined", "contradictions", "accepted", "objects", "scribbles",
    "proposal", "chosen", "boxes", "points",
)  # fmt: skip
"""From the bottom up."""

TITLES: dict[Role, str] = {
    "image": "image",
    "cam": "activation map",
    "confidence": "confidence",
    "seeds": "seeds of the map",
    "pseudo": "pseudo-labels",
    "refined": "refined",
    "contradictions": "contradictions",
    "accepted": "accepted",
    "objects": "outlines",
    "scribbles": "scribbles",
    "proposal": "proposal",
    "chosen": "chosen objects",
    "boxes": "boxes",
    "points": "points",
}
_OPACITY: dict[Role, float] = {
    "pseudo": 0.45,
    "refined": 0.45,
    "accepted": 0.5,
    "scribbles": 0.9,
    "proposal": 0.6,
    "seeds": 0.7,
}
_OUTLINES: dict[Role, tuple[str, int, type[np.generic]]] = {
    "objects": ("white", 1, np.uint32),
    "chosen": ("#ffd400", 2, np.uint8),
    "contradictions": ("#ff2040", 0, np.uint8),
}
_HEAT = "magma"
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
        setattr(layer, name, value)


def colours(classes: Iterable[Class]) -> DirectLabelColormap:
    """The classes' colours, the background's fainter; magenta is a class that the project does not know."""
    table: dict[int | None, str] = {0: "transparent", None: "magenta"}
    table.update((c.id, c.colour + _FAINT if c.name == BACKGROUND else c.colour) for c in classes)
    return DirectLabelColormap(color_dict=table)


def told(classes: Iterable[Class]) -> dict[str, Any]:
    """Names and colours of the classes by id, for a layer's metadata: writers need them."""
    listed = list(classes)
    return {"classes": {c.id: c.name for c in listed}, "colours": {c.id: c.colour for c in listed}}


def make(role: Role, shape: tuple[int, int], classes: Iterable[Class], image: Layer | None) -> Layer:
    """An empty layer for a role."""
    mark = {"wsss": {"role": role, "live": True}, **told(classes)}
    common = {"name": TITLES[role], "metadata": mark, **placed_like(image)}
    if role == "points":
        size = max(2.0, max(shape) / 90)
        return Points(
            np.zeros((0, 2)), ndim=2, size=size, border_width=0.12, border_color="white", canvas_size_limits=(7, 14),
            features={"key": np.zeros(0, int)}, **common,
        )  # fmt: skip
    if role == "boxes":
        return Shapes(ndim=2, face_color="transparent", edge_width=max(1.0, max(shape) / 400), **common)
    if role in ("cam", "confidence"):
        return Image(
            np.zeros(shape, np.float32), colormap=_HEAT if role == "cam" else "viridis", contrast_limits=(0.0, 1.0),
            blending="translucent", opacity=0.6, visible=False, **common,
        )  # fmt: skip
    if role in _OUTLINES:
        colour, width, dtype = _OUTLINES[role]
        outline = DirectLabelColormap(color_dict={0: "transparent", None: colour})
        layer = Labels(np.zeros(shape, dtype), colormap=outline, opacity=0.9, **common)
        layer.contour = width
        layer.editable = role == "objects"
        return layer
    return Labels(np.zeros(shape, np.uint16), colormap=colours(classes), opacity=_OPACITY[role], **common)
