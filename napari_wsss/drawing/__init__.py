"""Images that the project draws itself, with exact truth."""

from __future__ import annotations

from napari_wsss.drawing._themes import (
    FIELD,
    FOREST,
    LAND_CLASSES,
    NUCLEI_CLASSES,
    ROAD,
    ROOF,
    WATER,
    Drawing,
    land,
    nuclei,
)

__all__ = [
    "FIELD",
    "FOREST",
    "LAND_CLASSES",
    "NUCLEI_CLASSES",
    "ROAD",
    "ROOF",
    "WATER",
    "Drawing",
    "land",
    "nuclei",
]
