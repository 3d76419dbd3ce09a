"""Round trips, through the formats' own readers."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image as Picture
from pycocotools import mask as cocomask
from pycocotools.coco import COCO
from rasterio.features import rasterize
from rasterio.warp import transform, transform_geom
from skimage.io import imread

from napari_wsss.errors import UsageError
from napari_wsss.exporters.napari import read_layers
from napari_wsss.exporters.voc import voc_palette
from napari_wsss.objects import objects
from napari_wsss.types import Class, Classes, Georeference

# pycocotools' compiled reader speaks NumPy 1's array protocol
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def masks_of(dataset):
    return {i.file_stem: i.mask() for i in dataset.items}


# --------------------------------------------------------------------------- png


def test_png_is_lossless_and_says_the_classes(export, mixed, classes):
    out = export("png", mixed)
    assert (out / "classes.txt").read_text(encoding="utf-8").splitlines() == list(classes.names)
    for stem, mask in masks_of(mixed).items():
        back = imread(out / "masks" / f"{stem}.png")
        assert back.dtype == np.uint8
        assert np.array_equal(back, mask.labels)
    ids = tifffile.imread(out / "instances" / "slides__a.tif")
    assert np.array_equal(ids, masks_of(mixed)["slides__a"].instances)
    assert [p.name for p in (out / "instances").iterdir()] == ["slides__a.tif"]


def test_png_above_255_classes_is_16_bit(export, item, dataset):
    many = Classes(tuple(Class(k, f"c{k}", "#808080") for k in range(1, 301)))
    labels = np.arange(301, dtype=np.uint16).reshape(7, 43)
    out = export("png", dataset(item("a.png", labels), classes=many))
    back = imread(out / "masks" / "a.png")
    assert back.dtype == np.uint16
    assert np.array_equal(back, labels)


def test_planes_of_a_stack_are_pages_in_plane_order(export, item, dataset, blobs):
    planes = {z: blobs(z, (20, 30)) for z in (0, 2, 9, 10)}
    items = [item(f"s/a.tif@z{z}", *planes[z]) for z in (10, 2, 0, 9)]
    out = export("png", dataset(*items, item("s/b.png", blobs(1)[0])))
    with tifffile.TiffFile(out / "masks" / "s__a.tif") as file:
        assert [p.description for p in file.pages] == ["z0", "z2", "z9", "z10"]
        for page, z in zip(file.pages, (0, 2, 9, 10)):
            assert np.array_equal(page.asarray(), planes[z][0])
    with tifffile.TiffFile(out / "instances" / "s__a.tif") as file:
        assert np.array_equal(file.pages[3].asarray(), planes[10][1])
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["s__a.tif", "s__b.png"]


# --------------------------------------------------------------------------- coco


@pytest.fixture
def coco(capsys):
    def load(folder):
        return COCO(str(folder / "annotations.json"))

    return load


@pytest.mark.parametrize("polygons", [False, True])
def test_coco_reads_back_object_by_object(export, mixed, classes, coco, polygons):
    read = coco(export("coco", mixed, polygons=polygons, background=True))
    names = {i["id"]: i["file_name"] for i in read.imgs.values()}
    for item in mixed.items:
        mask = item.mask()
        image_id = next(k for k, n in names.items() if n == item.name)
        found = read.loadAnns(read.getAnnIds([image_id]))
        wanted = list(objects(mask.labels, mask.instances, (1, 2, 3), crowds=True))
        assert len(found) == len(wanted)
        again = np.zeros(item.shape, np.uint16)
        for annotation, thing in zip(found, wanted):
            pixels = read.annToMask(annotation) > 0
            again[pixels] = annotation["category_id"]
            assert annotation["area"] == pixels.sum() == thing.area
            assert annotation["bbox"] == cocomask.toBbox(read.annToRLE(annotation)).tolist()
            assert annotation["iscrowd"] == thing.crowd
        assert np.array_equal(again, mask.labels)
    kinds = {type(a["segmentation"]) for a in read.anns.values()}
    assert kinds == ({dict, list} if polygons else {dict})
    assert any(a["iscrowd"] for a in read.anns.values())


def test_coco_leaves_background_out_unless_asked(export, mixed, coco):
    read = coco(export("coco", mixed))
    assert {c["name"] for c in read.cats.values()} == {"nucleus", "a & <b>"}
    manifest = json.loads((export("coco", mixed) / "manifest.json").read_text(encoding="utf-8"))
    assert [c["written_as"] for c in manifest["classes"]] == [None, 2, 3]


def test_coco_with_images_names_files_that_are_there(export, mixed, coco):
    out = export("coco", mixed, images="true")
    assert all((out / i["file_name"]).is_file() for i in coco(out).imgs.values())


# --------------------------------------------------------------------------- voc


def test_voc_palette_images(export, mixed, classes):
    out = export("voc", mixed)
    assert (out / "classes.txt").read_text(encoding="utf-8").split("\n")[:2] == ["background", "nucleus"]
    palette = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    # the first colours of the development kit, and the one of void
    assert palette[[0, 1, 2, 3, 15, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [224, 224, 192],
    ]  # fmt: skip
    for stem, mask in masks_of(mixed).items():
        with Picture.open(out / "SegmentationClass" / f"{stem}.png") as picture:
            assert picture.mode == "P"
            # 0 not labelled -> 255, background -> 0, nucleus -> 1, third -> 2
            assert np.array_equal(np.asarray(picture), np.array([255, 0, 1, 2], np.uint8)[mask.labels])
            shown = np.asarray(picture.convert("RGB"))
            assert np.array_equal(shown, palette[np.asarray(picture)])
        with Picture.open(out / "JPEGImages" / f"{stem}.jpg") as picture:
            assert picture.size == mask.labels.shape[::-1]
    lists = {s: (out / "ImageSets/Segmentation" / f"{s}.txt").read_text().split() for s in ("train", "val", "test")}
    assert lists == {"train": ["plain", "slides__a"], "val": ["land"], "test": ["empty"]}


def test_voc_objects_keep_ids_apart(export, mixed):
    out = export("voc", mixed)
    mask = masks_of(mixed)["slides__a"]
    with Picture.open(out / "SegmentationObject" / "slides__a.png") as picture:
        found = np.asarray(picture)
    ids = np.unique(mask.instances[mask.instances > 0])
    for number, value in enumerate(ids, 1):
        assert np.array_equal(found == number, mask.instances == value)
    assert (found[(mask.labels == 2) & (mask.instances == 0)] == 255).all()
    assert (found[mask.labels == 1] == 0).all()
    assert [p.name for p in (out / "SegmentationObject").iterdir()] == ["slides__a.png"]


def test_voc_cannot_hold_all(export, item, dataset):
    many = Classes(tuple(Class(k, f"c{k}", "#808080") for k in range(1, 256)))
    with pytest.raises(UsageError, match="voc holds 254"):
        export("voc", dataset(item("a.png", np.ones((3, 3))), classes=many))
    ids = np.arange(1, 401).reshape(20, 20)
    out = export("voc", dataset(item("a.png", np.full((20, 20), 2), ids)))
    assert not (out / "SegmentationObject").exists()
    assert "400 objects" in (out / "manifest.json").read_text()


# --------------------------------------------------------------------------- yolo


def filled(ring, shape):
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0)):
        if abs(y0 - y1) > 1e-3:
            crosses = (min(y0, y1) <= ys) & (ys < max(y0, y1))
            inside ^= crosses & (xs < x0 + (ys - y0) / (y1 - y0) * (x1 - x0))
    return inside


def test_yolo_outlines_fill_to_the_mask(export, mixed):
    out = export("yolo", mixed, background=True)
    for item in mixed.items:
        again = np.zeros(item.shape, np.uint16)
        lines = (out / "labels" / item.split / f"{item.file_stem}.txt").read_text().splitlines()
        mask = item.mask()
        assert len(lines) == len(list(objects(mask.labels, mask.instances, (1, 2, 3))))
        for line in lines:
            number, *shares = line.split()
            ring = np.array(shares, float).reshape(-1, 2)
            assert ((ring >= 0) & (ring <= 1)).all()
            again[filled(ring * item.shape[::-1], item.shape)] = int(number) + 1
        assert np.array_equal(again, mask.labels)
        with Picture.open(out / "images" / item.split / f"{item.file_stem}.png") as picture:
            assert np.array_equal(np.asarray(picture), item.rgb())


def test_yolo_yaml_is_yaml(export, mixed):
    yaml = pytest.importorskip("yaml")
    out = export("yolo", mixed)
    read = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    assert read == {
        "path": ".", "train": "train.txt", "val": "val.txt", "test": "test.txt", "names": {0: "nucleus", 1: "a & <b>"},
    }  # fmt: skip
    for split in ("train", "val", "test"):
        for line in (out / f"{split}.txt").read_text().split():
            assert (out / line).is_file()


# --------------------------------------------------------------------------- geojson, geotiff


def test_geojson_goes_back_to_the_mask_through_the_crs(export, mixed, classes):
    out = export("geojson", mixed, background=True)
    item = next(i for i in mixed.items if i.name == "land.tif")
    whole = json.loads((out / "land.geojson").read_text(encoding="utf-8"))
    assert "coordinates" not in whole
    shapes = []
    for feature in whole["features"]:
        longitude, latitude = np.array(feature["geometry"]["coordinates"][0]).T
        assert (np.abs(longitude + 113) < 0.5).all()
        assert (np.abs(latitude - 37.4) < 0.5).all()
        shapes.append((transform_geom("EPSG:4326", item.georeference.crs, feature["geometry"]),
                       feature["properties"]["class_id"]))  # fmt: skip
    place = rasterio.Affine(*item.georeference.transform)
    assert np.array_equal(rasterize(shapes, item.shape, transform=place), item.mask().labels)
    total = sum(f["properties"]["area_m2"] for f in whole["features"])
    # UTM's scale at 320 km east is 0.99999: areas on the ground are those of the map to 1e-3
    assert total == pytest.approx((item.mask().labels > 0).sum() * 900, rel=1e-3)


def test_geojson_rings_turn_as_the_rfc_says(export, item, dataset):
    ring = np.full((5, 5), 2)
    ring[2, 2] = 0
    web = Georeference("EPSG:3857", (1.0, 0.0, 0.0, 0.0, -1.0, 8_000_000.0))
    out = export("geojson", dataset(item("a.tif", ring, georeference=web), item("b.png", ring)))
    for name in ("a", "b"):
        (feature,) = json.loads((out / f"{name}.geojson").read_text())["features"]
        outline, hole = (np.array(r) for r in feature["geometry"]["coordinates"])
        assert outline[0].tolist() == outline[-1].tolist()
        area = [(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1]).sum() for r in (outline - outline[0], hole - hole[0])]
        assert area[0] > 0 > area[1]
    # a web-map metre at this latitude is cos(latitude) metres on the ground
    first = json.loads((out / "a.geojson").read_text())["features"][0]["properties"]
    latitude = np.deg2rad(transform("EPSG:3857", "EPSG:4326", [0.0], [8_000_000.0])[1][0])
    assert first["area_m2"] == pytest.approx(24 * np.cos(latitude) ** 2, rel=0.01)


def test_geojson_without_georeference_says_so(export, mixed):
    out = export("geojson", mixed)
    whole = json.loads((out / "slides__a.geojson").read_text(encoding="utf-8"))
    assert whole["coordinates"].startswith("pixels")
    mask = masks_of(mixed)["slides__a"]
    again = np.zeros(mask.labels.shape, np.uint16)
    shapes = [(f["geometry"], f["properties"]["class_id"]) for f in whole["features"]]
    rasterize(shapes, out=again)
    assert np.array_equal(again, np.where(mask.labels > 1, mask.labels, 0))
    assert {f["properties"]["instance"] for f in whole["features"]} - {None} == set(np.unique(mask.instances)) - {0}
    first = whole["features"][0]["properties"]
    assert first["area_um2"] == pytest.approx(first["area_px"] * 0.5 * 0.25)
    notes = {e["image"]: e["notes"] for e in json.loads((out / "manifest.json").read_text())["images"]}
    assert any("pixels" in n for n in notes["slides/a.png"])
    assert not any("pixels" in n for n in notes["land.tif"])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_geotiff_keeps_crs_transform_colours_and_names(export, mixed, classes):
    out = export("geotiff", mixed)
    with rasterio.open(out / "masks" / "land.tif") as file:
        assert file.crs.to_epsg() == 32612
        assert tuple(file.transform)[:6] == (30.0, 0.0, 320000.0, 0.0, -30.0, 4140000.0)
        assert file.nodata == 0
        assert file.colormap(1)[2] == (0xE4, 0x1A, 0x1C, 255)
        assert np.array_equal(file.read(1), masks_of(mixed)["land"].labels)
    assert "<Category>a &amp; &lt;b&gt;</Category>" in (out / "masks" / "land.tif.aux.xml").read_text()
    with rasterio.open(out / "instances" / "slides__a.tif") as file:
        assert file.crs is None
        assert np.array_equal(file.read(1), masks_of(mixed)["slides__a"].instances)


# --------------------------------------------------------------------------- ome-zarr


def test_ome_zarr_opens_in_zarr(export, mixed, classes):
    out = export("ome_zarr", mixed, smallest="16")
    for item in mixed.items:
        group = zarr.open_group(out / f"{item.file_stem}.zarr", mode="r")
        assert group.metadata.zarr_format == 3
        assert np.array_equal(np.moveaxis(group["0"][...], 0, -1), item.rgb())
        assert np.array_equal(group["labels/classes/0"][...], item.mask().labels)
        sizes = [group[f"labels/classes/{n}"].shape for n in range(len(list(group["labels/classes"].array_keys())))]
        assert max(sizes[-1]) <= 16
        assert sizes == [group[str(n)].shape[1:] for n in range(len(sizes))]
    ids = zarr.open_group(out / "slides__a.zarr", mode="r")["labels/instances/0"][...]
    assert np.array_equal(ids, masks_of(mixed)["slides__a"].instances)


@pytest.mark.filterwarnings("ignore")
def test_ome_zarr_opens_in_its_own_reader_and_fits_the_published_models(export, mixed, caplog):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models.v05 import Image

    out = export("ome_zarr", mixed)
    path = out / "slides__a.zarr"
    with caplog.at_level(logging.WARNING):
        nodes = list(Reader(parse_url(path, mode="r"))())
    assert not caplog.records
    by_name = {n.zarr.basename(): n for n in nodes}
    mask = masks_of(mixed)["slides__a"]
    assert np.array_equal(by_name["classes"].data[0].compute(), mask.labels)
    assert by_name["classes"].metadata["color"][2] == [0xE4 / 255, 0x1A / 255, 0x1C / 255, 1.0]
    assert by_name["classes"].metadata["properties"][2] == {"class": "nucleus"}
    image = Image.from_zarr(zarr.open_group(path, mode="r"))
    assert [a.name for a in image.attributes.ome.multiscales[0].axes] == ["c", "y", "x"]
    assert image.attributes.ome.multiscales[0].datasets[0].coordinateTransformations[0].scale == [1.0, 0.5, 0.25]
    assert set(image.labels.label_paths) == {"classes", "instances"}


# --------------------------------------------------------------------------- napari


@pytest.mark.filterwarnings("ignore")
def test_napari_layers_open_again(export, mixed, classes):
    from napari.layers import Layer

    out = export("napari", mixed)
    read = read_layers(out, ["slides/a.png"])
    assert [kind for *_, kind in read] == ["image", "labels", "labels"]
    picture, labels, ids = (Layer.create(*entry) for entry in read)
    item = next(i for i in mixed.items if i.name == "slides/a.png")
    assert np.array_equal(picture.data, item.rgb())
    assert np.array_equal(labels.data, item.mask().labels)
    assert np.array_equal(ids.data, item.mask().instances)
    assert labels.scale.tolist() == [0.5, 0.25]
    assert np.allclose(labels.get_color(2)[:3], np.array([0xE4, 0x1A, 0x1C]) / 255, atol=1e-3)
    assert labels.metadata["classes"][2] == "nucleus"
    assert len(read_layers(out)) == 2 * len(mixed.items) + 1


def test_napari_refuses_what_lies_outside(export, mixed, tmp_path):
    out = export("napari", mixed)
    (out / "layers.json").write_text(json.dumps({"layers": [
        {"type": "image", "file": "../secret.png", "name": "", "image": "", "scale": [1, 1], "translate": [0, 0],
         "units": ["pixel", "pixel"]}]}))  # fmt: skip
    with pytest.raises(UsageError, match="outside"):
        read_layers(out)
    with pytest.raises(UsageError, match="no napari export"):
        read_layers(tmp_path)
