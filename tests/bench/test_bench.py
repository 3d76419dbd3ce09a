"""The benchmarks' rows, references and commands; nothing here asserts a time."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss import bench
from napari_wsss.bench import Setting, _rows, agmm, filters, noop, pause, tile, write
from napari_wsss.bench._drawn import textured_image
from napari_wsss.bench._timing import best_of, environment, job
from napari_wsss.cli import main
from napari_wsss.errors import UsageError, WsssError
from napari_wsss.project import Project

CONTRACT = ["set", "what", "method", "value", "unit", "reference", "ratio"]
positive = st.floats(1e-6, 1e6)


@given(positive, positive)
def test_a_ratio_above_one_is_better_whatever_is_measured(value, reference):
    assert _rows.cost("s", "seconds", "ours", value, "s", reference).ratio == pytest.approx(reference / value)
    assert _rows.score("s", "miou", "ours", value, "share", reference).ratio == pytest.approx(value / reference)


def test_a_row_without_reference_or_with_nothing_to_divide_by_has_no_ratio():
    assert _rows.cost("s", "seconds", "ours", 1.0, "s").ratio is None
    assert _rows.cost("s", "fp_ratio", "ours", 0.0, "share", 0.5).ratio is None
    assert _rows.score("s", "miou", "ours", 0.5, "share", 0.0).ratio is None


def test_a_row_has_the_fields_of_the_contract_in_order():
    assert list(_rows.cost("s", "seconds", "ours", 1.0, "s", 2.0).as_json()) == CONTRACT


def test_every_benchmark_has_a_name_and_a_summary_and_an_unknown_one_lists_them():
    assert {"agmm", "embedded", "filters", "loop", "noop", "pause", "tile", "write"} <= set(bench.names())
    assert all(bench.summary(name).endswith(".") for name in bench.names())
    with pytest.raises(UsageError, match="there are: agmm"):
        next(bench.measure("speed", bench.Setting()))


def test_calls_alternate_and_the_first_round_is_not_counted():
    said: list[str] = []
    best = best_of({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, rounds=2)
    assert said == ["a", "b"] * 3
    assert set(best) == {"a", "b"}


def test_filters_and_the_reference_have_the_same_features():
    image = textured_image((256, 200), 2, seed=1)
    ours, theirs = filters._encoder("cpu")(image).data, filters.reference_features(image, 1)
    assert len(theirs) == 2 * 5 * 4
    assert len(ours) >= len(theirs)
    assert filters.lowest_correlation(ours, theirs) > 0.99


def test_correlation_pairs_features_by_kind_scale_and_channel():
    image = textured_image((96, 80), 2, seed=1)
    ours, theirs = filters._encoder("cpu")(image).data, filters.reference_features(image, 1)
    swapped = ours.reshape(2, -1, *ours.shape[1:])[::-1].reshape(ours.shape)
    assert filters.lowest_correlation(swapped, theirs) < 0.9


def test_agmm_and_the_reference_solve_the_same_task():
    task = agmm.drawn_task(128)
    assert agmm._right(agmm.ours(task), task) > 0.9
    assert agmm._right(agmm.reference(task), task) > 0.9


def test_the_reference_starts_from_the_marks():
    task = agmm.drawn_task(64)
    x = task.features.data.reshape(agmm._FEATURES, -1).T
    means, class_of = agmm._start(task, x)
    assert len(means) == len(task.labels.points) == 8
    assert list(class_of) == [point.class_id for point in task.labels.points]


def test_without_scikit_learn_one_line_says_so(monkeypatch):
    monkeypatch.setattr("napari_wsss.bench._timing.find_spec", lambda name: None)
    for name in ("agmm", "loop"):
        with pytest.raises(WsssError, match="scikit-learn, which is not installed"):
            next(bench.measure(name, bench.Setting()))


def test_a_tile_is_read_in_a_process_of_its_own(tmp_path):
    path = tile.write_sparse(tmp_path / "large.btf", 3000)
    _, said = job("napari_wsss.bench._tile_job", [str(path)])
    found = json.loads(said)
    assert 0 < found["peak_mib"] < 1024


def test_a_job_that_fails_gives_its_last_line(tmp_path):
    with pytest.raises(WsssError, match=r"nowhere\.tif"):
        job("napari_wsss.bench._tile_job", [str(tmp_path / "nowhere.tif")])


def test_writing_beside_another_process_loses_nothing(monkeypatch, capsys):
    monkeypatch.setattr(write, "_LABELS", 20)
    assert main(["bench", "write", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["bench", "machine", "rows"]
    assert found["bench"] == "write"
    assert {"cpu", "cores", "threads", "memory_gib", "torch", "device", "load"} <= set(found["machine"])
    assert all(list(row) == CONTRACT for row in found["rows"])
    rows = {row["what"]: row for row in found["rows"] if row["method"] == "ours"}
    assert rows["labels_lost"]["value"] == 0
    assert rows["write_p95"]["ratio"] == pytest.approx(50 / rows["write_p95"]["value"])


def test_regions_of_many_tiles_are_ranked_within_a_limit(monkeypatch):
    from napari_wsss.bench import next as ranking

    monkeypatch.setattr(ranking, "TILES", 3)
    monkeypatch.setattr(ranking, "SIDE", 128)
    rows = list(ranking.measure(Setting(threads=1)))
    assert [(r.what, r.unit, r.reference) for r in rows] == [
        ("regions.1_threads", "s", 60.0),
        ("scores.1_threads", "s", 60.0),
    ]
    assert all(r.value > 0 for r in rows)


def test_the_project_of_noop_is_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setattr(noop, "_IMAGES", 2)
    monkeypatch.setattr(noop, "_RUN", (*noop._RUN, "--use", "pseudo=agmm,refine=random_walker"))
    with Project.open(noop._finished_project(tmp_path, tagged=False)) as project:
        assert len(project.result_keys("refined")) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["speed"], "no benchmark 'speed'"),
        (["loop", "--hints", "."], "--hints needs --set"),
        (["loop", "--set", "."], "no images"),
        (["agmm", "--threads", "0"], "not a number of threads"),
        (["loop", "--set", "/nowhere"], "does not exist"),
    ],
)
def test_wrong_use_is_one_line(arguments, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr().err
    assert reason in said.splitlines()[-1]
    assert "Traceback" not in said


def test_all_run_where_no_name_is_given_and_one_that_cannot_is_told(monkeypatch, capsys):
    def measure(name, setting):
        if name == "loop":
            raise WsssError("loop cannot")
        yield _rows.cost("set", "seconds", "ours", 1.0, "s", 2.0)

    monkeypatch.setattr(bench, "measure", measure)
    assert main(["bench"]) == 1
    said = capsys.readouterr()
    assert "agmm.seconds" in said.out
    assert "write.seconds" in said.out
    assert "loop cannot" in said.err


def test_help_and_names_need_no_torch():
    code = (
        "import sys; from napari_wsss.cli import main; main(['bench', '--help']);"
        "assert not {'torch', 'sklearn', 'napari', 'qtpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, capture_output=True)


def test_texture_has_full_contrast_and_is_the_same_each_time():
    one, other = (textured_image((64, 64), 1, seed=3).channels for _ in range(2))
    assert np.array_equal(one, other)
    assert one.min() == 0
    assert one.max() == 1


def test_pauses_are_measured_without_and_with_a_training():
    rows = list(pause.measure(bench.Setting(), seconds=1.0, side=64))
    assert [(r.what, r.method) for r in rows] == [
        ("pause_worst", "ours"),
        ("pause_worst", "no_training"),
        ("pause_p99", "ours"),
    ]
    assert all(r.value > 1000 / 60 / 2 for r in rows)  # a gap is a turn of the loop, not the work in it
    assert rows[0].reference == 100.0
    steps = int(rows[0].set.split(", ")[-1].removesuffix(" steps"))
    assert steps > 0
