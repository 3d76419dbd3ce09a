"""Sample data for File > Open Sample: images that the product draws itself, so no network is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Six drawn fields of fluorescent nuclei as a stack, uint16 (6, h, w)."""
    from napari_wsss.drawing import nuclei as draw

    return [(np.stack([draw(seed).pixels for seed in range(6)]), {"name": "nuclei (drawn)"}, "image")]


def land_cover() -> list[LayerData]:
    """One drawn aerial picture, uint8 (h, w, 3)."""
    from napari_wsss.drawing import land

    return [(land(0).pixels, {"name": "land cover (drawn)", "rgb": True}, "image")]
