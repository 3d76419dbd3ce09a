"""A project in a real napari window: through the npe2 reader and from the sample menu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from napari_wsss.drawing import nuclei
from napari_wsss.pipeline import Plan, accept, by_person, run
from napari_wsss.project import Project
from napari_wsss.types import Point


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("window")
    for seed in range(2):
        imsave(folder / f"field{seed}.tif", nuclei(seed, 8, (96, 96)).pixels, check_contrast=False)
    with Project.create(folder / "project", ("background", "nucleus")) as made:
        made.add_images([folder / "field0.tif", folder / "field1.tif"])
        for seed in range(2):
            truth = nuclei(seed, 8, (96, 96)).truth
            marks = [Point(int(y), int(x), int(truth[y, x])) for y in (10, 40, 70) for x in (10, 30, 50, 70, 90)]
            made.add_marks(made.records()[seed].name, marks, by_person("test"))
        run(made, Plan(device="cpu"))
        accept(made, None)
    return folder / "project"


def test_a_project_folder_opens_as_layers_marked_by_role(make_napari_viewer, project: Path):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(project), plugin="napari-wsss")
    roles = {layer.metadata["wsss"]["role"]: layer for layer in viewer.layers}
    assert set(roles) == {"image", "points", "pseudo", "refined", "accepted"}
    with Project.open(project) as opened:
        assert np.array_equal(roles["accepted"].data[1], opened.accepted(opened.records()[1].name).labels)
    assert len(roles["points"].data) == 30
    shot = viewer.screenshot(canvas_only=True, flash=False)
    assert shot[..., :3].std() > 5, "the window shows nothing"


def test_other_folders_are_left_to_other_readers(tmp_path: Path):
    from napari_wsss.viewer.reading import reader

    assert reader(str(tmp_path)) is None
    assert reader([str(tmp_path), str(tmp_path)]) is None


@pytest.mark.parametrize(("sample", "shape"), [("nuclei", (6, 320, 320)), ("land_cover", (384, 384, 3))])
def test_samples_open_from_the_menu(make_napari_viewer, sample: str, shape: tuple[int, ...]):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample("napari-wsss", sample)
    assert viewer.layers[0].data.shape == shape
