"""The image list: names, identity by content, files found again, nothing hashed twice."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from napari_wsss import images
from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.project import Project, relink
from napari_wsss.types import Mask, Point


def _count_hashes(monkeypatch) -> list[Path]:
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return images.content_hash(path)

    monkeypatch.setattr(relink, "content_hash", counting)
    return hashed


def test_images_are_added_once_under_their_names(project, pictures) -> None:
    assert [r.name for r in project.records()] == ["a.png", "b.png", "deep/a.tif", "deep/c.png"]
    again = project.add_images([pictures / "a.png"])
    assert (again.added, again.known) == ((), ("a.png",))
    shutil.copy(pictures / "a.png", pictures / "same.png")
    assert project.add_images([pictures]).added == ()


def test_names_are_understood_while_unique(project) -> None:
    assert project.record("b").name == "b.png"
    assert project.record("deep/c").name == project.record("c").name == project.record("deep__c").name == "deep/c.png"
    with pytest.raises(UsageError, match=r"a\.png, deep/a\.tif"):
        project.record("a")
    with pytest.raises(UsageError, match=r"no image named 'z'; it has 4, such as a\.png"):
        project.record("z")


def test_a_name_that_is_taken_gets_its_parent_folder(project, draw, tmp_path: Path) -> None:
    other = draw(tmp_path / "other" / "a.png", 99)
    assert project.add_images([other]).added == ("other/a.png",)


def test_unreadable_files_are_one_line_each_and_the_others_go_on(project, tmp_path: Path, draw) -> None:
    new = tmp_path / "new"
    draw(new / "good.png", 50)
    (new / "text.tif").write_text("not an image")
    (new / "empty.png").write_bytes(b"")
    (new / "half.png").write_bytes((new / "good.png").read_bytes()[:300])
    tifffile.imwrite(new / "nan.tif", np.full((9, 9), np.nan, np.float32))
    report = project.add_images([new])
    assert report.added == ("good.png",)
    assert len(report.unreadable) == 4
    for name in ("text.tif", "empty.png", "half.png", "nan.tif"):
        assert sum(name in line and "\n" not in line for line in report.unreadable) == 1


def test_each_plane_of_a_stack_is_an_image(project, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 24), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "stack.ome.tif", stack, metadata={"axes": "TZYX"})
    added = project.add_images([tmp_path / "stack.ome.tif"]).added
    assert len(added) == 6
    assert "stack.ome.tif@t1z2" in added
    record = project.record("stack@t1z2")
    assert record.plane == "t1z2"
    assert record.shape == (20, 24)
    assert len({project.record(name).key for name in added}) == 6
    low = project.image("stack@t1z2").channels[0]
    assert np.corrcoef(low.ravel(), stack[1, 2].ravel())[0, 1] > 0.99


def test_the_image_key_tells_content_and_contrast(project) -> None:
    before = project.image("b")
    assert before.key == project.record("b").key
    assert before.rgb_channels == (0, 0, 0)
    project.save_settings(replace(project.settings, percentiles=(5.0, 95.0)))
    after = project.image("b")
    assert after.key == project.record("b").key != before.key
    assert (after.channels != before.channels).any()
    assert (project.image("b").channels == after.channels).all()


def test_records_hash_nothing_while_the_files_stay(project, monkeypatch) -> None:
    hashed = _count_hashes(monkeypatch)
    statements: list[str] = []
    project._journal._db.set_trace_callback(statements.append)
    assert len(project.records()) == 4
    assert project.result_keys("cam") == {}
    project._journal._db.set_trace_callback(None)
    assert hashed == []
    assert sum(s.startswith("SELECT") for s in statements) == 2


def test_a_touched_file_is_hashed_once_and_a_changed_one_is_noticed(project, pictures, draw, monkeypatch) -> None:
    hashed = _count_hashes(monkeypatch)
    os.utime(pictures / "a.png", (1, 1))
    assert project.record("a.png").file == pictures / "a.png"
    project.records()
    assert len(hashed) == 1
    draw(pictures / "a.png", 1234)
    with pytest.raises(UnreadableImage, match="changed since it was added"):
        project.image("a.png")
    assert project.records()[0].name == "a.png"


def test_a_project_that_moves_finds_its_images_again(project, pictures, by, tmp_path: Path) -> None:
    project.add_marks("a.png", [Point(3, 4, 1)], by)
    project.accept("deep/c.png", Mask(np.full((40, 30), 2, np.uint16)), by)
    project.close()
    new = tmp_path / "other machine"
    (new / "data" / "elsewhere").mkdir(parents=True)
    shutil.move(project.folder, new / "moved")
    for number, file in enumerate(sorted(pictures.rglob("*.*"))):
        shutil.move(file, new / "data" / "elsewhere" / f"{number}{file.suffix}")
    with Project.open(new / "moved") as moved:
        assert moved.labels("a.png").marks == (Point(3, 4, 1),)
        assert (moved.accepted("deep/c.png").labels == 2).all()
        assert all(record.file.is_relative_to(new) for record in moved.records())
        assert moved.image("deep/c").shape == (40, 30)
        assert moved.check() == []


def test_images_in_an_unexpected_folder_are_found_when_told(project, pictures, tmp_path: Path, monkeypatch) -> None:
    project.close()
    far = tmp_path / "far"
    shutil.move(pictures, far / "pictures")
    near = tmp_path / "near"
    shutil.move(project.folder, near / "project")
    with Project.open(near / "project") as moved:
        with pytest.raises(UnreadableImage, match=r"a\.png: its file is gone .*add it again"):
            moved.image("a.png")
        assert moved.relink(far) == ()
        assert moved.image("a.png").shape == (40, 30)


def test_a_lost_file_that_is_added_again_is_its_old_image(project, pictures, tmp_path: Path, by) -> None:
    project.add_marks("b.png", [Point(3, 4, 1)], by)
    far = tmp_path.parent / f"{tmp_path.name}-far"
    far.mkdir()
    shutil.move(pictures / "b.png", far / "new name.png")
    assert project.add_images([far]).known == ("b.png",)
    assert project.record("b.png").file == far / "new name.png"


def test_copied_images_travel_with_the_project(tmp_path: Path, pictures) -> None:
    with Project.create(tmp_path / "with copies", ["a"]) as project:
        project.add_images([pictures], copy=True)
    shutil.rmtree(pictures)
    shutil.move(tmp_path / "with copies", tmp_path / "away" / "p")
    with Project.open(tmp_path / "away" / "p") as moved:
        assert {r.file.parent for r in moved.records()} == {tmp_path / "away" / "p" / "images"}
        assert moved.image("deep/c").shape == (40, 30)


def test_states(project, by, labelling) -> None:
    assert project.state("b") == "new"
    assert project.record("b").labels_digest == ""
    project.add_marks("b", [Point(0, 0, 1)], by)
    assert project.state("b") == "labelled"
    project.put_result("b", "pseudo", *_refined(), by)
    assert project.state("b") == "labelled"
    project.put_result("b", "refined", *_refined(), by)
    assert project.state("b") == "proposed"
    project.accept("b", _refined()[0], by, (0, 0, 1, 1))
    assert project.state("b") == "accepted"
    project.skip("b")
    assert project.state("b") == project.record("b").state == "skipped"
    project.skip("b", False)
    assert project.state("b") == "accepted"


def _refined() -> tuple[Mask, str]:
    return Mask(np.ones((40, 30), np.uint16)), "key"


def test_chosen_rgb_channels_leave_a_grey_image_grey_and_tell_one_that_lacks_them(tmp_path: Path):
    for name, shape in (("grey", (8, 9)), ("colour", (8, 9, 3))):
        pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        imsave(tmp_path / f"{name}.png", pixels, check_contrast=False)
    with Project.create(tmp_path / "project", ["a", "b"], rgb_channels=(2, 1, 0)) as project:
        project.add_images([tmp_path / "grey.png", tmp_path / "colour.png"])
        assert project.image("grey").rgb_channels == (0, 0, 0)
        assert project.image("colour").rgb_channels == (2, 1, 0)
        project.save_settings(replace(project.settings, rgb_channels=(3, 1, 0)))
        with pytest.raises(UnreadableImage, match=r"colour\.png: rgb_channels 3,1,0"):
            project.image("colour")
