"""GeoJSON: a polygon for every object, in longitude and latitude (RFC 7946) where the image knows its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_wsss.exporters._georeference import LONGITUDE_LATITUDE, area_of, placed, square_metres
from napari_wsss.exporters._manifest import Export, Opened, kept_classes
from napari_wsss.exporters._polygons import Part, Ring, parts_of, turned
from napari_wsss.objects import Object, objects
from napari_wsss.types import Classes, Dataset, DatasetItem, Georeference, Progress

_DIGITS = 9  # of a degree: a tenth of a millimetre


class Geojson:
    """``STEM.geojson`` an image, a FeatureCollection with one Polygon or MultiPolygon an object.

    A georeferenced image's outlines are reprojected to EPSG:4326, outlines counter-clockwise and holes clockwise. An
    image without georeference keeps pixel coordinates (x = column, y = row, downwards); its file and
    the manifest say so. Properties: ``class``, ``class_id``, ``colour``, ``instance`` (null for a
    connected region), ``area_px``, and ``area_m2`` or ``area_um2`` where the scale is known.

    Parameters
    ----------
    background : bool
        Also the class ``background``.
    """

    @dataclass(frozen=True)
    class Params:
        """See the class."""

        background: bool = False

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        kept = kept_classes(dataset.classes, self.params.background)
        ids = {0: None, **{c.id: c.id if c.id in kept else None for c in dataset.classes}}
        export = Export(dataset, folder, "geojson", progress, ids, asdict(self.params))
        for opened in export:
            on_earth = opened.item.georeference is not None and bool(opened.item.georeference.crs)
            whole: dict[str, Any] = {"type": "FeatureCollection", "image": opened.item.name}
            if not on_earth:
                export.note("no georeference: coordinates are pixels (column, row)")
                whole["coordinates"] = "pixels (column, row)"
            whole["features"] = list(_features(opened, kept, dataset.classes))
            text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
            export.file(f"{opened.item.file_stem}.geojson").write_text(text + "\n", encoding="utf-8")
        export.finish()


def _features(opened: Opened, kept: tuple[int, ...], classes: Classes) -> Iterator[dict[str, Any]]:
    where = opened.item.georeference if opened.item.georeference and opened.item.georeference.crs else None
    for thing in objects(opened.mask.labels, opened.mask.instances, kept):
        parts = parts_of(thing)
        polygons = [_polygon(part, where) for part in parts]
        yield {
            "type": "Feature",
            "properties": {
                "class": classes[thing.class_id].name,
                "class_id": thing.class_id,
                "colour": classes[thing.class_id].colour,
                "instance": thing.instance or None,
                "area_px": thing.area,
                **_area(thing, parts, opened.item),
            },
            "geometry": (
                {"type": "Polygon", "coordinates": polygons[0]}
                if len(polygons) == 1
                else {"type": "MultiPolygon", "coordinates": polygons}
            ),
        }


def _polygon(part: Part, where: Georeference | None) -> list[list[list[float]]]:
    rings: list[list[list[float]]] = []
    for ring in part:
        on_earth = ring if where is None else placed(ring, where, LONGITUDE_LATITUDE)
        rings.append(_closed(turned(on_earth, counter_clockwise=not rings)))
    return rings


def _closed(ring: Ring) -> list[list[float]]:
    points = [[round(float(x), _DIGITS), round(float(y), _DIGITS)] for x, y in ring]
    return [*points, points[0]]


def _area(thing: Object, parts: list[Part], item: DatasetItem) -> dict[str, float]:
    if item.georeference is not None and item.georeference.crs:
        return {"area_m2": round(square_metres(parts, item.georeference), 4)}
    if item.pixel_size is not None:
        name, value = area_of(thing.area, item.pixel_size)
        return {name: round(value, 6)}
    return {}


METHOD = Geojson
