"""Points, lines and polygons from GeoJSON, reprojected to the images that they lie in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.warp import transform

from napari_wsss.errors import WsssError
from napari_wsss.types import Classes, Georeference, ImportedLabels, Mark, Point
from napari_wsss.weak_labels.reading import (
    FoundImage,
    ImageFinder,
    ReadLabels,
    WrongRow,
    WrongRows,
    class_id,
    digest_of,
    read_bytes,
)
from napari_wsss.weak_labels.strokes import cropped_stroke

Pixels = NDArray[np.float64]  # (n, 2): row and column of pixel corners, as in the image's affine
_PARTS = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}


def read_vectors(path: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """GeoJSON features with a property ``class``; coordinates in the file's ``crs`` or EPSG:4326.

    A point is a click, a line a stroke one pixel wide, a polygon a stroke that fills it. A feature
    goes to every georeferenced image that it meets, or to the one that its property ``image`` names.

    Raises
    ------
    WsssError
        Naming file, feature and reason (no geometry, unknown class, in no image, not a number),
        unless ``skip_bad_rows``.
    """
    data = read_bytes(path)
    document = _document(path, data)
    crs = _crs(path, document)
    wrong = WrongRows(skip_bad_rows)
    placed = [i for i in images.all() if i.georeference is not None]
    marks: dict[str, list[Mark]] = {}
    for number, feature in enumerate(_features(path, document), 1):
        where = f"{path.name} feature {number}"
        found = wrong.attempt(where, partial(_marks, feature, crs, placed, images, classes))
        for name, of_image in (found or {}).items():
            marks.setdefault(name, []).extend(of_image)
    left_out = wrong.finish()
    by_image = {name: ImportedLabels(marks=tuple(of_image)) for name, of_image in marks.items()}
    return ReadLabels(by_image, digest_of("vectors", [("", data)]), left_out)


def _document(path: Path, data: bytes) -> dict[str, Any]:
    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no JSON number")

    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise WsssError(f"{path.name}: not GeoJSON ({error})") from error
    if not isinstance(document, dict):
        raise WsssError(f"{path.name}: not GeoJSON (no object)")
    return document


def _features(path: Path, document: dict[str, Any]) -> list[Any]:
    if document.get("type") == "Feature":
        return [document]
    features = document.get("features")
    if document.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise WsssError(f"{path.name}: not GeoJSON (neither a FeatureCollection nor a Feature)")
    return features


def _crs(path: Path, document: dict[str, Any]) -> CRS:
    member = document.get("crs")
    name = "EPSG:4326"
    if member is not None:
        properties = member.get("properties") if isinstance(member, dict) else None
        name = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    try:
        return CRS.from_user_input(name)
    except (RasterioError, ValueError) as error:
        raise WsssError(f"{path.name}: unknown coordinate system {name!r}; give an EPSG code") from error


def _marks(
    feature: Any, crs: CRS, placed: Sequence[FoundImage], images: ImageFinder, classes: Classes
) -> dict[str, list[Mark]]:
    """The feature's marks by image."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict) or not isinstance(properties.get("class"), str):
        raise WrongRow("no property 'class'")
    k = class_id(classes, properties["class"])
    if "image" in properties:
        placed = [images.find(str(properties["image"]))]
        if placed[0].georeference is None:
            raise WrongRow(f"image {placed[0].name!r} has no coordinates")
    parts = list(_parts(feature.get("geometry")))
    found: dict[str, list[Mark]] = {}
    for image in placed:
        if marks := [m for kind, rings in parts for m in _mark(kind, rings, crs, k, image)]:
            found[image.name] = marks
    if not found:
        raise WrongRow("lies in no image of the project")
    return found


def _parts(geometry: Any) -> Iterator[tuple[str, list[Pixels]]]:
    """(Point, LineString or Polygon, its rings of (x, y)) of a geometry and its members."""
    if not isinstance(geometry, dict):
        raise WrongRow("no geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        for member in geometry["geometries"]:
            yield from _parts(member)
    elif kind in _PARTS and isinstance(coordinates, list):
        for member in coordinates:
            yield _PARTS[kind], _rings(_PARTS[kind], member)
    elif kind in _PARTS.values():
        yield str(kind), _rings(str(kind), coordinates)
    else:
        raise WrongRow(f"geometry {str(kind)[:40]!r} is none of points, lines and polygons")


def _rings(kind: str, coordinates: Any) -> list[Pixels]:
    rings = {"Point": [[coordinates]], "LineString": [coordinates], "Polygon": coordinates}[kind]
    if not isinstance(rings, list) or not rings:
        raise WrongRow(f"a {kind} without coordinates")
    return [_ring(r, {"Point": 1, "LineString": 2, "Polygon": 4}[kind], kind) for r in rings]


def _ring(ring: Any, least: int, kind: str) -> Pixels:
    if not isinstance(ring, list) or len(ring) < least:
        raise WrongRow(f"a {kind} with fewer than {least} corners")
    for corner in ring:
        good = isinstance(corner, list) and len(corner) >= 2
        if not good or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in corner[:2]):
            raise WrongRow(f"corner {str(corner)[:40]!r} is not a pair of numbers")
        if not all(abs(v) < 1e15 and math.isfinite(v) for v in corner[:2]):
            raise WrongRow(f"corner {str(corner)[:40]!r} is out of range")
    return np.array([corner[:2] for corner in ring], float)


def _to_pixels(ring: Pixels, crs: CRS, place: Georeference) -> Pixels:
    """Corners (x, y) in the file's coordinates as (row, column); not finite where they cannot be reprojected."""
    try:
        xs, ys = transform(crs, CRS.from_user_input(place.crs), ring[:, 0].tolist(), ring[:, 1].tolist())
    except (RasterioError, ValueError) as error:
        raise WrongRow(f"cannot be reprojected ({error})") from error
    a, b, c, d, e, f = place.transform
    away = np.array([np.asarray(ys) - f, np.asarray(xs) - c])
    return np.linalg.solve(np.array([[e, d], [b, a]]), away).T


def _mark(kind: str, rings: list[Pixels], crs: CRS, k: int, image: FoundImage) -> list[Mark]:
    """The mark that one geometry leaves in one image; none where it lies beside it."""
    if image.georeference is None:
        raise WrongRow(f"image {image.name!r} has no coordinates")
    rings = [_to_pixels(r, crs, image.georeference) for r in rings]
    corners = np.concatenate(rings)
    height, width = image.shape
    low, high = corners.min(0), corners.max(0)
    if not np.isfinite(corners).all() or (high < 0).any() or low[0] >= height or low[1] >= width:
        return []
    if kind == "Point":
        y, x = (int(v) for v in np.floor(corners[0]))
        return [Point(y, x, k)]
    lines = [r[:, ::-1].tolist() for r in rings]
    shape = {"type": kind, "coordinates": lines if kind == "Polygon" else lines[0]}
    raster = rasterize([(shape, k)], out_shape=image.shape, transform=Affine.identity(), dtype="uint16")
    stroke = cropped_stroke(raster)
    return [] if stroke is None else [stroke]
