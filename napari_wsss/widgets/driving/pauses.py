"""The longest pause of the window's event loop while something heavy goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from qtpy.QtCore import Qt, QTimer

from napari_wsss.choices import STAGES
from napari_wsss.compute import Priority
from napari_wsss.viewer.bound import binding_of
from napari_wsss.widgets.driving.hand import Hand

_TICK = 5  # ms
_AFTER = (0.1, 0.4, 0.9, 1.7)  # seconds until Cancel


@dataclass
class Longest:
    """Seconds between two ticks, at most."""

    seconds: float = 0.0


@contextmanager
def watched() -> Iterator[Longest]:
    """Watch the event loop while the block runs."""
    found, last = Longest(), time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        found.seconds, last = max(found.seconds, now - last), now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(_TICK)
    try:
        yield found
        tick()
    finally:
        timer.stop()


def while_it(hand: Hand, so: Callable[[], object], what: str) -> float:
    """The longest pause until something is so, the mouse wandering over the image meanwhile."""
    shape, turn = hand.session.opened.shape if hand.session.opened else (1, 1), 0
    with watched() as longest:
        while not so():
            turn += 1
            hand.move(shape[0] / 2 + turn % 20, shape[1] / 2 + 2 * (turn % 20))
            hand.pause(0.05)
    return longest.seconds


def pauses(hand: Hand, training: float) -> dict[str, float]:
    """Pauses at rest, while the next image is opened and embedded, while all stages run, and beside a training run.

    ``cancel`` is no pause: the longest time from Cancel until the stages have stopped.

    Parameters
    ----------
    training : float
        Minutes of the training run.
    """
    session, binding = hand.session, binding_of(hand.viewer)
    until = time.perf_counter() + 2
    found = {"resting": while_it(hand, lambda: time.perf_counter() > until, "later")}
    with watched() as longest:
        hand.key(Qt.Key.Key_N)
        hand.until(lambda: not (session.is_opening or binding.turns.waiting), "the next image open")
    found["opening"] = longest.seconds
    looked = session.thread.start(lambda job: None, priority=Priority.IDLE)
    found["embedding"] = while_it(hand, looked.done, "embedded")
    session.working.run(STAGES)
    found["stages"] = while_it(
        hand, lambda: session.working.work is None and binding.shown_layer("refined") is not None, "the mask shown"
    )
    hand.rest()
    found["cancel"] = max(cancelled(hand, after, bool(n % 2)) for n, after in enumerate(_AFTER))
    if session.project is not None and training:
        found["training"] = beside(hand, training)
    return found


def cancelled(hand: Hand, after: float, tagged: bool) -> float:
    """Seconds from Cancel, so long after all stages were started, until nothing runs. A tag makes them start anew."""
    working = hand.session.working
    hand.session.labelling.set_tag(1, None if tagged else True)
    working.run(STAGES)
    hand.pause(after)
    start = time.perf_counter()
    working.cancel()
    hand.until(lambda: working.work is None, "the stages stopped")
    return time.perf_counter() - start


def beside(hand: Hand, minutes: float) -> float:
    """The longest pause from the start of a training in the dock until it has ended."""
    trainer = hand.session.trainer
    trainer.wish = replace(trainer.wish, minutes=minutes)
    trainer.start()
    hand.until(lambda: trainer.state != "idle", "training")
    return while_it(hand, lambda: trainer.state == "idle", "trained")
