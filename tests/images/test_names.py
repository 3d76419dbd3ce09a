"""Names of images, which files are meant, and hashes of content."""

from __future__ import annotations

import shutil

import pytest

from napari_wsss.errors import UsageError
from napari_wsss.images import content_hash, image_files, image_name


def names(*paths):
    return [image_name(file, common) for file, common in image_files(paths)]


@pytest.fixture
def folder(tmp_path, make):
    for sub in ("a", "b/deep", ".hidden"):
        (tmp_path / sub).mkdir(parents=True)
    for sub in (".", "a", "b/deep", ".hidden"):
        make("png", tmp_path / sub)
    make("tiff", tmp_path / "a")
    make("zarr3", tmp_path / "b")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._a.png").write_bytes(b"what macOS leaves behind")
    return tmp_path


def test_a_folder_is_searched_and_names_are_paths_below_it(folder):
    assert names(folder) == ["a/a.png", "a/a.tif", "a.png", "b/a.zarr", "b/deep/a.png"]


def test_files_are_taken_as_given_and_named_from_their_common_folder(folder):
    assert names(folder / "a" / "a.png") == ["a.png"]
    assert names(folder / "a" / "a.png", folder / "a" / "a.tif") == ["a.png", "a.tif"]
    assert names(folder / "a", folder / "b" / "deep") == ["a/a.png", "a/a.tif", "b/deep/a.png"]
    assert names(folder / "b" / "a.zarr") == ["a.zarr"]
    assert names(folder / "a" / "notes.txt") == ["notes.txt"]  # refused when it is opened, by name


def test_an_image_named_twice_is_there_once(folder):
    assert names(folder / "a", folder / "a" / "a.png", folder / "a" / "." / "a.png") == ["a.png", "a.tif"]


def test_nothing_and_what_does_not_exist(folder):
    assert image_files([]) == []
    with pytest.raises(UsageError, match="nowhere"):
        image_files([folder / "nowhere"])


def test_content_hash(folder, make):
    one = folder / "a" / "a.png"
    assert content_hash(one) == content_hash(folder / "a.png")
    assert content_hash(one) != content_hash(folder / "a" / "a.tif")
    array = folder / "b" / "a.zarr"
    before = content_hash(array)
    moved = shutil.copytree(array, folder / "elsewhere.zarr")
    assert content_hash(moved) == before
    chunk = next(f for f in moved.rglob("0") if f.is_file())
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert content_hash(moved) != before
    chunk.write_bytes(data)
    chunk.rename(chunk.with_name("9"))
    assert content_hash(moved) != before
