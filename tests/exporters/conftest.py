"""A small dataset: nuclei with ids, land with a place on Earth, two planes of a stack."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from napari_wsss.curation import SplitDataset, SplitRule
from napari_wsss.types import Class, Classes, DatasetItem, Georeference, Mask, PixelSize, Provenance, no_progress

CLASSES = Classes((Class(1, "background", "#202020"), Class(2, "nucleus", "#e41a1c"), Class(3, "a & <b>", "#377eb8")))
RULE = SplitRule((0.6, 0.2, 0.2), 7, "folder")
UTM = Georeference("EPSG:32612", (30.0, 0.0, 320000.0, 0.0, -30.0, 4140000.0))


@pytest.fixture
def classes():
    return CLASSES


@pytest.fixture
def item():
    """``item(name, labels, instances=None, **more)``: a DatasetItem on arrays in memory."""

    def build(name, labels, instances=None, split="train", **more):
        labels = np.asarray(labels, np.uint16)
        rng = np.random.default_rng(list(name.encode()))
        rgb = rng.integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
        instances = None if instances is None else np.asarray(instances, np.uint32)
        made = Provenance("method", "agmm", "2026-01-02T03:04:05Z", {"passes": 8}, "mobilenet@1234", ("cam",), "0.1")
        return DatasetItem(
            name=name,
            file=f"/somewhere/{name}",
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            split=split,
            shape=labels.shape,
            mask=lambda: Mask(labels, instances, ("a note",)),
            rgb=lambda: rgb,
            provenance=(made,),
            accepted="2026-01-02T04:00:00Z",
            **more,
        )

    return build


@pytest.fixture
def dataset():
    def build(*items, classes=CLASSES, rule=RULE):
        return SplitDataset(classes, tuple(items), "accepted", "0.1.2", rule)

    return build


@pytest.fixture
def blobs():
    """``blobs(seed, shape)``: class ids 0..3 in blobs with holes, ids on some objects of class 2."""
    from scipy import ndimage

    def build(seed=0, shape=(37, 53)):
        rng = np.random.default_rng(seed)
        noise = ndimage.gaussian_filter(rng.normal(size=(4, *shape)), (0, 2, 2))
        labels = noise.argmax(0).astype(np.uint16)
        regions, _ = ndimage.label(labels == 2)
        instances = np.where(regions % 3 != 0, regions + 70000, 0).astype(np.uint32)
        return labels, instances

    return build


@pytest.fixture
def mixed(item, dataset, blobs):
    """Four images: with ids, georeferenced, in µm, and with nothing labelled."""
    labels, instances = blobs(0)
    return dataset(
        item("slides/a.png", labels, instances, "train", pixel_size=PixelSize(0.5, 0.25, "um")),
        item("land.tif", blobs(1)[0], None, "val", georeference=UTM, pixel_size=PixelSize(30, 30, "m")),
        item("plain.jpg", blobs(2, (64, 41))[0], None, "train"),
        item("empty.ome.tif", np.zeros((8, 9)), None, "test"),
    )


@pytest.fixture
def export(tmp_path):
    """``export(name, dataset, **params)``: run an exporter as the command line does; gives the folder."""
    from napari_wsss import registry

    def run(name, data, folder="out", **params):
        method = registry.load("exporters", name)
        out = tmp_path / folder
        method(registry.parameters(method, params, name))(data, out, no_progress)
        return out

    return run
