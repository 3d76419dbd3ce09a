"""Workers: processes of this machine and of a dask scheduler; they are killed in the middle and nothing is missing."""

from __future__ import annotations

import os
import signal
import sqlite3
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_wsss import spreading
from napari_wsss.cli import main
from napari_wsss.errors import Cancelled, WsssError
from napari_wsss.pipeline import run
from napari_wsss.prediction import predict
from napari_wsss.project import Project, journal
from napari_wsss.spreading import ATTEMPTS, spread
from napari_wsss.training.loop import train
from napari_wsss.workers import Workers, processes, scheduler
from tests.toy_projects import make, plan
from tests.training.toy import QUICK, accepted

COUNT = 7


# --------------------------------------------------------------------------- spreading


class _DieOnce:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __call__(self, number: int) -> int:
        if number == 3 and not Path(self.marker).exists():
            Path(self.marker).touch()
            os._exit(9)
        return number * number


def _always_die(number: int) -> int:
    os._exit(9)


def _raise(number: int) -> int:
    raise ZeroDivisionError(str(number))


def _square(number: int) -> int:
    return number * number


def forked(count: int = 2, made: list[int] | None = None) -> Workers:
    """Quick workers; forks are fine where nothing uses torch."""

    def make() -> ProcessPoolExecutor:
        (made if made is not None else []).append(1)
        return ProcessPoolExecutor(count)

    return Workers(make, lambda: count)


def test_a_worker_that_dies_in_the_middle_costs_nothing(tmp_path):
    made: list[int] = []
    assert dict(spread(_DieOnce(tmp_path / "marker"), range(8), forked(2, made))) == {n: n * n for n in range(8)}
    assert (tmp_path / "marker").exists()
    assert len(made) == 2


def test_what_kills_every_worker_is_named_and_ends(tmp_path):
    made: list[int] = []
    with pytest.raises(WsssError, match=f"workers died {ATTEMPTS} times over 1;"):
        list(spread(_always_die, [1], forked(1, made)))
    assert len(made) == ATTEMPTS


def test_what_the_work_raises_is_raised_here():
    with pytest.raises(ZeroDivisionError, match="2"):
        list(spread(_raise, [2], forked()))


@pytest.mark.parametrize("workers", [None, forked(2)])
def test_no_more_is_taken_than_keeps_the_workers_busy(workers):
    taken: list[int] = []

    def items():
        for n in range(40):
            taken.append(n)
            yield n

    most = 0
    for done, _ in enumerate(spread(_square, items(), workers)):
        most = max(most, len(taken) - done)
    assert len(taken) == 40
    assert most <= (1 if workers is None else 4)


class Forgetful(ThreadPoolExecutor):
    """Takes the first piece of work and never answers."""

    lost = 0

    def submit(self, work, item):
        if not Forgetful.lost:
            Forgetful.lost += 1
            return Future()
        return super().submit(work, item)


@pytest.mark.parametrize("idle", [True, False])
def test_what_idle_workers_lost_without_a_word_is_done_again(monkeypatch, idle):
    monkeypatch.setattr(spreading, "PATIENCE", 0.05)
    monkeypatch.setattr(Forgetful, "lost", 0)
    waits = iter([False, idle, True])
    workers = Workers(lambda: Forgetful(2), lambda: 2, idle=lambda: next(waits))
    assert dict(spread(_square, range(6), workers)) == {n: n * n for n in range(6)}
    assert Forgetful.lost == 1


# --------------------------------------------------------------------------- predict and run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a segmenter, and what one process predicts with it."""
    with accepted(tmp_path_factory.mktemp("trained"), COUNT, 3) as project:
        train(project, replace(QUICK, steps=2), device="cpu")
        predict(project, device="cpu")
        return project.folder, {r.name: project.result(r.name, "predicted") for r in project.records()}


@pytest.fixture(scope="module")
def hinted(tmp_path_factory):
    """A project with hints, and what one process makes of it."""
    with make(tmp_path_factory.mktemp("hinted"), COUNT, 2) as project:
        report = run(project, plan())
        assert len(report.computed["refine"]) == COUNT
        return project.folder, results(project)


def results(project: Project) -> dict[str, tuple]:
    return {
        r.name: (
            project.result(r.name, "pseudo"),
            project.result(r.name, "refined"),
            replace(project.result_provenance(r.name, "pseudo"), when=""),
        )
        for r in project.records()
    }


@pytest.fixture(scope="module")
def cluster():
    """A dask scheduler with two worker processes, each watched by a nanny that starts another when it dies."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


class Killer:
    """Progress that kills a worker's process once, when the first image of a job has come back."""

    def __init__(self, pids, said: str) -> None:
        self.pids, self.said, self.killed = pids, said, None

    def __call__(self, done: int, total: int, what: str) -> None:
        if what.startswith(self.said) and done < total and self.killed is None:
            self.killed = self.pids()[0]
            os.kill(self.killed, signal.SIGKILL)


class Counted:
    """Two processes of this machine; remembers the executors."""

    def __init__(self) -> None:
        self.made, self.plain = [], processes(2)
        self.workers = Workers(self._make, self.plain.count)

    def _make(self):
        self.made.append(self.plain.make())
        return self.made[-1]

    def pids(self) -> list[int]:
        return list(self.made[-1]._processes)


def predictions_of(project: Project) -> set[str]:
    """Names of the files of predictions; each new one has a new name."""
    return {file.name for file in (project.folder / "results" / "predicted").iterdir()}


def assert_predicted(folder: Path, wanted, workers: Workers, killer: Killer) -> None:
    with Project.open(folder) as project:
        report = predict(project, device="cpu", again=True, workers=workers, progress=killer)
        assert killer.killed is not None
        assert sorted(report.predicted) == sorted(wanted)
        assert not report.failed
        for name, before in wanted.items():
            now = project.result(name, "predicted")
            assert np.array_equal(now.labels, before.labels)
            assert np.array_equal(now.probabilities, before.probabilities)
        assert project.check() == []


def assert_run(folder: Path, wanted, workers: Workers, killer: Killer) -> None:
    with Project.open(folder) as project:
        report = run(project, plan(again=True), killer, workers)
        assert killer.killed is not None
        assert sorted(report.computed["pseudo"]) == sorted(report.computed["refine"]) == sorted(wanted)
        assert not report.failed
        for name, (pseudo, refined, maker) in results(project).items():
            before = wanted[name]
            assert np.array_equal(pseudo.probabilities, before[0].probabilities)
            assert np.array_equal(refined.labels, before[1].labels)
            assert maker == before[2]
        assert project.check() == []


def test_a_process_is_killed_in_the_middle_of_predict_and_of_run(trained, hinted):
    counted = Counted()
    assert_predicted(*trained, counted.workers, Killer(counted.pids, "predict"))
    assert len(counted.made) == 2
    counted = Counted()
    assert_run(*hinted, counted.workers, Killer(counted.pids, "pseudo:"))
    assert len(counted.made) == 3  # pseudo, pseudo again, refine


def test_a_dask_worker_is_killed_in_the_middle_of_predict_and_of_run(trained, hinted, cluster):
    def busy() -> list[int]:
        """Process ids of workers, those that hold work first."""
        loaded = cluster.scheduler.workers.values()
        by_work = sorted(loaded, key=lambda w: -len(w.processing))
        return [cluster.workers[w.name].pid for w in by_work]

    with scheduler(cluster.scheduler_address) as workers:
        assert_predicted(*trained, workers, Killer(busy, "predict"))
        assert_run(*hinted, workers, Killer(busy, "pseudo:"))


def test_workers_never_open_the_journal(trained, tmp_path, monkeypatch):
    """SQLite's write-ahead log must not be shared between machines; threads here stand for workers elsewhere."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import current_thread

    real, opened_by = sqlite3.connect, set()

    def watched(*arguments, **options):
        opened_by.add(current_thread().name)
        return real(*arguments, **options)

    monkeypatch.setattr(journal.sqlite3, "connect", watched)
    with Project.open(trained[0]) as project:
        threads = Workers(lambda: ThreadPoolExecutor(1, "worker"), lambda: 1)
        assert len(predict(project, device="cpu", again=True, workers=threads).predicted) == COUNT
    with make(tmp_path) as project:
        assert len(run(project, plan(), workers=threads).computed["refine"]) == 3
    assert opened_by == {current_thread().name}


def test_cancelling_ends_the_workers_and_keeps_what_was_finished(trained):
    counted = Counted()

    def enough(done: int, total: int, what: str) -> None:
        if done == 2:
            raise Cancelled("enough")

    with Project.open(trained[0]) as project:
        before = predictions_of(project)
        with pytest.raises(Cancelled):
            predict(project, device="cpu", again=True, workers=counted.workers, progress=enough)
        assert counted.made[0]._processes is None  # shut down
        assert project.check() == []
        assert len(predictions_of(project) - before) == 2


def test_an_image_that_is_gone_is_one_line_and_the_others_go_on(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    threads = Workers(lambda: ThreadPoolExecutor(2), lambda: 2)
    with make(tmp_path) as project:
        (tmp_path / "images" / "2.png").unlink()
        report = run(project, plan(), workers=threads)
        assert sorted(report.computed["refine"]) == ["0.png", "1.png"]
        assert len(report.failed) == 1
        assert "2.png: its file is gone" in report.failed[0]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--workers", "-1"), "a number of processes from 0 on"),
        (("--workers", "2", "--scheduler", "tcp://127.0.0.1:1"), "brings its own workers"),
        (("--scheduler", "nonsense://127.0.0.1:1"), "no dask scheduler answers"),
    ],
)
@pytest.mark.parametrize("command", ["run", "predict"])
def test_wrong_workers_are_one_line(trained, capsys, command, words, line):
    assert main([command, str(trained[0]), *words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_without_dask_the_line_says_what_to_install(trained, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert main(["predict", str(trained[0]), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "napari-wsss[cluster]" in capsys.readouterr().err
