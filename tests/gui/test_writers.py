"""napari's File > Save: the writer that npe2 picks for a file name writes what the layers show."""

from __future__ import annotations

import json
from pathlib import Path

import npe2
import numpy as np
import pytest
from napari.layers import Image, Labels
from npe2 import PluginManifest
from PIL import Image as Picture

from napari_wsss.drawing import nuclei
from napari_wsss.errors import UsageError
from napari_wsss.project.settings import parse_classes
from napari_wsss.viewer import layers, writing

CLASSES = parse_classes(["background#808080", "nucleus#20c040"])


@pytest.fixture
def plugin(npe2pm):
    npe2pm.register(PluginManifest.from_file(Path(__file__).parents[2] / "napari.yaml"))
    return npe2pm


@pytest.fixture(scope="module")
def field():
    return nuclei(0, 8, (96, 96))


def ours(field) -> list:
    """The image, the classes and the object numbers as layers of the window."""
    image = Image(field.pixels, name="a", scale=(0.5, 0.5), units=("um", "um"))
    accepted = layers.make("accepted", (96, 96), CLASSES, image)
    accepted.data = field.truth.astype(np.uint16)
    outlines = layers.make("objects", (96, 96), CLASSES, image)
    accepted.metadata["numbers"] = numbers(field)
    return [image, accepted, outlines]


def numbers(field) -> np.ndarray:
    from scipy import ndimage

    return ndimage.label(field.truth == 2)[0].astype(np.uint32)


def test_our_layers_are_saved_as_coco(plugin, field, tmp_path: Path):
    found = ours(field)
    npe2.write(str(tmp_path / "out.coco"), found)
    told = json.loads((tmp_path / "out.coco" / "annotations.json").read_text())
    assert "nucleus" in {c["name"] for c in told["categories"]}
    nucleus = next(c["id"] for c in told["categories"] if c["name"] == "nucleus")
    areas = sorted(a["area"] for a in told["annotations"] if a["category_id"] == nucleus)
    assert areas == sorted(np.bincount(numbers(field).ravel())[1:].tolist())


@pytest.mark.parametrize("ending", [".voc", ".yolo", ".geojson", ".ome.zarr"])
def test_every_format_writes_a_dataset_with_its_manifest(plugin, field, tmp_path: Path, ending: str):
    npe2.write(str(tmp_path / f"out{ending}"), ours(field))
    told = json.loads((tmp_path / f"out{ending}" / "manifest.json").read_text())
    assert len(told["images"] if "images" in told else told["items"]) == 1


def test_one_labels_layer_is_saved_as_a_png_in_its_colours(plugin, field, tmp_path: Path):
    _, accepted, _ = ours(field)
    npe2.write(str(tmp_path / "a.png"), [accepted])
    with Picture.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), field.truth)
        assert picture.getpalette()[6:9] == [0x20, 0xC0, 0x40]
    many = Labels(np.arange(96 * 96).reshape(96, 96))
    npe2.write(str(tmp_path / "b.png"), [many])
    with Picture.open(tmp_path / "b.png") as picture:
        assert np.array_equal(np.asarray(picture), many.data)
    with pytest.raises(UsageError, match="one plane"):
        writing.write_png(str(tmp_path / "c.png"), np.zeros((2, 4, 4), int), {"name": "stack"})


def test_somebody_elses_labels_are_objects_of_one_class_named_by_the_layer(field, tmp_path: Path):
    image = Image(np.stack([field.pixels] * 2), name="a")
    cells = Labels(np.stack([numbers(field), numbers(field) * 0]), name="cells")
    dataset = writing.dataset_of([x.as_layer_data_tuple() for x in (image, cells)])
    assert dataset.classes.names == ("cells",)
    assert [item.name for item in dataset.items] == ["a@0", "a@1"]
    assert np.array_equal(dataset.items[0].mask().instances, numbers(field))
    assert not dataset.items[1].mask().labels.any()
    with pytest.raises(UsageError, match=r"\(8, 8\)"):
        writing.dataset_of([x.as_layer_data_tuple() for x in (image, Labels(np.ones((8, 8), int), name="x"))])
