"""Label files into a project: all or nothing, twice is once, and who brought them is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.labelling import import_labels
from napari_wsss.types import Point, Stroke, Tags
from tests.toy_projects import make, truth


@pytest.fixture
def project(tmp_path):
    with make(tmp_path, clicked=0) as project:
        yield project


def write(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_tags_points_boxes_and_strokes_arrive(project, tmp_path):
    strokes = tmp_path / "scribbles"
    strokes.mkdir()
    Picture.fromarray(np.where(np.eye(48, 56) > 0, 2, 0).astype(np.uint8)).save(strokes / "2.png")
    found = import_labels(
        project,
        tags=write(tmp_path, "t.csv", "image,tag\n0,cell\n0,!*\n1.png,!cell\n"),
        points=write(tmp_path, "p.csv", "image,y,x,class\n0,5,6,cell\n0,40,50,background\n"),
        boxes=write(tmp_path, "b.csv", "image,y0,x0,y1,x1,class,fill\n1,0,0,5,5,cell,1\n1,9,9,20,20,cell,0\n"),
        scribbles=strokes,
    )
    assert [(i.kind, i.images, i.left_out) for i in found] == [
        ("tags", 2, 0),
        ("points", 1, 0),
        ("scribbles", 1, 0),
        ("boxes", 1, 0),
    ]
    assert project.labels("0").tags == Tags(frozenset({2}), frozenset(), True)
    assert project.labels("1").tags == Tags(frozenset(), frozenset({2}), False)
    assert [(p.y, p.x, p.class_id) for p in project.labels("0").points] == [(5, 6, 2), (40, 50, 1)]
    assert [b.fill for b in project.labels("1").boxes] == [True, False]
    assert all(isinstance(m, Stroke) for m in project.labels("2").marks)
    maker = project.marks("0")[0].by
    assert (maker.made_by, maker.name) == ("person", "import points")


def test_full_masks_and_objects_count_as_accepted(project, tmp_path):
    for name, ids in (("masks", truth(0)), ("instances", (truth(0) == 2).astype(np.uint8) * 7)):
        (tmp_path / name).mkdir()
        Picture.fromarray(ids).save(tmp_path / name / "0.png")
    import_labels(project, masks=tmp_path / "masks", instances=tmp_path / "instances")
    accepted = project.accepted("0.png")
    assert np.array_equal(accepted.labels, truth(0))
    assert set(np.unique(accepted.instances)) == {0, 7}
    assert project.state("0.png") == "accepted"
    assert [m.made_by for m in project.accepted_provenance("0.png")] == ["person"]
    assert import_labels(project, masks=tmp_path / "masks")[0].images == 0


def test_a_wrong_file_keeps_the_others_of_the_command_out_too(project, tmp_path):
    with pytest.raises(WsssError, match=r"p\.csv.*line 2.*cat"):
        import_labels(
            project,
            tags=write(tmp_path, "t.csv", "image,tag\n0,cell\n"),
            points=write(tmp_path, "p.csv", "image,y,x,class\n0,5,6,cat\n"),
        )
    assert not project.labels("0")


def test_a_longer_file_brings_only_what_is_new(project, tmp_path):
    rows = "image,y,x,class\n0,5,6,cell\n"
    import_labels(project, points=write(tmp_path, "p.csv", rows))
    found = import_labels(project, points=write(tmp_path, "p.csv", rows + "0,9,9,cell\n1,3,3,cell\n"))
    assert found[0].images == 2
    assert project.labels("0").marks == (Point(5, 6, 2), Point(9, 9, 2))


def test_nothing_to_import_is_wrong_use(project):
    with pytest.raises(UsageError, match="nothing to import"):
        import_labels(project)


def test_no_image_of_a_stack_or_folder_is_guessed(project, tmp_path):
    with pytest.raises(WsssError, match="nine"):
        import_labels(project, points=write(tmp_path, "p.csv", "image,y,x,class\nnine,5,6,cell\n"))
