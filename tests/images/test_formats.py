"""What each format's own writer stored comes back, plane by plane and box by box."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image as Pillow
from PIL import ImageOps
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from napari_wsss.errors import UsageError
from napari_wsss.images import default_rgb, open_source
from napari_wsss.types import PixelSize


def test_a_box_is_the_same_as_that_part_of_the_whole_plane(any_format):
    source = open_source(any_format)
    fresh = open_source(any_format)
    for plane in source.planes[:3]:
        raw, valid = source.read(plane)
        assert raw.shape == (source.n_channels, *source.shape)
        assert raw.dtype == source.dtype
        assert valid.shape == source.shape
        assert len(source.channel_names) == source.n_channels
        for y0, x0, y1, x1 in [(0, 0, 1, 1), (5, 7, 33, 49), (16, 16, 32, 32), (39, 0, 40, 52)]:
            part, ok = fresh.read(plane, (y0, x0, y1, x1))
            np.testing.assert_array_equal(part, raw[:, y0:y1, x0:x1])
            np.testing.assert_array_equal(ok, valid[y0:y1, x0:x1])


def test_what_is_returned_is_the_callers_own(any_format):
    source = open_source(any_format)
    plane = source.planes[0]
    for box in (None, (0, 0, 8, 8)):
        before = source.read(plane, box)[0].copy()
        raw, valid = source.read(plane, box)
        raw[:] = 0
        valid[:] = False
        again, ok = source.read(plane, box)
        np.testing.assert_array_equal(again, before)
        assert ok.any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_modes(tmp_path, make, mode):
    image = Pillow.fromarray(make.picture())
    if mode == "I;16":
        stored = make.picture(c=1, dtype="uint16")[..., 0] * 300
        image = Pillow.fromarray(stored)
    image = image.quantize(8) if mode == "P" else image if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "a.png")
    source = open_source(tmp_path / "a.png")
    raw, valid = source.read()
    expected = np.asarray(image.convert("RGB") if mode == "P" else image.convert("L") if mode == "1" else image)
    expected = np.atleast_3d(expected)[..., : source.n_channels].transpose(2, 0, 1)
    np.testing.assert_array_equal(raw, expected)
    assert valid.all()
    assert source.is_rgb == (mode in ("P", "RGB", "RGBA"))
    assert source.dtype == (np.uint16 if mode == "I;16" else np.uint8)


def test_png_of_16_bits_and_three_channels_keeps_all_bits(tmp_path, make):
    stored = make.picture(dtype="uint16") * 251
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    np.testing.assert_array_equal(open_source(tmp_path / "a.png").read()[0], stored.transpose(2, 0, 1))


def test_transparent_pixels_are_nodata(tmp_path, make):
    rgba = np.dstack([make.picture(), np.full((40, 52), 255, np.uint8)])
    rgba[:10, :20, 3] = 0
    Pillow.fromarray(rgba).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16))
    indexed = Pillow.fromarray((np.arange(40 * 52).reshape(40, 52) % 4).astype(np.uint8)).convert("P")
    indexed.save(tmp_path / "p.png", transparency=2)
    for name in ("a.png", "a.tif"):
        source = open_source(tmp_path / name)
        raw, valid = source.read()
        assert source.n_channels == 3
        assert source.is_rgb
        np.testing.assert_array_equal(valid, rgba[..., 3] > 0)
        np.testing.assert_array_equal(raw, rgba[..., :3].transpose(2, 0, 1))
    assert open_source(tmp_path / "p.png").read()[1].mean() == 0.75


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_does(tmp_path, turn, make):
    image = Pillow.fromarray(make.picture())
    exif = Pillow.Exif()
    exif[0x0112] = turn
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Pillow.open(tmp_path / "a.jpg") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    source = open_source(tmp_path / "a.jpg")
    assert source.shape == expected.shape[:2]
    np.testing.assert_array_equal(source.read()[0], expected.transpose(2, 0, 1))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("layout", ["strips", "tiles", "planar", "big endian", "deflate"])
def test_tiff_types_and_layouts(tmp_path, make, dtype, layout):
    stored = make.picture(c=5, dtype=dtype)
    options = {
        "strips": {"rowsperstrip": 7},
        "tiles": {"tile": (16, 32)},
        "planar": {},
        "big endian": {"byteorder": ">"},
        "deflate": {"compression": "zlib", "predictor": dtype != "float16"},
    }[layout]
    planar = layout == "planar"
    array = stored.transpose(2, 0, 1) if planar else stored
    config = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", planarconfig=config, **options)
    source = open_source(tmp_path / "a.tif")
    assert (source.planes, source.n_channels, source.dtype) == (("",), 5, np.dtype(dtype))
    np.testing.assert_array_equal(source.read()[0], stored.transpose(2, 0, 1))
    np.testing.assert_array_equal(source.read(box=(3, 5, 30, 41))[0], stored[3:30, 5:41].transpose(2, 0, 1))


def test_an_array_with_channels_last_is_one_plane(tmp_path, make):
    stored = make.picture(c=5, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", stored)  # stored as 40 pages of 52 x 5
    source = open_source(tmp_path / "a.tif")
    assert (source.planes, source.shape, source.n_channels) == (("",), (40, 52), 5)
    np.testing.assert_array_equal(source.read()[0], stored.transpose(2, 0, 1))


def test_palette_tiff_is_rgb(tmp_path, make):
    index = (make.picture(c=1)[..., 0] % 7).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=colours * 257)
    source = open_source(tmp_path / "a.tif")
    assert source.is_rgb
    np.testing.assert_array_equal(source.read()[0], colours.astype(np.uint8)[:, index])


def test_sparse_tiles_are_nodata(tmp_path, make):
    tiles = [np.full((16, 16), 7, np.uint8), b"", b"", np.full((16, 16), 9, np.uint8)]
    data = [t if isinstance(t, bytes) else t.tobytes() for t in tiles]
    tifffile.imwrite(tmp_path / "a.tif", iter(data), shape=(32, 32), dtype="uint8", tile=(16, 16))
    raw, valid = open_source(tmp_path / "a.tif").read()
    assert valid.sum() == 512
    assert raw[0, 0, 0] == 7
    assert raw[0, 31, 31] == 9
    assert not valid[0, 31]


@pytest.mark.parametrize("write", ["ome", "imagej"])
def test_stacks_are_read_plane_by_plane(tmp_path, write):
    stored = np.random.default_rng(0).integers(1, 60000, (3, 4, 2, 20, 24)).astype(np.uint16)
    metadata = {"axes": "TZCYX"}
    if write == "ome":
        metadata |= {
            "PhysicalSizeX": 0.25,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 500.0,
            "PhysicalSizeYUnit": "nm",
            "Channel": {"Name": ["DAPI", "GFP"]},
        }
        tifffile.imwrite(tmp_path / "a.ome.tif", stored, metadata=metadata, compression="zlib")
        source = open_source(tmp_path / "a.ome.tif")
        assert source.channel_names == ("DAPI", "GFP")
        assert source.pixel_size == PixelSize(0.5, 0.25, "um")
    else:
        metadata |= {"unit": "um"}
        tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, resolution=(4.0, 2.0), metadata=metadata)
        source = open_source(tmp_path / "a.tif")
        assert source.pixel_size == PixelSize(0.5, 0.25, "um")
    assert source.planes == tuple(f"t{t}z{z}" for t in range(3) for z in range(4))
    assert (source.shape, source.n_channels) == ((20, 24), 2)
    for t, z in [(0, 0), (1, 3), (2, 2)]:
        np.testing.assert_array_equal(source.read(f"t{t}z{z}")[0], stored[t, z])
        np.testing.assert_array_equal(source.read(f"t{t}z{z}", (2, 3, 9, 20))[0], stored[t, z, :, 2:9, 3:20])
    with pytest.raises(UsageError, match=r"no plane 'z9'.*t0z0"):
        source.read("z9")


def test_pages_of_a_plain_tiff_are_depth(tmp_path, make):
    stored = make.picture(c=5).transpose(2, 0, 1)
    source = open_source(make("pages", tmp_path))
    assert source.planes == ("z0", "z1", "z2", "z3", "z4")
    np.testing.assert_array_equal(source.read("z3")[0][0], stored[3])


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, make, version):
    stored = np.random.default_rng(0).integers(1, 60000, (2, 3, 4, 40, 52)).astype(np.uint16)
    source = open_source(make.ome_zarr(tmp_path / "a.zarr", stored, "tczyx", version))
    assert source.planes == tuple(f"t{t}z{z}" for t in range(2) for z in range(4))
    assert source.channel_names == ("stain0", "stain1", "stain2")
    assert source.pixel_size == PixelSize(0.5, 0.5, "um")
    np.testing.assert_array_equal(source.read("t1z2", (3, 4, 30, 40))[0], stored[1, :, 2, 3:30, 4:40])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "planes", "channels", "size"),
    [
        ((40, 52), 1, 1, (40, 52)),
        ((40, 52, 3), 1, 3, (40, 52)),
        ((6, 40, 52), 1, 6, (40, 52)),
        ((20, 40, 52), 20, 1, (40, 52)),
        ((5, 40, 52, 3), 5, 3, (40, 52)),
        ((3, 4, 40, 52), 3, 4, (40, 52)),
    ],
)
def test_plain_zarr_arrays(tmp_path, version, shape, planes, channels, size):
    stored = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    zarr.create_array(store=str(tmp_path / "a"), data=stored, zarr_format=version)
    source = open_source(tmp_path / "a")
    assert (len(source.planes), source.n_channels, source.shape) == (planes, channels, size)
    last = stored if planes == 1 else stored[-1]
    expected = np.atleast_3d(last).transpose(2, 0, 1) if shape[-1] == 3 or last.ndim == 2 else last
    np.testing.assert_array_equal(source.read(source.planes[-1])[0], expected)


def test_named_zarr_dimensions_are_believed(tmp_path):
    stored = np.random.default_rng(0).integers(1, 255, (4, 20, 24)).astype(np.uint8)
    zarr.create_array(store=str(tmp_path / "a"), data=stored, dimension_names=("time", "y", "x"))
    source = open_source(tmp_path / "a")
    assert source.planes == ("t0", "t1", "t2", "t3")
    np.testing.assert_array_equal(source.read("t2")[0][0], stored[2])


def test_a_sharded_array_is_read(tmp_path):
    stored = np.random.default_rng(0).integers(1, 255, (64, 64)).astype(np.uint8)
    array = zarr.create_array(store=str(tmp_path / "a"), shape=(64, 64), chunks=(16, 16), shards=(32, 32), dtype="u1")
    array[:] = stored
    np.testing.assert_array_equal(open_source(tmp_path / "a").read(box=(10, 10, 50, 40))[0][0], stored[10:50, 10:40])


# --------------------------------------------------------------------------- places on the earth


def test_geotiff_keeps_crs_transform_bands_and_nodata(tmp_path, make):
    stored = make.picture(c=4, dtype="uint16").transpose(2, 0, 1).copy()
    stored[2, :6, :9] = 65535
    path = make.geotiff(tmp_path / "a.tif", stored, nodata=65535, tiled=True, blockxsize=16, blockysize=16)
    source = open_source(path)
    with rasterio.open(path) as f:
        assert source.georeference.crs == f.crs.to_wkt()
        assert source.georeference.transform == tuple(f.transform)[:6]
    assert source.pixel_size == PixelSize(30.0, 30.0, "m")
    raw, valid = source.read()
    np.testing.assert_array_equal(raw, stored)
    np.testing.assert_array_equal(valid, stored[2] != 65535)


def test_in_8_bit_rgb_only_a_pixel_that_is_nodata_in_all_bands_is_nodata(tmp_path, make):
    stored = make.picture().transpose(2, 0, 1).copy()
    stored[:, :5] = 0
    stored[0, 20] = 0  # a real pixel without red
    for georeferenced in (True, False):
        if georeferenced:
            path = make.geotiff(tmp_path / "a.tif", stored, nodata=0)
        else:
            path = tmp_path / "b.tif"
            tag = [(42113, "s", 0, "0", True)]
            tifffile.imwrite(path, stored.transpose(1, 2, 0), photometric="rgb", extratags=tag)
        valid = open_source(path).read()[1]
        assert not valid[:5].any()
        assert valid[5:].all()


def test_geotiff_alpha_and_masks_are_nodata(tmp_path, make):
    stored = np.concatenate([make.picture().transpose(2, 0, 1), np.full((1, 40, 52), 255, np.uint8)])
    stored[3, 30:] = 0
    source = open_source(make.geotiff(tmp_path / "a.tif", stored, photometric="RGB", alpha="YES"))
    raw, valid = source.read()
    assert (source.n_channels, source.is_rgb, source.channel_names) == (3, True, ("red", "green", "blue"))
    np.testing.assert_array_equal(raw, stored[:3])
    np.testing.assert_array_equal(valid, stored[3] > 0)
    path = make.geotiff(tmp_path / "b.tif", stored[:1])
    mask = np.zeros((40, 52), np.uint8)
    mask[4:9] = 255
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as f:
        f.write_mask(mask)
    np.testing.assert_array_equal(open_source(path).read()[1], mask > 0)


def test_metres_of_projected_degree_and_mercator_pixels(tmp_path, make):
    stored = make.picture(c=1).transpose(2, 0, 1)
    sixty = Affine(1e-4, 0, 10, 0, -1e-4, 60)
    degrees = open_source(make.geotiff(tmp_path / "a.tif", stored, "EPSG:4326", sixty)).pixel_size
    assert degrees.unit == "m"
    assert degrees.y == pytest.approx(11.141, abs=0.01)  # a degree of latitude at 60 N is 111.41 km
    assert degrees.x == pytest.approx(5.580, abs=0.01)  # and of longitude 55.80 km
    north = Affine(2, 0, 0, 0, -2, 8399737.9)  # Web Mercator's y of 60 N, where it stretches by two
    mercator = open_source(make.geotiff(tmp_path / "b.tif", stored, "EPSG:3857", north)).pixel_size
    assert mercator.x == pytest.approx(1.0, rel=1e-3)
    feet = open_source(make.geotiff(tmp_path / "c.tif", stored, "EPSG:2263")).pixel_size
    assert feet.x == pytest.approx(30 * 0.3048006, rel=1e-6)


def test_a_print_density_is_no_scale_but_a_microscopes_resolution_is(tmp_path, make):
    grey = make.picture(c=1)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", grey, resolution=(300, 300), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "b.tif", grey, resolution=(40000, 20000), resolutionunit="CENTIMETER")
    assert open_source(tmp_path / "a.tif").pixel_size is None
    assert open_source(tmp_path / "b.tif").pixel_size == PixelSize(0.5, 0.25, "um")


def test_zion_landsat(shared_data):
    path = sorted((shared_data / "zion_landsat" / "images").glob("*.tif"))[0]
    source = open_source(path)
    with rasterio.open(path) as f:
        np.testing.assert_array_equal(source.read()[0], f.read())
    assert (source.n_channels, source.dtype) == (4, np.uint16)
    assert default_rgb(source) == (2, 1, 0)
    assert "32612" in source.georeference.crs


def test_band_colours_name_the_channels(tmp_path, make):
    stored = make.picture(c=4).transpose(2, 0, 1)
    path = make.geotiff(tmp_path / "a.tif", stored)
    with rasterio.open(path, "r+") as f:
        f.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]
    source = open_source(path)
    assert source.channel_names[:3] == ("blue", "green", "red")
    assert default_rgb(source) == (2, 1, 0)


def test_reading_leaves_no_file_open(any_format):
    """ResourceWarning is an error in this suite; here the file can also go while its source lives."""
    source = open_source(any_format)
    moved = any_format.rename(any_format.with_name("moved" + any_format.suffix))
    assert open_source(moved).shape == source.shape


def test_path_may_be_anything_that_names_a_file(tmp_path, make):
    odd = tmp_path / "Größe 100% (ä) [1]"
    odd.mkdir()
    for kind in ("png", "tiff", "geotiff", "zarr3"):
        assert open_source(make(kind, odd)).read(box=(0, 0, 2, 2))[1].all()
        assert isinstance(open_source(make(kind, odd) if kind != "zarr3" else odd / "a.zarr").path, Path)
