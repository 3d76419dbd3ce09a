"""``bench learn``, ``losses`` and ``asking``: what is taught by what, what is stored, the rows; no times."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.bench import HOURS, Setting, Shard, _learn_job, _learning, asking, learn, losses, names
from napari_wsss.bench._drawn import write_sets
from napari_wsss.bench._finished import Finished
from napari_wsss.bench._hints import write_hints
from napari_wsss.bench._learning import Lesson, budgeted
from napari_wsss.bench._rows import Row
from napari_wsss.bench._sets import read_set
from napari_wsss.bench._tables import as_markdown
from napari_wsss.cli import main
from napari_wsss.errors import WsssError
from napari_wsss.simulation.curve import CEILING, Summary
from napari_wsss.simulation.curve import Row as Round
from napari_wsss.training import Training


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("drawn"), images=3, size=64, tests=2)


@pytest.fixture
def taught(monkeypatch):
    """Jobs that answer: ours the truth where it was given masks, else class 1; the forest class 1."""
    tasks: list[tuple[str, dict]] = []

    def job(module, arguments, threads=None):
        task = json.loads(Path(arguments[0]).read_text())
        tasks.append((module, task))
        for path in map(Path, task["asked"]):
            truth = np.asarray(Picture.open(path.parents[1] / "masks" / f"{path.stem}.png"))
            answer = truth if task.get("masks") else np.ones_like(truth)
            Picture.fromarray(answer).save(Path(task["out"]) / f"{path.stem}.png")
        said = {"steps": 7, "epochs": 1, "used": "cpu (1 threads)", "train_seconds": 30.5, "cpu_seconds": 2.5}
        if task.get("device") == "cuda":
            said["used"] = "cuda (a card), bfloat16"
        return 1.0, "" if module.endswith("_forest") else json.dumps(said)

    monkeypatch.setattr(_learning, "job", job)
    return tasks


def table(rows):
    return {(r.set, r.what, r.method): r for r in rows}


def test_finished_rows_survive_and_a_cut_off_line_is_made_again(tmp_path):
    file = tmp_path / "deep" / "x.jsonl"
    store = Finished(file, "learn")
    assert store.get("a") is None
    assert store.put("a", {"miou": 0.5}) == {"key": "a", "miou": 0.5}
    with file.open("a") as stream:
        stream.write('{"key": "b", "mi')
    again = Finished(file, "learn")
    assert again.get("a") == {"key": "a", "miou": 0.5}
    assert again.get("b") is None
    again.put("b", {"miou": 0.25})
    assert Finished(file, "learn").get("b") == {"key": "b", "miou": 0.25}
    file.write_text("[]\n")
    with pytest.raises(WsssError, match=r"x\.jsonl, line 1: is no result of bench learn"):
        Finished(file, "learn")


def test_shares_of_the_ceiling_and_leads_over_the_forest(folders, tmp_path, taught):
    setting = Setting(folders[:1], results=tmp_path, minutes=0.1, segmenter="plain")
    rows = table(learn.measure(setting))
    name = folders[0].name
    ceiling, ours = rows[name, "miou.masks", "plain"], rows[name, "miou.points", "plain"]
    assert ceiling.value == 1
    assert ceiling.reference == rows[name, "miou.scribbles", "forest"].value
    assert rows[name, "of_ceiling.points", "plain"].value == pytest.approx(ours.value)
    assert rows["mean", "of_ceiling.points", "plain"].reference == 0.85
    assert rows["mean", "of_ceiling.scribbles", "plain"].reference == 0.95
    assert rows["mean", "lead.points", "plain"].value == pytest.approx(0)
    assert rows["mean", "lead.masks", "plain"].value == pytest.approx(1 - ours.value)
    assert rows[name, "cpu_seconds.masks", "plain"].value == 2.5


def test_no_side_is_given_masks_of_test_images_and_only_the_ceiling_any(folders, tmp_path, taught):
    list(learn.measure(Setting(folders[:1], results=tmp_path, segmenter="plain")))
    train, test = (read_set(folders[0], split) for split in ("train", "test"))
    for module, task in taught:
        assert [Path(p).stem for p in task["images"]] == [p.stem for p in train.images]
        assert [Path(p).stem for p in task["asked"]] == [p.stem for p in test.images]
        assert sum(bool(task[kind]) for kind in ("masks", "points", "scribbles")) == 1
        if task["masks"]:
            assert module.endswith("_learn_job")
        if module.endswith("_learn_job"):
            told = Training.from_json(task["settings"])
            assert (told.clock, told.minutes, told.held_out, told.threads) == ("cpu", 5.0, 0.0, 1)
    of = Lesson(train, test, tmp_path, "ours", "masks", Training())
    _learning._task(of, tmp_path)
    assert {p.stem for p in (tmp_path / "masks").iterdir()} == {p.stem for p in train.images}


def test_what_is_finished_is_not_taught_again_but_other_settings_are(folders, tmp_path, taught):
    setting = Setting(folders[:1], results=tmp_path, segmenter="plain")
    first = list(learn.measure(setting))
    count = len(taught)
    assert count == 5
    assert list(learn.measure(setting)) == first
    assert len(taught) == count
    list(learn.measure(Setting(folders[:1], results=tmp_path, segmenter="plain", minutes=1.0)))
    assert len(taught) == count + 3  # the forest has no minutes


def test_gains_are_paired_by_seed_and_have_the_sign_of_the_part(folders, tmp_path, monkeypatch):
    def learnt(lesson, work):
        told = lesson.training
        return {"segmenter": "frozen", "minutes": 2.0, "steps": 9} | {
            "miou": 0.5 + 0.1 * (told.seed or 0) - 0.2 * (told.dice == 0) + 0.05 * told.hardness
        }

    monkeypatch.setattr(losses, "learnt", learnt)
    rows = table(losses.measure(Setting(folders[:1], results=tmp_path, seeds=2)))
    name = folders[0].name
    assert rows[name, "miou.default", "frozen"].value == pytest.approx(0.55)
    assert rows[name, "gain.dice", "frozen"].value == pytest.approx(0.2)
    assert rows[name, "gain.hardness", "frozen"].value == pytest.approx(0.05)
    assert rows[name, "gain.gaussian", "frozen"].value == pytest.approx(0)
    assert rows[name, "std_of_gain.dice", "frozen"].value == pytest.approx(0)
    assert all(Training(**change) != Training() for what, change in losses.VARIANTS.items() if what != losses.DEFAULT)


def curve(strategy, area, last):
    return Summary(strategy, "regions", 5, (0, 1), {}, (0.2, last), (0.0, 0.0), area, None if area is None else 0.01)


def test_areas_lie_between_those_of_random_and_the_ceiling(folders, tmp_path, monkeypatch):
    found = {
        CEILING: curve(CEILING, None, 0.9),
        "ripu": curve("ripu", 0.7, 0.9),
        "entropy": curve("entropy", 0.4, 0.6),
        "random": curve("random", 0.5, 0.72),
    }
    monkeypatch.setattr(asking, "_played", lambda *_: {"segmenter": "frozen", "minutes": 0.25})
    monkeypatch.setattr(asking, "curves", lambda *_: found)
    rows = table(asking.measure(Setting(folders, results=tmp_path)))
    assert rows[folders[0].name, "normalised_area", "ripu"].value == pytest.approx(0.5)
    assert rows[folders[0].name, "normalised_area", "entropy"].value == pytest.approx(-0.25)
    assert rows["all", "sets_above_random", "ripu"].value == 2
    assert rows["all", "sets_above_random", "entropy"].value == 0
    assert rows["mean", "of_ceiling.last", "random"].value == pytest.approx(0.8)


@pytest.fixture
def played(monkeypatch):
    """Plays that are told at once: each strategy has a curve of its own, the same for every seed."""
    asked: list[tuple[str, str, int]] = []
    last = {CEILING: 0.9, "ripu": 0.8, "entropy": 0.6, "random": 0.7}

    def simulate(project, truth, play, *, units, device):
        ((strategy, seed),) = units
        asked.append((truth.name, strategy, seed))
        if play.training:
            assert play.training.hardness == (strategy == "hardness")  # whose score no other learner has
        rounds = 1 if strategy == CEILING else 2
        mious = [last.get(strategy, 0.5)] if rounds == 1 else [0.3, last.get(strategy, 0.5)]
        return [Round(strategy, "regions", seed, n, 10 * (n + 1), 0.01, 1, 1.0, mious[n], 1.0) for n in range(rounds)]

    monkeypatch.setattr(asking, "simulate", simulate)
    return asked


def test_only_the_first_two_sets_are_played_with_every_strategy(folders, tmp_path, played):
    third = write_sets(tmp_path / "more", images=3, size=64, tests=2)[0]
    third = third.rename(third.with_name("third"))
    list(asking.measure(Setting((*folders, third), results=tmp_path / "out", seeds=1)))
    strategies = {of: {s for name, s, _ in played if name == of} for of in (folders[0].name, folders[1].name, "third")}
    assert {CEILING, *asking.MAIN} == strategies["third"]
    assert strategies["third"] | set(asking.others()) == strategies[folders[0].name] == strategies[folders[1].name]


def test_the_label_model_alone_plays_what_needs_no_training(folders, tmp_path, played):
    setting = Setting(folders, results=tmp_path / "out", seeds=1, segmenter=asking.NOTHING)
    rows = table(asking.measure(setting))
    assert {"margin", "impurity"} < {s for _, s, _ in played}
    assert "hardness" not in {s for _, s, _ in played}
    assert rows["all", "sets_above_random", "ripu"].value == 2
    assert not any(what == "budget_of_refit" for _, what, _ in rows)
    trained = len(played)
    list(asking.measure(replace(setting, segmenter=None)))
    assert len(played) > 2 * trained  # other rows


def test_shards_play_everything_once_and_their_rows_are_the_table_anywhere(folders, tmp_path, played, monkeypatch):
    notes: list[str] = []
    setting = Setting(folders, results=tmp_path / "out", seeds=2, note=notes.append)
    for k in (1, 2, 3):
        assert list(asking.measure(replace(setting, shard=Shard(k, 3)))) == []
    assert notes[0].startswith("bench asking: shard 1 of 3 is finished, its rows are in ")
    assert len(played) == len(set(played)) == 2 * 2 * (1 + len(asking.MAIN) + len(asking.others()))
    links = [(tmp_path / "out" / "asking" / f"{folders[0].name}.shard-{k}-of-3" / "cache").resolve() for k in (1, 2, 3)]
    assert set(links) == {tmp_path / "out" / "asking" / "features" / folders[0].name}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    rows = [line for file in (tmp_path / "out").glob("asking.*.jsonl") for line in file.read_text().splitlines()]
    (elsewhere / "asking.jsonl").write_text("".join(line + "\n" for line in rows))
    moved = tmp_path / "moved"
    copies = tuple(Path(shutil.copytree(folder, moved / folder.name)) for folder in folders)
    monkeypatch.setattr(asking, "simulate", lambda *_, **__: pytest.fail("played again"))
    found = table(asking.measure(replace(setting, sets=copies, results=elsewhere)))
    assert found == table(asking.measure(setting))
    assert found["all", "sets_above_random", "ripu"].value == 2
    assert found[folders[0].name, "seeds", "frozen"].value == 2
    assert not (elsewhere / "asking").exists()


def test_stored_rows_alone_give_the_curves_of_seeds_that_every_strategy_has(folders, tmp_path, played):
    notes: list[str] = []
    setting = Setting(folders[:1], results=tmp_path, seeds=2, note=notes.append)
    assert list(asking.measure(replace(setting, stored=True))) == []
    list(asking.measure(setting))
    lines = (tmp_path / "asking.jsonl").read_text().splitlines(keepends=True)
    cut = [line for line in lines if not ('"margin"' in line or ('"ripu"' in line and '"seed": 1' in line))]
    (tmp_path / "asking.jsonl").write_text("".join(cut))
    played.clear()
    notes.clear()
    found = table(asking.measure(replace(setting, stored=True)))
    assert played == []
    assert notes == [
        f"bench asking: {len(cut)} of {len(lines)} trainings or plays are finished; without --stored the same command "
        "makes the others"
    ]
    assert found[folders[0].name, "seeds", "frozen"].value == 1
    assert (folders[0].name, "area", "hardness") in found
    assert (folders[0].name, "area", "margin") not in found


def test_shards_of_lessons_make_each_once_and_leave_what_is_whole(folders, tmp_path, taught):
    setting = Setting(folders, results=tmp_path, segmenter="plain")
    first = replace(setting, shard=Shard(1, 2))
    assert list(learn.measure(first)) == []
    assert len(taught) == 5
    (tmp_path / "learn.shard-2-of-2.jsonl").write_text('{"key": "being writ')
    assert list(learn.measure(replace(setting, stored=True))) == []
    assert (tmp_path / "learn.shard-2-of-2.jsonl").read_text() == '{"key": "being writ'
    assert list(learn.measure(replace(setting, shard=Shard(2, 2)))) == []
    assert len(taught) == 10
    assert {row.set for row in learn.measure(setting)} == {*(folder.name for folder in folders), "mean"}
    assert len(taught) == 10
    (tmp_path / "learn.shard-1-of-2.jsonl").unlink()
    assert list(learn.measure(replace(setting, sets=folders[:1], stored=True))) == []


def test_a_shard_goes_on_after_a_unit_that_failed_and_says_so_at_the_end(folders, tmp_path, taught, monkeypatch):
    job = _learning.job

    def failing(module, arguments, threads=None):
        if json.loads(Path(arguments[0]).read_text())["points"]:
            raise WsssError("out of memory")
        return job(module, arguments, threads)

    monkeypatch.setattr(_learning, "job", failing)
    notes: list[str] = []
    setting = Setting(folders[:1], results=tmp_path, segmenter="plain", note=notes.append)
    with pytest.raises(WsssError, match=r"bench learn: 2 failed, the last .* ours points: out of memory"):
        list(learn.measure(replace(setting, shard=Shard(1, 1))))
    assert [note.partition(": ")[2] for note in notes] == [
        f"{folders[0].name} forest points: out of memory",
        f"{folders[0].name} ours points: out of memory",
    ]
    assert len(taught) == 3
    with pytest.raises(WsssError, match=r"^out of memory$"):
        list(learn.measure(setting))


def test_a_gpu_is_given_minutes_of_the_clock_and_its_rows_say_so(folders, tmp_path, taught, capsys):
    rows = table(learn.measure(Setting(folders[:1], results=tmp_path, segmenter="plain", minutes=0.5, device="cuda")))
    ours = [task for module, task in taught if module.endswith("_learn_job")]
    assert {task["device"] for task in ours} == {"cuda"}
    assert {Training.from_json(task["settings"]).clock for task in ours} == {"wall"}
    budget = rows[folders[0].name, "budget", "plain, cuda (a card), bfloat16"]
    assert (budget.value, budget.unit) == (0.5, "wall min")
    assert rows[folders[0].name, "train_seconds.masks", "plain"].value == 30.5
    list(learn.measure(Setting(folders[:1], results=tmp_path, segmenter="plain", minutes=0.5)))
    assert len(taught) == 5 + 3  # a CPU's rows are others, the forest's the same


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["learn", "--shard", "3/2"], "'3/2' is not K/N with K from 1 to N"),
        (["learn", "--shard", "1"], "is not K/N"),
        (["learn", "--shard", "1/2", "--stored"], "leave out one of them"),
        (["tile", "--stored"], "--stored is of the benchmarks asking, learn, losses; name one of them"),
        (["--device", "cuda"], "--device is of the benchmarks"),
    ],
)
def test_what_no_benchmark_can_be_told_is_one_line(options, said, capsys):
    assert main(["bench", *options]) == 2
    assert said in capsys.readouterr().err


def test_parts_and_device_reach_the_benchmark(monkeypatch, capsys):
    told = []
    monkeypatch.setattr("napari_wsss.bench.measure", lambda name, setting: told.append(setting) or iter(()))
    assert main(["bench", "losses", "--device", "cuda", "--shard", "2/5"]) == 0
    assert main(["bench", "losses", "--stored"]) == 0
    assert (told[0].device, told[0].shard, told[0].stored) == ("cuda", Shard(2, 5), False)
    assert (told[1].device, told[1].shard, told[1].stored) == ("cpu", None, True)


def test_the_job_learns_and_answers_images_that_it_never_trained_on(folders, tmp_path, capsys):
    train, test = (read_set(folders[0], split) for split in ("train", "test"))
    write_hints(train, tmp_path / "hints")
    quick = budgeted(Setting(minutes=1.0), 1.0, "plain")
    settings = Training(**{**json.loads(quick.to_json()), "steps": 2, "tile": 32, "batch": 2, "complete": False})
    lesson = Lesson(train, test, tmp_path / "hints", "ours", "scribbles", settings, project=tmp_path / "kept")
    for _ in range(2):  # the second time in the same project
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        _learn_job.main(_learning._task(lesson, out))
        assert json.loads(capsys.readouterr().out)["steps"] == 2
        for path in test.images:
            assert (np.asarray(Picture.open(out / f"{path.stem}.png")) > 0).all()


def test_what_takes_hours_runs_only_when_it_is_named(monkeypatch, capsys):
    assert set(HOURS) <= set(names())
    ran = []
    monkeypatch.setattr("napari_wsss.bench.measure", lambda name, setting: ran.append(name) or iter(()))
    assert main(["bench", "--json"]) == 0
    assert set(ran) == set(names()) - set(HOURS)
    for wrong in ("0", "soon", "inf"):
        assert main(["bench", "learn", "--minutes", wrong]) == 2
    assert "is not a number of minutes" in capsys.readouterr().err


def test_a_table_has_what_was_measured_down_and_sets_across(monkeypatch, capsys, tmp_path):
    rows = [
        Row("a", "miou", "ours", 0.51239, "share"),
        Row("b", "miou", "ours", 0.25, "share"),
        Row("b", "cpu", "x", 301.2, "s"),
    ]
    wanted = (
        "| what | method | a | b |\n| --- | --- | --- | --- |\n"
        "| miou | ours | 0.512 | 0.250 |\n| cpu | x | – | 301.2 |\n"
    )
    assert as_markdown(row.as_json() for row in rows) == wanted
    monkeypatch.setattr("napari_wsss.bench.measure", lambda name, setting: iter(rows))
    assert main(["bench", "learn", "--markdown", str(tmp_path / "t.md")]) == 0
    assert (tmp_path / "t.md").read_text(encoding="utf-8") == wanted
    assert "miou" in capsys.readouterr().out
