"""A project's masks as a dataset: which, split how, and made by whom."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_wsss import __version__
from napari_wsss.curation import SplitRule
from napari_wsss.datasets import dataset_of, export, has, mask_of, picture
from napari_wsss.errors import UsageError
from napari_wsss.pipeline import accept, run
from napari_wsss.project import Project
from napari_wsss.types import Mask
from tests.toy_projects import BY, draw, make, plan, truth


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with make(tmp_path_factory.mktemp("datasets"), 5, 2) as project:
        run(project, plan())
        accept(project, ["0", "1", "2"])
        project.accept("3.png", Mask(truth(3).astype(np.uint16)), BY)
        yield project


def test_only_what_was_accepted_is_exported_unless_asked_otherwise(project, tmp_path):
    assert export(project, tmp_path / "a", "png") == 4
    assert export(project, tmp_path / "r", "png", what="refined") == 5
    assert export(project, tmp_path / "n", "png", images=["0", "4"]) == 1
    assert sorted(f.name for f in (tmp_path / "a" / "masks").iterdir()) == ["0.png", "1.png", "2.png", "3.png"]


def test_the_manifest_says_who_made_each_mask_from_what_and_when(project, tmp_path):
    export(project, tmp_path / "a", "png")
    entries = {e["image"]: e for e in json.loads((tmp_path / "a" / "manifest.json").read_text())["images"]}
    text = json.dumps(entries["0.png"])
    for word in (project.record("0").sha256, "refiners/embedded", __version__, "accept refined"):
        assert word in text, word
    assert entries["3.png"]["accepted"] == BY.when
    assert "ann" in json.dumps(entries["3.png"])
    export(project, tmp_path / "p", "png", what="pseudo")
    manifest = (tmp_path / "p" / "manifest.json").read_text()
    assert "label_models/pooled" in manifest


def test_the_split_is_the_same_every_time_and_follows_the_rule(project):
    rule = SplitRule((0.5, 0.25, 0.25), seed=3)
    a, b = (dataset_of(project, "accepted", rule) for _ in range(2))
    assert [i.split for i in a.items] == [i.split for i in b.items]
    assert {i.split for i in a.items} == {"train", "val", "test"}
    together = dataset_of(project, "accepted", SplitRule(by="folder"))
    assert len({i.split for i in together.items}) == 1
    with pytest.raises(UsageError, match="ratios"):
        dataset_of(project, "accepted", SplitRule((0.0, 0.0, 0.0)))


def test_nothing_to_export_names_the_remedy(tmp_path):
    with make(tmp_path) as project:
        with pytest.raises(UsageError, match="accept some first"):
            export(project, tmp_path / "out", "png")
        with pytest.raises(UsageError, match="napari-wsss run"):
            export(project, tmp_path / "out", "png", what="refined")
        with pytest.raises(UsageError, match="no exporter named"):
            export(project, tmp_path / "out", "docx")
        with pytest.raises(UsageError, match="nine"):
            export(project, tmp_path / "out", "png", images=["nine"])


@pytest.mark.parametrize("form", ["png", "coco", "voc", "yolo", "ome-zarr", "napari"])
def test_every_format_is_written_with_its_manifest_and_again_over_itself(project, tmp_path, form):
    for _ in range(2):
        assert export(project, tmp_path / form, form) == 4
        manifest = json.loads((tmp_path / form / "manifest.json").read_text())
        assert len(manifest["images"]) == 4
    with pytest.raises(UsageError, match=form):
        export(project, tmp_path / form, "coco" if form != "coco" else "png")


def test_masks_and_pictures_as_they_are(project):
    record = project.record("4.png")
    assert has(project, record, "refined")
    assert not has(project, record, "accepted")
    assert mask_of(project, "4.png", "accepted") is None
    assert np.array_equal(mask_of(project, "4.png", "pseudo").labels, project.result("4.png", "pseudo").labels)
    shown = picture(project, "4.png")
    assert shown.shape == (48, 56, 3)
    assert shown.dtype == np.uint8


def test_a_picture_shows_the_chosen_channels_and_an_image_that_lacks_them_its_own(tmp_path):
    draw(tmp_path / "images", 1)
    draw(tmp_path / "images", 1, channels=3, first=10)
    with Project.create(tmp_path / "project", ["a", "b"], display_channels=(2, 1)) as project:
        project.add_images([tmp_path / "images"])
        channels = (project.image("10.png").channels * 255 + 0.5).astype(np.uint8)
        assert np.array_equal(picture(project, "10.png"), channels[[2, 1, 2]].transpose(1, 2, 0))
        grey = (project.image("0.png").channels * 255 + 0.5).astype(np.uint8)
        assert np.array_equal(picture(project, "0.png"), grey[[0, 0, 0]].transpose(1, 2, 0))
