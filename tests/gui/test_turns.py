"""Pieces of the window's work: in their order, what nobody waits for last, and the window is drawn again after each."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_wsss.viewer.turns import Turns


@pytest.fixture
def window(qtbot):
    made = QMainWindow()
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_pieces_come_in_their_order_and_what_nobody_waits_for_comes_last(qtbot, window):
    turns, done = Turns(), []
    turns.add_unseen("unseen", lambda: done.append("unseen"))
    for name in ("a", "b"):
        turns.add(name, lambda name=name: done.append(name))
    turns.add("first", lambda: done.append("first"), first=True)
    qtbot.waitUntil(lambda: not turns.waiting)
    assert done == ["first", "a", "b", "unseen"]


def test_what_nobody_waits_for_waits_while_the_mouse_moves(qtbot, window):
    turns, done = Turns(), []
    turns.add_unseen("unseen", lambda: done.append("unseen"))
    for _ in range(20):
        qtbot.wait(20)
        turns.stir()
    assert not done
    qtbot.waitUntil(lambda: done == ["unseen"])


def test_a_window_is_drawn_again_after_a_piece_also_where_it_fails_or_all_is_stopped(qtbot, window):
    turns, drawn = Turns(), []

    def fail() -> None:
        drawn.append(window.updatesEnabled())
        raise RuntimeError("a piece failed")

    turns.add("fails", fail)
    with qtbot.captureExceptions():
        qtbot.waitUntil(lambda: drawn == [False])
        qtbot.waitUntil(window.updatesEnabled)
    turns.add("stops", lambda: turns.stop())
    qtbot.waitUntil(lambda: not turns.waiting)
    assert window.updatesEnabled()
    assert all(w.updatesEnabled() for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow))
