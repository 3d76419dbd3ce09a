"""What cannot be read is one line naming the file, whatever its bytes; nothing else is raised or printed."""

from __future__ import annotations

import json
import os
import pickle
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from napari_wsss.errors import UnreadableImage
from napari_wsss.images import content_hash, contrast, open_source


def refusal(path: Path) -> str:
    """The line that refuses the file; a file that opens must fail on reading some plane."""
    with pytest.raises(UnreadableImage) as caught:  # noqa: PT012
        source = open_source(path)
        for plane in source.planes:
            source.read(plane)
    line = str(caught.value)
    assert str(path) in line
    assert "\n" not in line
    return line


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", ["tif", "png", "jpg", "btf"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"once upon a time\n" * 40, "not an image"),
        (b"II*\0", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "trunc"),
    ],
)
def test_empty_files_and_text_called_an_image(tmp_path, ending, content, said):
    (tmp_path / f"a.{ending}").write_bytes(content)
    assert said in refusal(tmp_path / f"a.{ending}")


def test_missing_file_and_folder_without_metadata(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.tif")
    (tmp_path / "b.zarr").mkdir()
    assert "zarr metadata" in refusal(tmp_path / "b.zarr")


def test_permission_denied(tmp_path, make, monkeypatch):
    path = make("png", tmp_path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(*args: object, **kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert "permission denied" in refusal(path)
    with pytest.raises(UnreadableImage, match="permission denied"):
        content_hash(path)


def test_a_header_of_100000_squared_on_10_bytes_allocates_nothing(tmp_path):
    size = 100_000
    (tmp_path / "a.png").write_bytes(png(size, size, zlib.compress(b"0123456789")))
    assert "claims 100000 x 100000" in refusal(tmp_path / "a.png")

    tags = [(256, 4, size), (257, 4, size), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    for name, compression, said in [("b.tif", 1, "shorter"), ("c.tif", 8, "too large"), ("d.tif", 34712, "too large")]:
        entries = [*tags, (278, 4, size), (279, 4, 10)]
        entries[3] = (259, 3, compression)
        packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        body = b"0123456789\0\0"
        file = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(entries)) + packed + b"\0" * 4
        (tmp_path / name).write_bytes(file)
        assert said in refusal(tmp_path / name)

    jpeg = tmp_path / "e.jpg"
    Pillow.new("L", (8, 8)).save(jpeg)
    data = bytearray(jpeg.read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65000, 65000)
    jpeg.write_bytes(data)
    assert "claims 65000 x 65000" in refusal(jpeg)

    zarr.create_array(store=str(tmp_path / "f.zarr"), shape=(size, size), chunks=(size, size), dtype="u1")
    assert "chunks" in refusal(tmp_path / "f.zarr")
    zarr.create_array(store=str(tmp_path / "g.zarr"), shape=(size, size), chunks=(64, 64), dtype="u1")
    assert "no chunk" in refusal(tmp_path / "g.zarr")
    array = zarr.create_array(store=str(tmp_path / "h.zarr"), shape=(size, size), chunks=(64, 64), dtype="u1")
    array[:64, :64] = 7
    assert "read it by boxes" in refusal(tmp_path / "h.zarr")


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / "a.png").write_bytes(png(2**15, 51_000, bytes(2**21)))  # deflate may hold 1000 times its length
    assert "too large for a PNG" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_nan_everywhere(tmp_path, kind):
    nothing = np.full((40, 50), np.nan, np.float32)
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, nothing)
    else:
        zarr.create_array(store=str(path), data=nothing)
    assert "every pixel is nodata or NaN" in refusal(path)


def test_one_empty_plane_of_a_stack_has_no_contrast_but_the_stack_opens(tmp_path):
    stack = np.full((2, 40, 50), np.nan, np.float32)
    stack[1] = np.arange(50)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    source = open_source(tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match=r"a\.tif: plane z0: every pixel"):
        contrast(source, "z0")
    assert contrast(source, "z1")[1][0] > 40


@pytest.mark.parametrize("shape", [(0, 10), (10, 0)])
def test_zero_sized(tmp_path, shape):
    zarr.create_array(store=str(tmp_path / "a.zarr"), shape=shape, chunks=(4, 4), dtype="u1")
    refusal(tmp_path / "a.zarr")
    (tmp_path / "a.png").write_bytes(png(*shape, zlib.compress(b"")))
    refusal(tmp_path / "a.png")


def test_complex_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.complex64))
    assert "complex64" in refusal(tmp_path / "a.tif")


def test_a_group_of_several_arrays_is_not_an_image(tmp_path):
    group = zarr.create_group(store=str(tmp_path / "a.zarr"))
    for name in "ab":
        group.create_array(name, data=np.ones((8, 8), np.uint8))
    assert "2 arrays" in refusal(tmp_path / "a.zarr")
    assert open_source(tmp_path / "a.zarr" / "b").shape == (8, 8)


def test_a_dataset_outside_the_folder_is_refused(tmp_path, make):
    make("zarr2", tmp_path)
    other = make.ome_zarr(tmp_path / "b.zarr", np.ones((40, 52), np.uint8), "yx", 2)
    attributes = json.loads((other / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["path"] = "../a.zarr"
    (other / ".zattrs").write_text(json.dumps(attributes))
    assert "outside" in refusal(other)


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_a_pickle_among_the_codecs_does_nothing(tmp_path, place, make):
    path = make("zarr2", tmp_path)
    metadata = json.loads((path / ".zarray").read_text())
    metadata[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle", "protocol": 5}]
    (path / ".zarray").write_text(json.dumps(metadata))
    for file in path.glob("0.*"):
        file.write_bytes(pickle.dumps(_Trap(str(tmp_path / "sprung"))))
    assert "codec pickle is not accepted" in refusal(path)
    assert not (tmp_path / "sprung").exists()


# --------------------------------------------------------------------------- truncation


@pytest.mark.parametrize("kind", ["png", "png_16", "png_palette", "jpeg", "tiff", "tiff_lzw", "tiff_tiled", "geotiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.97])
def test_a_truncated_file_never_comes_back_half_grey(tmp_path, make, kind, share):
    path = make(kind, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refusal(path)


@pytest.mark.parametrize(
    "kind", ["png", "jpeg", "jpeg_progressive", "tiff", "tiff_lzw", "pages", "imagej", "geotiff_lzw"]
)
def test_a_file_cut_anywhere_is_whole_or_refused(tmp_path, make, kind, count):
    path = make(kind, tmp_path)
    data = path.read_bytes()
    source = open_source(path)
    whole = {plane: source.read(plane)[0] for plane in source.planes}
    for size in np.linspace(0, len(data) - 1, count(40, 2000)).astype(int):
        path.write_bytes(data[:size])
        try:
            cut = open_source(path)
        except UnreadableImage:
            continue
        assert cut.planes == source.planes
        for plane in cut.planes:
            np.testing.assert_array_equal(cut.read(plane)[0], whole[plane])


def test_damaged_exif_is_neither_an_error_nor_a_warning(tmp_path):
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 9) + bytes(range(30))
    Pillow.new("RGB", (16, 8), (9, 90, 200)).save(tmp_path / "a.jpg", exif=exif)
    assert open_source(tmp_path / "a.jpg").shape == (8, 16)


def test_a_jpeg_2000_tile_that_claims_more_than_a_tile_is_refused(tmp_path, make):
    tifffile.imwrite(tmp_path / "a.tif", make.picture(), photometric="rgb", tile=(16, 16), compression="jpeg2000")
    data = (tmp_path / "a.tif").read_bytes()
    at = data.index(b"\xff\x4f\xff\x51") + 8
    (tmp_path / "a.tif").write_bytes(data[:at] + struct.pack(">II", 90_000, 90_000) + data[at + 8 :])
    assert "claims 90000 x 90000" in refusal(tmp_path / "a.tif")


def test_pages_lost_by_truncation_are_noticed(tmp_path, make):
    for kind in ("pages", "ome", "imagej"):
        path = make(kind, tmp_path)
        with tifffile.TiffFile(path) as tif:
            cut = tif.pages[3].offset if kind == "pages" else tif.pages[3].dataoffsets[0] + 100
        path.write_bytes(path.read_bytes()[:cut])
        refusal(path)


def test_a_damaged_strip_in_the_middle_is_noticed_when_it_is_read(tmp_path, make):
    for name, options in [("a.tif", {"compression": "zlib"}), ("b.tif", {"compression": "lzw"})]:
        rng = np.random.default_rng(0)
        tifffile.imwrite(tmp_path / name, rng.integers(0, 255, (64, 64)).astype(np.uint8), rowsperstrip=8, **options)
        with tifffile.TiffFile(tmp_path / name) as tif:
            at = tif.pages[0].dataoffsets[4]
            size = tif.pages[0].databytecounts[4]
        data = bytearray((tmp_path / name).read_bytes())
        data[at : at + size] = bytes(size)
        (tmp_path / name).write_bytes(data)
        refusal(tmp_path / name)


def test_a_truncated_chunk_is_noticed(tmp_path, make):
    for kind in ("zarr2", "zarr3", "ngff4", "ngff5", "sharded"):  # zstd, zstd, blosc, zstd, blosc in shards
        folder = tmp_path / kind
        folder.mkdir()
        path = make(kind, folder)
        files = [f for f in path.rglob("*") if f.is_file() and f.name[0] != "." and f.suffix != ".json"]
        largest = max(files, key=lambda f: f.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-20])
        refusal(path)


# --------------------------------------------------------------------------- fuzzing


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes cut short, or with up to eight of them changed, mostly near the start."""
    if rng.random() < 0.4:
        return data[: rng.integers(0, len(data))]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 400)
        changed[rng.integers(0, reach)] = rng.integers(0, 256)
    return bytes(changed)


def test_damaged_bytes_give_an_array_or_one_line(make, count, capfd, caplog):
    rng = np.random.default_rng(20)
    trials = count(60, 2000)
    read, lines = 0, []
    with tempfile.TemporaryDirectory() as base:
        for kind in make.kinds:
            folder = Path(base, kind)
            folder.mkdir()
            path = make(kind, folder)
            files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
            for _ in range(-(-trials // len(make.kinds))):
                file = files[rng.integers(len(files))]
                whole = file.read_bytes()
                file.write_bytes(damaged(whole, rng))
                try:
                    source = open_source(path)
                    raw, valid = source.read(
                        source.planes[0], (0, 0, min(source.shape[0], 64), min(source.shape[1], 64))
                    )
                    assert raw.ndim == 3
                    assert raw.shape[1:] == valid.shape
                    lo, hi = contrast(source, source.planes[0])
                    assert (lo < hi).all()
                    read += 1
                except UnreadableImage as error:
                    lines.append(str(error).replace(str(path), "FILE"))
                file.write_bytes(whole)
    assert read
    assert lines
    assert all(line.startswith("FILE") and "\n" not in line for line in lines)
    out = capfd.readouterr()
    assert out.out == out.err == ""
    assert not caplog.records
