"""Loading is not slowed by the collector of garbage, and leaves it as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import types

import pytest

from napari_wsss.compute import collecting
from napari_wsss.compute.collecting import loading


@pytest.fixture(autouse=True)
def thawed():
    collecting._is_over = False
    yield
    collecting._is_over = False
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_within_and_all_as_before_after_it():
    with loading():
        assert not gc.isenabled()
        with loading():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_last_thread_to_leave_turns_collecting_on():
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with loading():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with loading():
        thread.start()
        assert entered.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_a_process_that_never_collects_is_left_so():
    gc.disable()
    with loading():
        pass
    assert not gc.isenabled()


def test_what_many_modules_left_is_set_aside_and_what_a_few_left_is_not(monkeypatch):
    before = gc.get_freeze_count()
    with loading():
        pass
    assert gc.get_freeze_count() == before
    with loading():
        for n in range(collecting._MANY + 1):
            monkeypatch.setitem(sys.modules, f"loaded_{n}", types.ModuleType(f"loaded_{n}"))
    assert gc.get_freeze_count() > before


def test_it_ends_as_before_when_loading_fails():
    with pytest.raises(ImportError), loading():
        raise ImportError("not there")
    assert gc.isenabled()


def test_once_a_window_was_closed_everything_is_collected_again(monkeypatch):
    monkeypatch.setattr(collecting, "_MANY", -1)
    with loading():
        pass
    assert gc.get_freeze_count() > 0
    collecting.collect_all()
    with loading():
        pass
    assert gc.get_freeze_count() == 0


def test_at_the_end_of_the_process_nothing_is_left_aside():
    code = (
        "import atexit, gc; atexit.register(lambda: print('set aside:', gc.get_freeze_count()))\n"
        "from napari_wsss.compute import collecting; collecting._MANY = 0\n"
        "with collecting.loading():\n    import mailbox\n"
        "print('within:', gc.get_freeze_count() > 0)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == ["within: True", "set aside: 0"]
