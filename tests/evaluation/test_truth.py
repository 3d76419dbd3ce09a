"""Truth from folders, by every name it may have; hints; and nobody else sees it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

import napari_wsss
from napari_wsss.errors import UsageError, WsssError
from napari_wsss.evaluation import TruthFolder, hinted
from napari_wsss.types import Box, Class, Classes, Point, Stroke, WeakLabels

CLASSES = Classes((Class(1, "a", "#ff0000"), Class(2, "b", "#00ff00")))
MASK = np.array([[0, 1], [2, 2]], np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(array).save(path)


@pytest.mark.parametrize("place", ["x.png", "masks/x.png", "masks/s__x.png"])
def test_found_by_its_written_name_or_bare_stem(tmp_path, place):
    save(tmp_path / place, MASK)
    truth = TruthFolder(tmp_path, CLASSES)
    assert truth.mask("s/x.tif").tolist() == MASK.tolist()
    assert truth.mask("s/x.tif").dtype == np.uint16
    assert truth.mask("s/other.tif") is None
    assert truth.instances("s/x.tif") is None


def test_bare_stem_of_two_images_is_nobodys(tmp_path):
    save(tmp_path / "x.png", MASK)
    assert TruthFolder(tmp_path, CLASSES, ["s/x.tif", "t/x.tif"]).mask("s/x.tif") is None
    assert TruthFolder(tmp_path, CLASSES, ["s/x.tif", "t/y.tif"]).mask("s/x.tif") is not None


def test_instances_beside_masks_and_tiff(tmp_path):
    save(tmp_path / "masks/x.png", MASK)
    (tmp_path / "instances").mkdir()
    tifffile.imwrite(tmp_path / "instances/x.tif", MASK.astype(np.uint32) + 70000)
    assert TruthFolder(tmp_path, CLASSES).instances("x.png").max() == 70002


def test_ids_are_matched_by_class_name(tmp_path):
    save(tmp_path / "x.png", MASK)
    (tmp_path / "classes.txt").write_text("b\na\n")
    assert TruthFolder(tmp_path, CLASSES).mask("x.png").tolist() == [[0, 2], [1, 1]]
    (tmp_path / "classes.txt").write_text("b\nzebra\n")
    with pytest.raises(UsageError, match="zebra"):
        TruthFolder(tmp_path, CLASSES)


def test_pages_of_a_stack(tmp_path):
    for n, plane in enumerate(("z0", "z7")):
        tifffile.imwrite(tmp_path / "a.tif", MASK * n, append=True, description=plane, metadata=None)
    truth = TruthFolder(tmp_path, CLASSES)
    assert truth.mask("s/a.tif@z7").tolist() == MASK.tolist()
    with pytest.raises(WsssError, match="z9"):
        truth.mask("s/a.tif@z9")


def test_unreadable_truth_is_one_clear_line(tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    save(tmp_path / "rgb.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "high.png", np.full((4, 4), 7, np.uint8))
    truth = TruthFolder(tmp_path, CLASSES)
    for name, why in (("x", "cannot be read"), ("rgb", "is no mask"), ("high", "holds class 7")):
        with pytest.raises(WsssError, match=why):
            truth.mask(name)
    with pytest.raises(UsageError, match="no such folder"):
        TruthFolder(tmp_path / "nothing", CLASSES)


def test_hints_are_strokes_and_points_not_boxes():
    stroke = np.array([[0, 1, 1]], np.uint16)
    labels = WeakLabels(marks=(Stroke(1, 1, stroke), Point(0, 0, 2), Box(2, 2, 4, 4, 1, fill=True)))
    assert np.argwhere(hinted(labels, (5, 5))).tolist() == [[0, 0], [1, 2], [1, 3]]


def test_no_method_can_reach_the_truth():
    """Oracle isolation (methods.md 3.4, rule 5): what computes labels imports neither this room nor its one door."""
    package = Path(napari_wsss.__file__).parent
    doors = ("napari_wsss.evaluation", "napari_wsss.assess")
    allowed = {"evaluation", "assess.py", "cli", "report", "bench", "demo", "simulation", "pretraining"}
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [f"{node.module}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.startswith(doors) for n in names), path
