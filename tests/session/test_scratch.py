"""Projects without a name: made silently, filled from layers without a file, named later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_wsss.errors import UsageError
from napari_wsss.home import workplace
from napari_wsss.project import Project
from napari_wsss.session import scratch


def test_two_projects_of_one_second_have_folders_of_their_own(home: Path):
    with scratch.new_scratch() as a, scratch.new_scratch() as b:
        assert a.folder != b.folder
        assert a.folder.parent == b.folder.parent == workplace()
        assert scratch.is_scratch(a.folder)


@pytest.mark.parametrize(
    ("shape", "rgb", "planes"),
    [
        ((20, 30), False, [""]),
        ((20, 30, 3), True, [""]),
        ((4, 20, 30), False, ["z0", "z1", "z2", "z3"]),
        ((2, 3, 20, 30), False, ["t0z0", "t0z1", "t0z2", "t1z0", "t1z1", "t1z2"]),
        ((2, 20, 30, 3), True, ["z0", "z1"]),
    ],
)
def test_the_pixels_of_a_layer_are_kept_plane_by_plane(home, shape, rgb, planes):
    for dtype in ("uint8",) if rgb else ("uint8", "uint16", "float32", "int64", "bool"):  # RGB is eight-bit in napari
        pixels = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 200, shape).astype(dtype)
        check_kept(pixels, rgb, planes)


def check_kept(pixels: np.ndarray, rgb: bool, planes: list[str]) -> None:
    with scratch.new_scratch() as project:
        file = scratch.write_layer(project.folder, "a/b: c", pixels, rgb)
        names = project.add_images([file]).added
        source = project.source(names[0])
        assert list(source.planes) == planes
        flat = pixels.reshape(-1, *pixels.shape[-3 if rgb else -2 :])
        for plane, expected in zip(source.planes, flat):
            raw = source.read(plane)[0]
            assert np.array_equal(raw.transpose(1, 2, 0) if rgb else raw[0], expected)


def test_layers_of_one_name_do_not_overwrite_each_other_and_too_many_axes_are_refused(home):
    with scratch.new_scratch() as project:
        pixels = np.ones((5, 6), np.uint8)
        files = {scratch.write_layer(project.folder, "x", pixels, False) for _ in range(3)}
        assert len(files) == 3
        with pytest.raises(UsageError, match="sliders"):
            scratch.write_layer(project.folder, "x", np.ones((2, 2, 2, 5, 6), np.uint8), False)


def test_a_project_keeps_its_images_when_it_gets_a_name(home, tmp_path: Path):
    with scratch.new_scratch() as project:
        file = scratch.write_layer(project.folder, "cells", np.arange(64, dtype=np.uint8).reshape(8, 8), False)
        project.add_images([file])
    scratch.move(project.folder, tmp_path / "mine" / "cells")
    assert not project.folder.exists()
    with Project.open(tmp_path / "mine" / "cells") as moved:
        assert moved.image("cells.tif").shape == (8, 8)
        assert not scratch.is_scratch(moved.folder)
    other = scratch.new_scratch()
    other.close()
    with pytest.raises(UsageError, match="not an empty folder"):
        scratch.move(other.folder, tmp_path / "mine" / "cells")
