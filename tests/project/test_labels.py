"""Importing, accepting, provenance, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_wsss.errors import UsageError
from napari_wsss.types import Box, ImportedLabels, Mask, Point, Stroke, Tags

SHAPE = (40, 30)


def test_importing_the_same_file_twice_changes_nothing(project, by) -> None:
    said = {
        "a.png": ImportedLabels(Tags(frozenset({2})), (Point(1, 2, 1), Box(0, 0, 5, 6, 3, True))),
        "deep/c": ImportedLabels(mask=np.full(SHAPE, 3, np.uint16), instances=np.full(SHAPE, 9, np.uint32)),
    }
    assert project.import_labels(said, "points.csv", "digest", by) == 2
    before = [r.labels_digest for r in project.records()]
    assert project.import_labels(said, "points.csv", "digest", by) == 0
    assert project.import_labels(said, "the same, saved anew.csv", "other digest", by) == 0
    assert [r.labels_digest for r in project.records()] == before
    assert project.labels("a.png").marks == said["a.png"].marks
    assert (project.accepted("deep/c").instances == 9).all()
    assert project.accepted_provenance("deep/c")[0] == by


def test_a_file_that_grew_adds_what_it_gained(project, by) -> None:
    first, more = (Point(1, 2, 1), Point(3, 4, 2)), (Point(5, 6, 3),)
    project.import_labels({"b": ImportedLabels(marks=first)}, "p.csv", "1", by)
    assert project.import_labels({"b": ImportedLabels(marks=first + more)}, "p.csv", "2", by) == 1
    assert project.labels("b").marks == first + more


def test_an_import_is_all_or_nothing(project, by) -> None:
    good = ImportedLabels(Tags(frozenset({1})), (Point(0, 0, 1),))
    for wrong in (
        {"a.png": good, "b": ImportedLabels(marks=(Point(40, 0, 1),))},
        {"a.png": good, "nobody": good},
        {"a.png": good, "b": ImportedLabels(mask=np.full(SHAPE, 4, np.uint16))},
        {"a.png": good, "b": ImportedLabels(Tags(frozenset({4})))},
    ):
        with pytest.raises(UsageError):
            project.import_labels(wrong, "f", "d", by)
    assert not project.labels("a.png")
    assert project.import_labels({"a.png": good}, "f", "d", by) == 1


def test_imported_tags_are_merged_and_the_newer_is_believed(project, by) -> None:
    project.set_tags("b", Tags(frozenset({1, 2}), frozenset({3})), by)
    project.import_labels({"b": ImportedLabels(Tags(frozenset({3}), frozenset({2}), True))}, "t", "d", by)
    assert project.labels("b").tags == Tags(frozenset({1, 3}), frozenset({2}), True)
    assert project.tags_provenance("b") == by


def test_instances_alone_give_the_accepted_mask_its_ids(project, by) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:10] = 2
    ids = np.full(SHAPE, 7, np.uint32)
    project.import_labels({"b": ImportedLabels(mask=labels)}, "masks", "m", by)
    project.import_labels({"b": ImportedLabels(instances=ids)}, "instances", "i", by)
    assert (project.accepted("b").labels == labels).all()
    assert (project.accepted("b").instances == np.where(labels > 0, 7, 0)).all()


@pytest.mark.parametrize(
    ("mark", "named"),
    [
        (Point(40, 0, 1), "y 40"),
        (Point(0, -1, 1), "x -1"),
        (Point(0, 0, 0), "class 0"),
        (Point(0, 0, 4), "class 4"),
        (Box(5, 5, 5, 9, 1), "y 5 to 5"),
        (Box(0, 0, 41, 9, 1), "outside"),
        (Stroke(39, 0, np.ones((2, 2), np.uint16)), "outside"),
        (Stroke(0, 0, np.full((2, 2), 9, np.uint16)), "class 9"),
    ],
)
def test_a_mark_that_does_not_fit_is_refused_with_all_its_company(project, by, mark, named: str) -> None:
    with pytest.raises(UsageError, match=rf"b\.png: .*{named}"):
        project.add_marks("b", [Point(0, 0, 1), mark], by)
    assert not project.labels("b")


@pytest.mark.parametrize(
    ("box", "labels", "named"),
    [
        ((0, 0, 41, 30), np.zeros((41, 30), np.uint16), "box"),
        ((0, 0, 2, 2), np.zeros((3, 2), np.uint16), "does not fit"),
        ((0, 0, 2, 2), np.full((2, 2), 4, np.uint16), "class 4"),
        ((0, 0, 2, 2), np.ones((2, 2), np.float32), "no whole numbers"),
        ((-1, 0, 2, 2), np.zeros((3, 2), np.uint16), "box"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(project, by, box, labels, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        project.edit_mask("b", box, labels, by)
    assert project.accepted("b") is None


def test_wrong_tags_and_unknown_marks_are_refused(project, by) -> None:
    with pytest.raises(UsageError, match="class 4"):
        project.set_tags("b", Tags(frozenset({4})), by)
    with pytest.raises(UsageError, match="both present and absent"):
        project.set_tags("b", Tags(frozenset({1}), frozenset({1})), by)
    [number] = project.add_marks("b", [Point(0, 0, 1)], by)
    for name, ids in (("b", [number, 99]), ("a.png", [number])):
        with pytest.raises(UsageError, match="no mark"):
            project.remove_marks(name, ids, by)
    assert len(project.marks("b")) == 1


def test_every_label_and_mask_knows_who_made_it(project, by) -> None:
    machine = replace(by, made_by="method", name="sam", model="vit_t@6dbb9052", params={"points": 3, "x": 0.5})
    project.add_marks("b", [Point(0, 0, 1)], by)
    project.add_marks("b", [Point(1, 1, 2)], machine)
    assert [m.by for m in project.marks("b")] == [by, machine]
    later = replace(by, when="2026-11-21T10:00:00+00:00")
    project.accept("b", Mask(np.ones(SHAPE, np.uint16)), by, (0, 0, 5, 5))
    project.accept("b", Mask(np.ones(SHAPE, np.uint16)), machine)
    project.edit_mask("b", (0, 0, 1, 1), np.zeros((1, 1), np.uint16), later)
    assert project.accepted_provenance("b") == (machine, later)
    assert project.accepted_when("b") == later.when
    project.undo_last("b", by)
    assert project.accepted_provenance("b") == (machine,)


def test_an_edit_without_ids_keeps_those_of_unchanged_pixels(project, by) -> None:
    ids = np.arange(1, 1201, dtype=np.uint32).reshape(SHAPE)
    project.accept("b", Mask(np.full(SHAPE, 2, np.uint16), ids), by)
    new = np.full((4, 4), 2, np.uint16)
    new[0] = 3
    project.edit_mask("b", (10, 10, 14, 14), new, by)
    expected = ids.copy()
    expected[10, 10:14] = 0
    assert (project.accepted("b").instances == expected).all()


def test_an_accepted_region_does_not_merge_objects_by_chance(project, by) -> None:
    labels, ids = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint32)
    labels[0:5, 0:5], ids[0:5, 0:5] = 2, 1
    labels[15:25], ids[15:25] = 2, 2
    project.accept("b", Mask(labels, ids), by)
    labels[:10], ids[:10] = 0, 0
    labels[30:35, 0:5], ids[30:35, 0:5] = 2, 1  # another object that happens to be number 1
    project.accept("b", Mask(labels, ids), by, (20, 0, 40, 30))
    found = project.accepted("b").instances
    assert (found[0:5, 0:5] == 1).all()
    assert (found[15:25] == 2).all()  # the object that crosses the border stays one
    assert len(np.unique(found[30:35, 0:5])) == 1
    assert found[30, 0] not in (0, 1, 2)


def test_what_is_outside_an_accepted_box_stays(project, by) -> None:
    project.accept("b", Mask(np.full(SHAPE, 1, np.uint16)), by)
    project.accept("b", Mask(np.full(SHAPE, 3, np.uint16)), by, (10, 5, 20, 15))
    expected = np.full(SHAPE, 1)
    expected[10:20, 5:15] = 3
    assert (project.accepted("b").labels == expected).all()
    assert project.labels("b").mask.dtype == np.uint16
