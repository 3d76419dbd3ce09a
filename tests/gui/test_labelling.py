"""The way of an image in a real window, with real mouse and key events: click, correct, accept, undo, next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from scipy import ndimage
from skimage.io import imsave

from napari_wsss.drawing import land, nuclei
from napari_wsss.project import Project
from napari_wsss.session.opened import borders
from napari_wsss.types import Box, Point
from tests.gui.hands import RIGHT, Person

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def field():
    return nuclei(0, 8, (128, 128))


def middles(truth: np.ndarray) -> list[tuple[int, int]]:
    """A pixel well inside each object, largest first."""
    numbered, count = ndimage.label(truth == 2)
    depth = ndimage.distance_transform_edt(truth == 2)
    places = ndimage.maximum_position(depth, numbered, range(1, count + 1))
    sizes = np.bincount(numbered.ravel())[1:]
    return [tuple(int(v) for v in places[i]) for i in np.argsort(-sizes)]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def the_object(truth: np.ndarray, at: tuple[int, int]) -> np.ndarray:
    numbered, _ = ndimage.label(truth == 2)
    return numbered == numbered[at]


def test_an_image_opened_in_napari_is_labelled_by_clicks_and_keys(person: Person, field):
    person.shot("empty")
    person.viewer.add_image(field.pixels, name="cells")
    person.opened()
    s = person.session
    first, second = middles(field.truth)[:2]
    person.shot("opened")
    person.click(*first)
    person.rest()
    layer = person.binding.layer("proposal")
    assert iou(layer.data == 2, the_object(field.truth, first)) > 0.6
    assert np.array_equal(layer.data, s.proposal)
    person.shot("clicked")
    person.key(Qt.Key.Key_W)
    person.rest()
    accepted = s.project.accepted(s.name)
    assert iou(accepted.labels == 2, the_object(field.truth, first)) > 0.6
    assert np.array_equal(person.binding.layer("accepted").data, accepted.labels)
    assert np.array_equal(person.binding.layer("objects").data, borders(accepted.instances))
    assert not layer.data.any()
    person.click(*second)
    person.rest()
    person.key(Qt.Key.Key_W)
    person.rest()
    person.shot("accepted")
    assert len(np.unique(s.project.accepted(s.name).instances)) == 3
    for _ in range(2):
        person.key(Qt.Key.Key_Z, CONTROL)
        person.rest()
    assert np.array_equal(s.project.accepted(s.name).labels, accepted.labels), "undo did not restore the mask exactly"
    assert np.array_equal(person.binding.layer("accepted").data, accepted.labels)
    assert len(person.binding.layer("points").data) == 1
    assert [(p.y, p.x) for p in s.project.labels(s.name).points] == [first]


def test_a_right_click_or_shift_click_corrects(person: Person, field):
    person.viewer.add_image(field.pixels)
    person.opened()
    first, second = middles(field.truth)[:2]
    person.click(*first)
    person.click(*second, button=RIGHT)
    person.rest()
    corner = next(at for at in ((120, 10), (10, 118), (10, 10), (118, 118)) if field.truth[at] == 1)
    person.click(*corner, keys=SHIFT)
    person.rest()
    clicks = person.session.opened.draft.clicks
    assert [c.positive for c in clicks] == [True, False, False]
    assert [(c.y, c.x) for c in clicks] == [first, second, corner]
    assert not person.session.proposal[second]
    person.shot("corrected")
    person.key(Qt.Key.Key_Q)
    person.rest()
    assert not person.session.project.labels(person.session.name).marks
    assert not len(person.binding.layer("points").data)


def test_classes_are_chosen_by_keys_and_the_dock_shows_it(person: Person, field):
    person.viewer.add_image(field.pixels)
    person.opened()
    person.key(Qt.Key.Key_1)
    assert person.session.class_id == 1
    assert person.dock.classes.table.currentRow() == 0
    person.press(person.dock.classes.add_button)
    assert [c.name for c in person.session.classes] == ["background", "object", "class 3"]
    person.key(Qt.Key.Key_2)
    assert person.session.class_id == 2
    person.key(Qt.Key.Key_3)
    person.click(*middles(field.truth)[0])
    person.rest()
    assert set(np.unique(person.binding.layer("proposal").data)) == {0, 3}


def test_painting_in_the_proposal_is_a_stroke_that_answers_do_not_change(person: Person, field):
    person.viewer.add_image(field.pixels)
    person.opened()
    person.press(person.dock.tools.buttons["paint"])
    person.drag((20, 20), (20, 60))
    person.rest()
    painted = person.session.proposal.copy()
    assert painted[20, 22:58].all()
    assert len(person.session.project.labels(person.session.name).strokes) == 1
    person.key(Qt.Key.Key_Z, CONTROL)
    assert not person.binding.layer("proposal").data.any()
    person.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert np.array_equal(person.binding.layer("proposal").data, painted)
    person.press(person.dock.tools.buttons["erase"])
    person.drag((14, 40), (26, 40))
    person.rest()
    assert not person.session.proposal[20, 40]
    person.press(person.dock.tools.buttons["point"])
    person.click(20, 30)
    person.rest()
    assert person.session.proposal[20, 22:34].all()
    assert not person.session.proposal[20, 40]
    person.shot("painted")


def test_scribbles_boxes_and_blocks_are_journalled_and_edited_with_naparis_own_tools(person: Person, field):
    person.viewer.add_image(field.pixels)
    person.opened()
    s, buttons = person.session, person.dock.tools.buttons
    person.key(Qt.Key.Key_1)
    person.press(buttons["block"])
    person.drag((100, 20), (120, 60))
    person.rest()
    (block,) = s.project.labels(s.name).boxes
    assert block.fill
    assert block.class_id == 1
    assert abs(block.y0 - 100) <= 2
    assert abs(block.x1 - 61) <= 2
    person.key(Qt.Key.Key_2)
    y, x = middles(field.truth)[0]
    person.press(buttons["box"])
    person.drag((max(y - 14, 2), max(x - 14, 2)), (min(y + 14, 125), min(x + 14, 125)))
    person.rest()
    assert [b.fill for b in s.project.labels(s.name).boxes] == [True, False]
    assert s.proposal.any(), "the box brought no mask"
    person.press(buttons["scribble"])
    person.drag((5, 5), (5, 90))
    person.rest()
    assert len(s.project.labels(s.name).strokes) == 1
    person.shot("prompts")
    boxes = person.binding.layer("boxes")
    boxes.selected_data = {0}
    boxes.remove_selected()
    person.rest()
    assert [b.fill for b in s.project.labels(s.name).boxes] == [False]
    person.key(Qt.Key.Key_Z, CONTROL)
    person.rest()
    assert len(boxes.data) == 2
    points = person.binding.layer("points")
    person.press(buttons["point"])
    person.click(60, 60)
    person.rest()
    points.selected_data = {len(points.data) - 1}
    points.remove_selected()
    person.rest()
    assert not s.project.labels(s.name).points


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        imsave(tmp_path / f"field{seed}.tif", nuclei(seed, 8, (128, 128)).pixels, check_contrast=False)
    with Project.create(tmp_path / "cells", ("background", "nucleus")) as project:
        project.add_images([tmp_path / f"field{n}.tif" for n in range(3)])
    return tmp_path / "cells"


def test_a_project_goes_from_image_to_image_and_is_found_again_where_it_was(person: Person, folder: Path):
    s = person.session
    s.open_project(folder)
    person.opened("field0.tif")
    person.click(*middles(nuclei(0, 8, (128, 128)).truth)[0])
    person.rest()
    person.key(Qt.Key.Key_W)
    person.key(Qt.Key.Key_N)
    person.opened("field1.tif")
    assert person.dock.images.list.currentItem().text() == "field1.tif"
    assert "1 of 3" in person.dock.images._count.text()
    person.viewer.scene.camera.zoom = 7.5
    person.click(*np.round(person.viewer.scene.camera.center[-2:]))
    person.rest()
    person.wait(lambda: s.view.get("zoom") == 7.5, "the zoom remembered")
    person.shot("project")
    shown = s.proposal.copy()
    s.leave_project()
    person.viewer.scene.camera.zoom = 1.0
    person.dock._offer()
    assert person.dock.go_on.isVisible()
    assert "field1.tif" in person.dock.go_on.text()
    person.press(person.dock.go_on)
    person.opened("field1.tif")
    assert person.viewer.scene.camera.zoom == pytest.approx(7.5)
    assert np.array_equal(person.binding.layer("proposal").data, shown)
    person.key(Qt.Key.Key_N, SHIFT)
    person.opened("field0.tif")
    assert person.binding.layer("accepted").data.any()


def test_stages_run_from_the_dock_and_their_mask_is_accepted(person: Person, folder: Path):
    s, stages = person.session, person.dock.stages
    truth = nuclei(0, 8, (128, 128)).truth
    with Project.open(folder) as project:
        from napari_wsss.acceptance import by_person

        inside = [Point(y, x, 2) for y, x in middles(truth)[:4]]
        around = [Point(int(y), int(x), 1) for y, x in np.argwhere(truth == 1)[::900]]
        project.add_marks("field0.tif", [*inside, *around], by_person("test"))
    s.open_project(folder)
    person.opened("field0.tif")
    person.press(stages.run_image)
    assert s.working.work is not None
    person.rest()
    assert s.opened.refined is not None
    assert stages.shown["refine"].isChecked()
    person.shot("stages")
    person.press(stages.accept_image)
    person.rest()
    accepted = s.project.accepted("field0.tif").labels
    assert iou(accepted == 2, truth == 2) > 0.5
    assert s.opened.name != "field0.tif"
    person.key(Qt.Key.Key_Z, CONTROL)
    person.opened("field0.tif")
    assert s.project.accepted("field0.tif") is None
    person.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    person.rest()
    assert np.array_equal(person.binding.layer("accepted").data, accepted)
    person.shot("after")


def test_the_slider_of_a_stack_moves_between_its_planes(person: Person):
    stack = np.stack([nuclei(seed, 8, (96, 96)).pixels for seed in range(3)])
    person.viewer.add_image(stack, name="stack", scale=(2, 0.5, 0.5), units=("um", "um", "um"))
    person.opened()
    person.wait(lambda: len(person.session.records()) == 3, "three planes")
    person.viewer.dims.set_current_step(0, 1)
    person.opened("stack.tif@z1")
    person.click(*middles(nuclei(1, 8, (96, 96)).truth)[0])
    person.rest()
    person.key(Qt.Key.Key_W)
    person.rest()
    accepted = person.binding.layer("accepted")
    assert accepted.data.any()
    assert tuple(accepted.scale) == (0.5, 0.5)
    person.viewer.dims.set_current_step(0, 2)
    person.opened("stack.tif@z2")
    assert not accepted.data.any()
    person.viewer.dims.set_current_step(0, 1)
    person.opened("stack.tif@z1")
    assert accepted.data.any()


def test_a_colour_photo_is_labelled_too(person: Person):
    scene = land(0)
    person.viewer.add_image(scene.pixels, rgb=True, name="valley")
    person.opened()
    person.click(60, 60)
    person.rest()
    assert person.session.proposal[60, 60] == 2
    person.viewer.theme = "light"
    person.shot("light")


def test_layers_may_be_renamed_moved_hidden_and_deleted(person: Person, field):
    person.viewer.add_image(field.pixels, name="cells")
    person.opened()
    viewer, s = person.viewer, person.session
    for layer in viewer.layers:
        layer.name = f"x {layer.name}"
    viewer.layers.move(0, 3)
    person.binding.layer("accepted").visible = False
    viewer.layers.remove(person.binding.layer("proposal"))
    viewer.layers.remove(person.binding.layer("points"))
    person.press(person.dock.tools.buttons["point"])
    at = middles(field.truth)[0]
    person.click(*at)
    person.rest()
    assert s.proposal[at] == 2
    person.key(Qt.Key.Key_W)
    person.rest()
    assert s.project.accepted(s.name).labels[at] == 2
    shown = person.binding.layer("points").data.tolist()
    viewer.layers.remove(person.binding.layer("points"))
    assert person.binding.layer("points").data.tolist() == shown == [list(at)], "made again, it shows what there is"


def test_a_new_dock_shows_the_same_session(person: Person, field):
    from napari_wsss.widgets.dock import Dock

    person.viewer.add_image(field.pixels)
    person.opened()
    person.click(*middles(field.truth)[0])
    person.rest()
    person.viewer.window.remove_dock_widget(person.dock)
    again = Dock(person.viewer)
    person.viewer.window.add_dock_widget(again, name="again")
    assert again.binding is person.binding
    assert again.deciding.accept.isEnabled()
    person.press(again.deciding.accept)
    person.rest()
    assert person.session.project.accepted(person.session.name) is not None


def test_boxes_of_a_project_come_back_as_they_were(person: Person, folder: Path):
    from napari_wsss.acceptance import by_person

    boxes = (Box(10, 20, 30, 50, 2), Box(60, 60, 90, 70, 1, True))
    with Project.open(folder) as project:
        project.add_marks("field0.tif", boxes, by_person("test"))
    person.session.open_project(folder)
    person.opened("field0.tif")
    layer = person.binding.box_layer()
    assert [b for _, b in layer._shown()] == [(b.y0, b.x0, b.y1, b.x1) for b in boxes]
    assert person.session.project.labels("field0.tif").boxes == boxes


def test_a_project_folder_dropped_on_the_window_is_worked_on(person: Person, folder: Path):
    person.viewer.open(str(folder), plugin="napari-wsss")
    person.opened("field0.tif")
    assert person.session.project.folder == folder
    assert person.viewer.layers[0].name == "field0.tif"
    assert not any("project" in x.metadata.get("wsss", {}) for x in person.viewer.layers)


def test_the_slider_moves_between_the_planes_of_a_projects_stack(person: Person, tmp_path: Path):
    stack = np.stack([nuclei(seed, 8, (96, 96)).pixels for seed in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    imsave(tmp_path / "alone.tif", nuclei(7, 8, (96, 96)).pixels, check_contrast=False)
    with Project.create(tmp_path / "p", ["background", "nucleus"]) as project:
        project.add_images([tmp_path / "stack.tif", tmp_path / "alone.tif"])
        names = [r.name for r in project.records()]
    planes = [n for n in names if "@" in n]
    assert len(planes) == 3
    s, dims = person.session, person.viewer.dims
    s.open_project(tmp_path / "p")
    person.opened("alone.tif")
    assert dims.ndim == 2
    person.key(Qt.Key.Key_N)
    person.opened(planes[0])
    assert dims.nsteps[0] == 3
    assert dims.current_step[0] == 0
    dims.set_current_step(0, 2)
    person.opened(planes[2])
    assert np.array_equal(person.binding.image.data[2], stack[2])
    person.click(*middles(nuclei(2, 8, (96, 96)).truth)[0])
    person.rest()
    person.key(Qt.Key.Key_W)
    person.rest()
    assert s.project.accepted(planes[2]) is not None
    person.key(Qt.Key.Key_N, SHIFT)
    person.opened(planes[1])
    assert dims.current_step[0] == 1
    assert not person.binding.layer("accepted").data.any()
    person.shot("slider")


def test_the_object_under_the_mouse_is_outlined_if_wanted(person: Person, field):

    person.viewer.add_image(field.pixels)
    person.opened()
    first, second = middles(field.truth)[:2]
    s = person.session
    person.wait(lambda: s.predicting._seen, "features there")
    person.move(person.place(*second))
    person.rest()
    assert person.binding.shown_layer("preview") is None
    person.press(person.dock.tools.preview)
    person.move(person.place(*first))
    person.wait(lambda: s.hovering.outline, "an outline")
    person.rest()
    lines = person.binding.layer("preview").data
    assert all(np.ptp(np.concatenate(lines), axis=0) > 3)
    assert (np.concatenate(lines).min(0) < first).all()
    assert (np.concatenate(lines).max(0) > first).all()
    assert not s.proposal.any()
    person.shot("hover")
    person.click(*first)
    person.rest()
    assert not len(person.binding.layer("preview").data)
    assert s.proposal[first]
    person.key(Qt.Key.Key_Q)
    person.press(person.dock.tools.preview)
    person.move(person.place(*second))
    person.rest()
    assert not s.hovering.outline
    assert s.project.records()[0].state == "new"


def test_a_stroke_is_found_where_napari_says_and_also_where_it_says_it_otherwise(person: Person, field, monkeypatch):
    from napari_wsss.viewer import painting

    person.viewer.add_image(field.pixels)
    person.opened()
    found, touched = [], painting._touched
    monkeypatch.setattr(painting, "_touched", lambda atoms: found.append(touched(atoms)) or found[-1])
    person.press(person.dock.tools.buttons["scribble"])
    person.drag((20, 20), (30, 60))
    person.rest()
    y0, x0, y1, x1 = found[-1]
    assert (y1 - y0) * (x1 - x0) < 60 * 60, "the whole image was compared"
    (first,) = person.session.project.labels(person.session.name).strokes
    monkeypatch.setattr(painting, "_touched", lambda atoms: None)
    person.drag((80, 20), (90, 60))
    person.rest()
    second = person.session.project.labels(person.session.name).strokes[1]
    assert second.y0 - first.y0 == pytest.approx(60, abs=1)
    assert second.raster.shape == pytest.approx(first.raster.shape, abs=1)
    assert np.array_equal(person.binding.layer("scribbles").data, person.session.opened.scribbles)
