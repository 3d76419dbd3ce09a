"""Widgets that go while somebody calls them: garbage collection may come at any line."""

from __future__ import annotations

import gc

from psygnal import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_wsss.widgets.listening import listen, while_alive


class Source:
    said = Signal(str, int)


class Listener(QWidget):
    """Says what it heard in a label, after a collection of garbage in the middle of it."""

    heard = 0

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.label = QLabel(self)
        listen(self, source.said, self.hear)

    def hear(self, what: str) -> None:
        gc.collect()
        self.label.setText(what)
        Listener.heard += 1


class Around(QWidget):
    """What a listener lies in; a ring of references, so that only the collector takes it."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.listener = Listener(source)
        QVBoxLayout(self).addWidget(self.listener)
        self.ring = [self]


def test_nothing_is_deleted_in_the_middle_of_a_call_and_nothing_is_called_later(qapp):
    source = Source()
    Listener.heard = 0
    gc.disable()
    try:
        Around(source)  # garbage at once
        source.said.emit("first", 1)
        assert Listener.heard == 1
        gc.collect()
        source.said.emit("second", 2)
        assert Listener.heard == 1
    finally:
        gc.enable()


def test_an_answer_for_a_widget_that_is_gone_is_dropped(qapp):
    source, got = Source(), []
    around = Around(source)
    answer = while_alive(around.listener, got.append)
    answer("there")
    around.ring.clear()
    del around
    gc.collect()
    answer("gone")
    assert got == ["there"]
