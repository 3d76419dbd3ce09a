"""Random sequences of label operations against a model in memory."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_wsss.project import Project, chunks
from napari_wsss.types import Point

SHAPE = (40, 30)
KINDS = ("point", "stroke", "box", "tags", "edit", "accept", "region", "import", "undo", "result", "remove", "reopen")


@st.composite
def operations(draw) -> dict:
    y0, x0 = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
    y1, x1 = draw(st.integers(y0 + 1, SHAPE[0])), draw(st.integers(x0 + 1, SHAPE[1]))
    seed = draw(st.integers(0, 2**31 - 1))
    kind = draw(st.sampled_from(KINDS))
    return {"kind": kind, "box": [y0, x0, y1, x1], "class": draw(st.integers(1, 3)), "seed": seed}


@pytest.fixture
def new_folders(tmp_path: Path):
    return (tmp_path / f"p{n}" for n in itertools.count())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operations(), min_size=1, max_size=12))
def test_any_sequence_leaves_what_the_model_says(new_folders, pictures, labelling, monkeypatch, ops) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 16)
    folder = next(new_folders)
    project = Project.create(folder, ["background", "cell", "nucleus"])
    project.add_images([pictures / "a.png"])
    model, digests = labelling.Model(SHAPE), {}
    for done, op in enumerate(ops):
        if op["kind"] == "reopen":
            project.close()
            project = Project.open(folder)
        else:
            imported_before = op["kind"] == "import" and any(
                o["kind"] == "import" and o["seed"] == op["seed"] for o in ops[:done]
            )
            labelling.do(project, op, SHAPE)
            model = model if imported_before else model.after(op)
        assert model.differences(project) == []
        _assert_digest_is_of_content(project.record("a").labels_digest, model, digests)
    assert project.check() == []
    project.close()


def _assert_digest_is_of_content(digest: str, model, digests: dict) -> None:
    """Equal labels, equal digests, and the other way round."""
    content = (model.tags, tuple(model.marks), model.labels.tobytes(), model.ids.tobytes())
    empty = not (model.tags or model.marks or model.labels.any())
    assert (digest == "") == empty
    assert digests.setdefault(content, digest) == digest
    assert len(set(digests.values())) == len(digests)


def test_removing_marks_restores_the_earlier_state_exactly(project, by, labelling) -> None:
    project.add_marks("a.png", [Point(1, 2, 1), Point(3, 4, 2, 7)], by)
    before = project.record("a.png").labels_digest
    op = {"box": [2, 3, 9, 20], "class": 3, "seed": 5}
    marks = [labelling.mark_of({**op, "kind": kind}) for kind in ("point", "stroke", "box")]
    ids = project.add_marks("a.png", marks, by)
    assert project.record("a.png").labels_digest != before
    project.remove_marks("a.png", ids, by)
    assert project.record("a.png").labels_digest == before
    assert project.labels("a.png").marks == (Point(1, 2, 1), Point(3, 4, 2, 7))


def test_undo_goes_back_to_the_empty_mask(project, by, labelling) -> None:
    before = project.record("a.png").labels_digest
    for seed, kind in enumerate(("edit", "accept", "region")):
        labelling.do(project, {"kind": kind, "box": [3, 4, 20, 22], "class": 1, "seed": seed}, SHAPE)
    assert project.state("a.png") == "accepted"
    assert [project.undo_last("a.png", by) for _ in range(4)] == [True, True, True, False]
    assert project.record("a.png").labels_digest == before
    assert project.accepted("a.png") is None
    assert project.accepted_provenance("a.png") == ()
    assert project.state("a.png") == "new"
