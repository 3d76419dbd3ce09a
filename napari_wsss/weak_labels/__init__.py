"""Weak labels: compiling them into one target, and reading them from files."""

from __future__ import annotations

from napari_wsss.weak_labels.compile import Scope, compile_target, scope_of
from napari_wsss.weak_labels.rasters import read_instances, read_masks, read_scribbles
from napari_wsss.weak_labels.reading import FoundImage, ImageFinder, ReadLabels
from napari_wsss.weak_labels.strokes import cropped_stroke, lay, polyline
from napari_wsss.weak_labels.tables import read_boxes, read_points, read_tags
from napari_wsss.weak_labels.vectors import read_vectors

__all__ = [
    "FoundImage",
    "ImageFinder",
    "ReadLabels",
    "Scope",
    "compile_target",
    "cropped_stroke",
    "lay",
    "polyline",
    "read_boxes",
    "read_instances",
    "read_masks",
    "read_points",
    "read_scribbles",
    "read_tags",
    "read_vectors",
    "scope_of",
]
