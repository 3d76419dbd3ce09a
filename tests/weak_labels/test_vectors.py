"""GeoJSON to marks: reprojection, rasterising, and every wrong feature named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from napari_wsss.errors import WsssError
from napari_wsss.types import Point
from napari_wsss.weak_labels import read_vectors

MERCATOR = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}


def feature(kind, coordinates, name="nucleus", **more):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": {"class": name, **more}, "geometry": geometry}


def written(folder, *features, crs=MERCATOR):
    path = folder / "marks.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **({"crs": crs} if crs else {})}))
    return path


def at(row, column):
    """Coordinates (EPSG:3857) of the middle of a pixel of image b.tif."""
    return [1000 + 2 * (column + 0.5), 5000 - 2 * (row + 0.5)]


@pytest.mark.parametrize("crs", [MERCATOR, None, {"type": "name", "properties": {"name": "EPSG:32631"}}])
@given(row=st.integers(0, 19), column=st.integers(0, 29))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_a_point_lands_on_its_pixel_from_any_coordinate_system(tmp_path, images, classes, row, column, crs):
    code = {"urn:ogc:def:crs:EPSG::3857": "EPSG:3857"}.get(n := crs["properties"]["name"], n) if crs else "EPSG:4326"
    x, y = at(row, column)
    xs, ys = transform("EPSG:3857", code, [x], [y])
    read = read_vectors(written(tmp_path, feature("Point", [xs[0], ys[0]]), crs=crs), images, classes)
    assert list(read.by_image) == ["b.tif"]
    assert read.by_image["b.tif"].marks == (Point(row, column, 2),)


def test_a_polygon_fills_with_holes_and_is_cut_at_the_border(tmp_path, images, classes):
    def corner(row, column):
        return [1000 + 2 * column, 5000 - 2 * row]

    outer = [corner(*c) for c in ((2, -5), (2, 10), (12, 10), (12, -5), (2, -5))]
    hole = [corner(*c) for c in ((4, 4), (4, 6), (6, 6), (6, 4), (4, 4))]
    (stroke,) = (
        read_vectors(written(tmp_path, feature("Polygon", [outer, hole])), images, classes).by_image["b.tif"].marks
    )
    assert (stroke.y0, stroke.x0, stroke.raster.shape) == (2, 0, (10, 10))
    expected = np.full((10, 10), 2)
    expected[2:4, 4:6] = 0
    assert np.array_equal(stroke.raster, expected)


def test_lines_and_collections(tmp_path, images, classes):
    line = feature("LineString", [at(3, 2), at(3, 12)], "debris")
    many = feature("MultiPoint", [at(1, 1), at(2, 2)])
    group = {
        "type": "Feature",
        "properties": {"class": "nucleus", "image": "b"},
        "geometry": {"type": "GeometryCollection", "geometries": [many["geometry"], line["geometry"]]},
    }
    marks = read_vectors(written(tmp_path, line, many, group), images, classes).by_image["b.tif"].marks
    assert np.array_equal(marks[0].raster, np.full((1, 11), 3))
    assert marks[1:3] == (Point(1, 1, 2), Point(2, 2, 2))
    assert len(marks) == 6


WRONG = [
    (feature("Point", at(1, 1), "cell"), "unknown class 'cell'"),
    (feature("Point", [0, 0]), "lies in no image"),
    (feature("Point", ["x", 0]), "not a pair of numbers"),
    (feature("Point", [True, 0]), "not a pair of numbers"),
    (feature("Point", [1e300, 0]), "out of range"),
    (feature("Point", None), "not a pair of numbers"),
    (feature("LineString", [at(1, 1)]), "fewer than 2"),
    (feature("Polygon", [[at(1, 1), at(2, 2), at(1, 1)]]), "fewer than 4"),
    (feature("Polygon", []), "without coordinates"),
    (feature("Circle", at(1, 1)), "none of points"),
    (feature("Point", at(1, 1), image="a"), "has no coordinates"),
    (feature("Point", at(1, 1), image="far"), "lies in no image"),
    ({"type": "Feature", "properties": {}, "geometry": None}, "no property 'class'"),
    ({"type": "Feature", "properties": {"class": "nucleus"}, "geometry": None}, "no geometry"),
    (7, "no property 'class'"),
]


@pytest.mark.parametrize(("wrong", "reason"), WRONG)
def test_a_wrong_feature_is_named(tmp_path, images, classes, wrong, reason):
    path = written(tmp_path, feature("Point", at(1, 1)), wrong)
    with pytest.raises(WsssError) as error:
        read_vectors(path, images, classes)
    assert "marks.geojson feature 2: " in str(error.value)
    assert reason in str(error.value)
    skipped = read_vectors(path, images, classes, skip_bad_rows=True)
    assert skipped.left_out == 1
    assert len(skipped.by_image["b.tif"].marks) == 1


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"type": "FeatureCollection"}', '{"a": NaN}', "[" * 100000])
def test_what_is_not_geojson(tmp_path, images, classes, text):
    path = tmp_path / "marks.geojson"
    path.write_text(text)
    with pytest.raises(WsssError, match=r"marks\.geojson: not GeoJSON"):
        read_vectors(path, images, classes)


def test_an_unknown_coordinate_system(tmp_path, images, classes):
    crs = {"type": "name", "properties": {"name": "EPSG:99999999"}}
    with pytest.raises(WsssError, match="unknown coordinate system"):
        read_vectors(written(tmp_path, crs=crs), images, classes)
