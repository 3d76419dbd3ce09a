"""The torch thread: order, slots, stopping, letting clicks pass, errors."""

from __future__ import annotations

import importlib
import threading

import pytest

from napari_wsss.compute import Priority, TorchThread
from napari_wsss.errors import Cancelled


@pytest.fixture
def thread():
    made = TorchThread("test")
    yield made
    made.shutdown(cancel_futures=True)


def blocked(thread: TorchThread, **options):
    """A job that runs until the returned event is set; its own start is waited for."""
    go, running = threading.Event(), threading.Event()

    def work(job):
        running.set()
        assert go.wait(30)
        job.progress(1, 2, "half")
        return "done"

    job = thread.start(work, **options)
    assert running.wait(30)
    return job, go


def test_clicks_go_before_batches_and_batches_before_idle_work(thread):
    first, go = blocked(thread)
    order = []
    jobs = [thread.start(lambda job, p=p: order.append(p), priority=p) for p in reversed(Priority)]
    go.set()
    for job in jobs:
        job.result(30)
    assert first.result(30) == "done"
    assert order == list(Priority)


def test_a_new_job_of_a_slot_drops_the_older_one_waiting_or_running(thread):
    running, go = blocked(thread, slot="a")
    waiting = thread.start(lambda job: "waiting", slot="b")
    newest = thread.start(lambda job: "newest", slot="b")
    thread.start(lambda job: "other", slot="a")
    go.set()
    assert newest.result(30) == "newest"
    assert waiting.cancelled()
    with pytest.raises(Cancelled):
        running.result(30)


def test_a_click_passes_a_running_batch_when_it_reports_progress(thread):
    batch, go = blocked(thread)
    seen = []
    click = thread.start(lambda job: seen.append(batch.done()), priority=Priority.CLICK)
    go.set()
    click.result(30)
    assert batch.result(30) == "done"
    assert seen == [False], "the click waited for the end of the batch"


def test_an_error_reaches_who_asks_and_the_thread_lives_on(thread):
    def work(job):
        raise RuntimeError("CUDA out of memory")  # thread_worker would swallow this kind

    with pytest.raises(RuntimeError, match="out of memory"):
        thread.start(work).result(30)
    assert thread.submit(max, 1, 2).result(30) == 2


def test_work_always_runs_in_the_same_thread(thread):
    names = {thread.submit(lambda: threading.get_ident()).result(30) for _ in range(5)}
    assert len(names) == 1
    assert names != {threading.get_ident()}


def test_shutdown_ends_the_thread_and_refuses_more():
    thread = TorchThread("short")
    job, go = blocked(thread)
    waiting = thread.start(lambda job: 1)
    go.set()
    thread.shutdown(cancel_futures=True)
    assert waiting.cancelled()
    assert job.done()
    assert "short" not in {t.name for t in threading.enumerate()}
    with pytest.raises(RuntimeError, match="shut down"):
        thread.start(lambda job: 1)


@pytest.mark.parametrize(("priority", "times"), [(Priority.CLICK, 0), (Priority.BATCH, 1), (Priority.IDLE, 1)])
def test_memory_goes_back_after_what_nobody_waits_for_once_nothing_else_is_to_do(monkeypatch, priority, times):
    given, clicked = [], []
    module = importlib.import_module("napari_wsss.compute.torch_thread")  # the package has a function of this name
    monkeypatch.setattr(module, "give_back", lambda: given.append(len(clicked)))
    thread = TorchThread("test")
    _, go = blocked(thread, priority=priority)
    thread.start(clicked.append, priority=Priority.CLICK)
    go.set()
    thread.shutdown()
    assert given == [1] * times


def test_progress_from_another_thread_lets_nothing_pass(thread):
    batch, go = blocked(thread)
    click = thread.start(lambda job: 1, priority=Priority.CLICK)
    batch.progress(0, 1, "from a helper thread")
    assert not click.done()
    go.set()
    assert click.result(30) == 1
