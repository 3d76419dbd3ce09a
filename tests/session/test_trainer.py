"""The trainer without a window: one process, started, paused, stopped, killed and gone on with."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_wsss.project import Project
from napari_wsss.session.curve import CurveReader
from napari_wsss.session.trainer import Trainer, Wish
from napari_wsss.training import Training
from napari_wsss.training.run_folder import RUNS, new_run, runs
from napari_wsss.training.yielding import BUSY, PAUSE, STOP, WINDOW, Signals
from napari_wsss.types import Box, Point
from tests.session.hand import Hand
from tests.toy_projects import BY, clicks

TRAINING = 600  # seconds: the process is polite, and starves on a machine that does much else
posix = pytest.mark.skipif(os.name != "posix", reason="signals and parents are POSIX's")


def until(hand: Hand, so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TRAINING
    while not so():
        assert time.monotonic() < deadline, f"still not: {what}; told {hand.told}, failed {hand.failed}"
        hand.settle()
        time.sleep(0.01)


@pytest.fixture
def trainer(hand: Hand):
    """Of a project of three images, two of which are clicked."""
    for n in range(2):
        hand.session.project.add_marks(f"{n}.png", clicks(n), BY)
    made = hand.session.trainer
    made.wish = Wish("frozen", minutes=10)
    yield made
    made.leave()
    assert made.join(60), "a process was left behind"


def begun(hand: Hand, trainer: Trainer, steps: int = 2) -> None:
    until(hand, lambda: trainer.state == "training" and len(trainer.curve.losses) >= steps, "learning")


def test_a_run_tells_its_curve_pauses_and_stops(hand: Hand, trainer: Trainer):
    folder = hand.session.project.folder
    trainer.start()
    hand.settle()
    assert trainer.state == "starting"
    begun(hand, trainer)
    assert "cpu" in trainer.words
    assert f"step {trainer.curve.step}" in trainer.words
    trainer.pause()
    assert trainer.state == "paused"
    assert (folder / RUNS / PAUSE).exists()
    until(hand, lambda: runs(folder)[-1].checkpoint.is_file(), "a checkpoint before the pause")
    trainer.go_on()
    assert trainer.state == "training"
    steps = trainer.curve.step
    until(hand, lambda: trainer.curve.step > steps, "more steps")
    trainer.stop()
    assert trainer.state == "stopping"
    until(hand, lambda: trainer.state == "idle", "ended")
    assert hand.told[-1].startswith("Training ended.")
    assert trainer.can_go_on
    assert runs(folder)[-1].weights.is_file()
    assert not [name for name in (PAUSE, STOP) if (folder / RUNS / name).exists()]


@posix
def test_a_killed_run_is_told_in_words_and_gone_on_with(hand: Hand, trainer: Trainer):
    trainer.start()
    begun(hand, trainer)
    trainer.pause()  # it saves
    until(hand, lambda: runs(hand.session.project.folder)[-1].checkpoint.is_file(), "a checkpoint")
    step = trainer.curve.step
    os.kill(trainer.pid, signal.SIGKILL)
    until(hand, lambda: trainer.state == "idle", "ended")
    (line,) = hand.failed
    assert "signal 9" in line
    assert "press Go on" in line
    hand.failed.clear()
    trainer.go_on()
    begun(hand, trainer)
    until(hand, lambda: trainer.curve.step > step, "further than before")
    assert trainer.curve.run == 1
    assert [s for s, _ in trainer.curve.losses] == list(range(1, trainer.curve.step + 1)), "a step is missing or twice"


def test_a_stop_before_it_began_ends_it_at_once(hand: Hand, trainer: Trainer):
    trainer.start()
    hand.settle()
    assert trainer.state == "starting"
    trainer.stop()
    until(hand, lambda: trainer.state == "idle", "ended")
    assert not hand.failed


def test_leaving_the_project_ends_its_training(hand: Hand, trainer: Trainer):
    folder = hand.session.project.folder
    trainer.start()
    begun(hand, trainer)
    trainer.pause()
    hand.session.leave_project()
    assert trainer.state == "idle"
    assert trainer.join(60)
    assert runs(folder)[-1].checkpoint.is_file()
    assert not (folder / RUNS / PAUSE).exists(), "a run from the command line would wait for ever"
    hand.session.open_project(folder)
    hand.settle()
    assert trainer.curve.losses, "the curve of the last run is not shown again"
    assert trainer.wish.segmenter == "frozen"
    assert trainer.can_go_on


def test_a_refusal_of_the_program_is_told_with_its_reason(hand: Hand, trainer: Trainer):
    trainer.wish = Wish("dreams")
    trainer.start()
    until(hand, lambda: hand.failed, "refused")
    (line,) = hand.failed
    hand.failed.clear()
    assert "no segmenter named 'dreams'" in line
    assert "press Start" in line
    assert trainer.state == "idle"


def test_each_step_of_a_person_makes_training_wait(hand: Hand, trainer: Trainer):
    busy = hand.session.project.folder / RUNS / BUSY
    hand.session.drafting.click(5, 5)
    assert not busy.exists(), "nothing trains"
    trainer.start()
    hand.settle()
    os.makedirs(busy.parent, exist_ok=True)
    hand.session.drafting.click(8, 8)
    assert time.time() - busy.stat().st_mtime < 60
    os.utime(busy, (1000, 1000))
    hand.session.undo()
    assert busy.stat().st_mtime > 1000


@pytest.mark.parametrize(
    ("marks", "line"),
    [
        ((), "Nothing to learn from yet"),
        ((Point(5, 5, 2), Point(9, 9, 2)), "All that is labelled is cell"),
    ],
)
def test_without_enough_labels_one_line_says_what_is_missing(hand: Hand, marks, line: str):
    if marks:
        hand.session.project.add_marks("0.png", marks, BY)
    hand.session.trainer.start()
    hand.settle()
    assert line in hand.told[-1]
    assert hand.session.trainer.state == "idle"
    assert not runs(hand.session.project.folder)


def test_boxes_of_one_class_are_enough_they_say_where_it_is_not(folder: Path):
    from napari_wsss.session.taught import lacking

    with Project.open(folder) as project:
        project.add_marks("0.png", [Box(5, 5, 20, 20, 2)], BY)
        assert lacking(project) == ""


def test_a_curve_is_read_as_it_grows_and_again_where_it_was_replaced(tmp_path: Path):
    run = new_run(tmp_path, Training())
    reader = CurveReader(run)
    assert reader.read().losses == ()
    run.add_metrics({"step": 1, "loss": 2.0, "seconds": 1.5})
    metrics = run.folder / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"step": 2, "lo')
    assert reader.read().losses == ((1, 2.0),)
    with metrics.open("a") as file:
        file.write('ss": 1.0}\n')
    run.add_metrics({"step": 2, "held_out_miou": 0.5})
    curve = reader.read()
    assert curve.losses == ((1, 2.0), (2, 1.0))
    assert (curve.best, curve.step, curve.seconds) == (0.5, 2, 1.5)
    run.forget_metrics_after(1)
    run.add_metrics({"step": 2, "loss": 0.7})
    assert reader.read().losses == ((1, 2.0), (2, 0.7))


@posix
def test_a_run_whose_window_is_gone_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(WINDOW, str(os.getppid()))
    assert not Signals(tmp_path).stop
    monkeypatch.setenv(WINDOW, str(os.getpid()))
    assert Signals(tmp_path).stop
    assert WINDOW not in os.environ, "processes that the run starts would think so, too"
