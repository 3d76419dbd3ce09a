"""Folders of scribbles, masks and instances."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from napari_wsss.errors import WsssError
from napari_wsss.weak_labels import read_instances, read_masks, read_scribbles


def outcome(read, otherwise):
    """The message of a refusal, or ``otherwise`` where it was read; anything else fails the test."""
    try:
        read()
    except WsssError as error:
        return str(error)
    return otherwise


def random_ids(seed, shape=(20, 30), high=4, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


@given(seed=st.integers(0, 99), ending=st.sampled_from(["png", "tif"]), dtype=st.sampled_from([np.uint8, np.uint16]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_round_trip(tmp_path_factory, images, classes, seed, ending, dtype):
    folder = tmp_path_factory.mktemp("masks")
    ids = random_ids(seed, dtype=dtype)
    Pillow.fromarray(ids).save(folder / "a.png") if ending == "png" else tifffile.imwrite(folder / "a.tif", ids)
    mask = read_masks(folder, images, classes).by_image["a.png"].mask
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, ids)
    (stroke,) = read_scribbles(folder, images, classes).by_image["a.png"].marks
    whole = np.zeros_like(ids)
    h, w = stroke.raster.shape
    whole[stroke.y0 : stroke.y0 + h, stroke.x0 : stroke.x0 + w] = stroke.raster
    assert np.array_equal(whole, ids)
    instances = read_instances(folder, images).by_image["a.png"].instances
    assert instances.dtype == np.uint32
    assert np.array_equal(instances, ids)


def test_pages_belong_to_planes_and_underscores_to_folders(tmp_path, images, classes):
    pages = random_ids(1, (2, 8, 9))
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    Pillow.fromarray(random_ids(2, (10, 10))).save(tmp_path / "sub__c.png")
    (tmp_path / ".hidden").write_bytes(b"x")
    read = read_masks(tmp_path, images, classes)
    assert np.array_equal(read.by_image["stack.tif@t1z0"].mask, pages[0])
    assert np.array_equal(read.by_image["stack.tif@t1z1"].mask, pages[1])
    assert "sub/c.png" in read.by_image


def test_an_image_without_a_stroke_has_no_marks(tmp_path, images, classes):
    Pillow.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "a.png")
    assert read_scribbles(tmp_path, images, classes).by_image["a.png"].marks == ()


def test_a_palette_png_gives_its_indices(tmp_path, images, classes):
    picture = Pillow.fromarray(random_ids(3)).convert("P")
    picture.putdata(random_ids(3).ravel().tolist())
    picture.putpalette([5, 5, 5] * 256)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_masks(tmp_path, images, classes).by_image["a.png"].mask, random_ids(3))


def bad_files():
    rgb = np.zeros((20, 30, 3), np.uint8)
    return {
        "unknown image": ("no image named", lambda f: Pillow.fromarray(random_ids(0)).save(f / "zz.png")),
        "size": (
            "20 × 29 pixels, but 'a.png' has 20 × 30",
            lambda f: Pillow.fromarray(rgb[:, 1:, 0]).save(f / "a.png"),
        ),
        "class": ("class id 9 at", lambda f: Pillow.fromarray(np.full((20, 30), 9, np.uint8)).save(f / "a.png")),
        "rgb": ("3 channels", lambda f: Pillow.fromarray(rgb).save(f / "a.png")),
        "rgb tiff": ("one channel", lambda f: tifffile.imwrite(f / "a.tif", rgb, photometric="rgb")),
        "float": ("whole numbers", lambda f: tifffile.imwrite(f / "a.tif", rgb[..., 0].astype(np.float32))),
        "negative": ("negative", lambda f: tifffile.imwrite(f / "a.tif", rgb[..., 0].astype(np.int16) - 1)),
        "pages": ("3 pages", lambda f: tifffile.imwrite(f / "a.tif", rgb.transpose(2, 0, 1), photometric="minisblack")),
        "text": ("not a readable PNG", lambda f: (f / "a.png").write_text("hello")),
        "text tiff": ("not a readable TIFF", lambda f: (f / "a.tif").write_text("hello")),
        "ending": ("neither PNG nor TIFF", lambda f: (f / "a.jpg").write_bytes(b"")),
    }


@pytest.mark.parametrize("what", bad_files())
def test_a_wrong_file_is_named_and_nothing_else_is_imported(tmp_path, images, classes, what):
    reason, write = bad_files()[what]
    Pillow.fromarray(random_ids(0)).save(tmp_path / "b.png")
    write(tmp_path)
    with pytest.raises(WsssError) as error:
        read_masks(tmp_path, images, classes)
    assert reason in str(error.value)
    assert f"{tmp_path.name}/" in str(error.value)
    skipped = read_masks(tmp_path, images, classes, skip_bad_rows=True)
    assert skipped.left_out == 1
    assert list(skipped.by_image) == ["b.tif"]


def test_two_files_of_one_image(tmp_path, images, classes):
    Pillow.fromarray(random_ids(0)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", random_ids(0))
    with pytest.raises(WsssError, match=r"a\.tif: another file is already of image 'a\.png'"):
        read_masks(tmp_path, images, classes)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_truncated_and_damaged_files_are_one_clear_line(tmp_path, images, classes, ending, count):
    good = tmp_path / f"a.{ending}"
    ids = random_ids(0)
    Pillow.fromarray(ids).save(good) if ending == "png" else tifffile.imwrite(good, ids, compression="zlib")
    data, rng = good.read_bytes(), np.random.default_rng(0)
    for _ in range(count(40, 2000)):
        damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
        damaged[rng.integers(len(damaged))] ^= int(rng.integers(256))
        good.write_bytes(damaged)
        assert f"a.{ending}" in outcome(lambda: read_masks(tmp_path, images, classes), f"a.{ending}")


def test_an_empty_or_missing_folder_is_named(tmp_path, images, classes):
    with pytest.raises(WsssError, match="holds no files"):
        read_masks(tmp_path, images, classes)
    with pytest.raises(WsssError, match="no such folder"):
        read_masks(tmp_path / "none", images, classes)
