"""What every format shares: the manifest, determinism, the folder before and after."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from napari_wsss import registry
from napari_wsss.curation import perceptual_hash
from napari_wsss.errors import Cancelled, UsageError, WsssError
from napari_wsss.types import Mask

FORMATS = registry.names("exporters")


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_formats_are_there():
    assert set(FORMATS) >= {"png", "coco", "voc", "yolo", "geojson", "geotiff", "ome_zarr", "napari"}
    assert all(registry.summary("exporters", name) for name in FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_equal_input_equal_bytes_whatever_the_order_and_no_path_of_this_machine(name, export, mixed):
    first = content(export(name, mixed, "one"))
    again = content(export(name, dataclasses.replace(mixed, items=mixed.items[::-1]), "two"))
    assert first == again
    assert not any(b"/somewhere/" in data for data in first.values())


@pytest.mark.parametrize("name", FORMATS)
def test_manifest_lists_exactly_the_files_there(name, export, mixed):
    out = export(name, mixed)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    listed = {*manifest["files"], *(f for e in manifest["images"] for f in e["files"])}
    found = {f for f in content(out) if f != "manifest.json"}
    assert {f.split(".zarr/")[0] + ".zarr" if ".zarr/" in f else f for f in found} == listed
    assert not list(out.glob("*.part"))
    assert not (out / "unfinished.txt").exists()


def test_manifest_tells_where_all_comes_from(export, mixed):
    manifest = json.loads((export("png", mixed) / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["product"], manifest["version"], manifest["format"]) == ("napari-wsss", "0.1.2", "png")
    assert manifest["what"] == "accepted"
    assert manifest["split"] == {
        "seed": 7, "ratios": [0.6, 0.2, 0.2], "group": "folder", "images": {"train": 2, "val": 1, "test": 1},
    }  # fmt: skip
    entry = next(e for e in manifest["images"] if e["image"] == "slides/a.png")
    mask = next(i for i in mixed.items if i.name == "slides/a.png").mask()
    plain = hashlib.sha256(mask.labels.astype("<u2").tobytes() + mask.instances.astype("<u4").tobytes())
    assert entry["mask_sha256"] == plain.hexdigest()
    assert entry["image_sha256"] == hashlib.sha256(b"slides/a.png").hexdigest()
    assert entry["made_by"][0]["model"] == "mobilenet@1234"
    assert entry["accepted"] == "2026-01-02T04:00:00Z"
    assert entry["classes"]["nucleus"]["one_object_a"] == "instance id"
    assert entry["classes"]["background"]["one_object_a"] == "connected region"
    assert "a note" in entry["notes"]


def test_counts_are_those_of_the_masks(export, mixed):
    manifest = json.loads((export("png", mixed) / "manifest.json").read_text(encoding="utf-8"))
    labels = [i.mask().labels for i in mixed.items]
    for c in mixed.classes:
        counts = manifest["class_counts"][c.name]
        assert counts["pixels"] == sum(int((m == c.id).sum()) for m in labels)
        assert counts["images"] == sum(bool((m == c.id).any()) for m in labels)
    share = sum((m == 0).sum() for m in labels) / sum(m.size for m in labels)
    assert manifest["share_not_labelled"] == pytest.approx(share, abs=1e-6)


def test_near_duplicates_on_two_sides_are_told(export, item, dataset, blobs):
    twin = item("x/twin.png", blobs(3)[0], split="train")
    other = dataclasses.replace(twin, name="y/twin.png", split="test")
    third = dataclasses.replace(twin, name="z/twin.png", split="train")
    data = dataset(twin, other, third, item("far.png", blobs(4)[0], split="test"))
    pairs = json.loads((export("png", data) / "manifest.json").read_text(encoding="utf-8"))["near_duplicates"]["pairs"]
    assert [(p["first"], p["second"], p["distance"]) for p in pairs] == [
        ("x/twin.png", "y/twin.png", 0), ("y/twin.png", "z/twin.png", 0),
    ]  # fmt: skip
    assert perceptual_hash(twin.rgb()).shape == (64,)


def test_second_export_leaves_nothing_of_the_first(export, mixed):
    export("yolo", mixed)
    items = tuple(dataclasses.replace(i, split="test") for i in mixed.items[:1])
    out = export("yolo", dataclasses.replace(mixed, items=items))
    assert [p.name for p in out.rglob("*.png")] == ["slides__a.png"]
    assert (out / "images" / "test" / "slides__a.png").exists()


@pytest.mark.parametrize("name", ["png", "ome_zarr"])
def test_interrupted_export_has_no_manifest_and_is_replaced(name, export, mixed, tmp_path):
    method = registry.load("exporters", name)

    def stop(done, total, what):
        if done == 2:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        method(method.Params())(mixed, tmp_path / "out", stop)
    assert not (tmp_path / "out" / "manifest.json").exists()
    one = dataclasses.replace(mixed, items=mixed.items[-1:])
    assert content(export(name, one)) == content(export(name, one, "fresh"))


def test_foreign_folder_is_refused_and_left_alone(export, mixed, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export("png", mixed)
    assert content(tmp_path / "out") == {"thesis.txt": b"mine"}
    export("coco", mixed, "coco")
    with pytest.raises(UsageError, match="not empty"):
        export("png", mixed, "coco")
    assert (tmp_path / "coco" / "annotations.json").exists()


def test_manifest_that_points_outside_removes_nothing_there(export, mixed, tmp_path):
    (tmp_path / "precious").write_text("mine")
    out = export("png", mixed)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"] += ["../precious", "", str(tmp_path / "precious")]
    (out / "manifest.json").write_text(json.dumps(manifest))
    export("png", mixed)
    assert (tmp_path / "precious").read_text() == "mine"


def test_bad_input_is_one_clear_line(export, item, dataset, blobs):
    with pytest.raises(UsageError, match="nothing to export"):
        export("png", dataset())
    with pytest.raises(UsageError, match=r"a\.png and a\.tif would both"):
        export("png", dataset(item("a.png", blobs()[0]), item("a.tif", blobs()[0])))
    with pytest.raises(WsssError, match=r"b\.png: its mask holds class 9"):
        export("png", dataset(item("b.png", np.full((4, 4), 9))))
    odd = dataclasses.replace(item("c.png", np.ones((4, 4))), mask=lambda: Mask(np.ones((5, 4), np.uint16)))
    with pytest.raises(WsssError, match=r"c\.png: its mask is \(5, 4\)"):
        export("png", dataset(odd), "three")
