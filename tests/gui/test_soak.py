"""A long day in the window: random actions with a fixed seed, waited for or not, windows closed and opened again.

Nothing fails, the disk holds what is shown, no window, thread or process is left, and memory does not grow. Each of
these is looked at whatever became of the others.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import psutil
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from skimage.io import imsave

from napari_wsss.drawing import nuclei
from napari_wsss.project import Project
from napari_wsss.project.settings import read_settings
from napari_wsss.session.opened import borders
from napari_wsss.types import Point
from napari_wsss.viewer.layers import role_of
from tests.gui.hands import LEFT, RIGHT, Person, turn

SIDE, IMAGES = 96, 3
ENOUGH = 20  # things that went wrong: the rest would follow from them
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
PLAIN = Qt.KeyboardModifier.NoModifier
KEYS = {
    "accept": (Qt.Key.Key_W, PLAIN),
    "reject": (Qt.Key.Key_Q, PLAIN),
    "undo": (Qt.Key.Key_Z, CONTROL),
    "redo": (Qt.Key.Key_Z, CONTROL | SHIFT),
    "next": (Qt.Key.Key_N, PLAIN),
    "previous": (Qt.Key.Key_N, SHIFT),
    "first class": (Qt.Key.Key_1, PLAIN),
    "second class": (Qt.Key.Key_2, PLAIN),
}
OFTEN = {
    "click": 30, "not": 10, "accept": 14, "undo": 14, "redo": 6, "reject": 4, "paint": 5, "erase": 3, "scribble": 5,
    "box": 3, "block": 2, "next": 4, "previous": 4, "first class": 2, "second class": 4, "hover": 4,
    "delete a layer": 3, "run": 1, "cancel": 2, "accept image": 1, "new dock": 1, "new window": 1,
    "words": 2, "tag": 2, "settings": 1,
}  # fmt: skip


class Day:
    """Somebody who does anything, at any moment."""

    def __init__(self, make_viewer, folder: Path, seed: int) -> None:
        self.make_viewer, self.folder, self.random = make_viewer, folder, Random(seed)
        self.done: list[str] = []
        self.wrong: list[str] = []
        self.closed: list[weakref.ref] = []
        self.sit_down()

    @contextmanager
    def noted(self, what: str) -> Iterator[None]:
        """What goes wrong within is written down, and the day goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the test fails of it, at the end of the day
            self.note(f"{what}: {type(error).__name__}: {str(error)[:500]}")

    def note(self, what: str) -> None:
        self.wrong.append(f"after {len(self.done)} actions, at last {', '.join(self.done[-8:])}: {what}")

    def hear(self) -> None:
        """What the window told of failures."""
        for failure in self.person.failed:
            self.note(f"told: {failure}")
        self.person.failed.clear()

    def sit_down(self) -> None:
        self.person = Person(self.make_viewer(show=True), (1100, 800))
        self.person.session.open_project(self.folder)
        self.person.opened()
        self.person.dock.tools.preview.setChecked(True)

    def stand_up(self) -> None:
        """Close the window, whatever it is doing."""
        self.hear()
        self.closed.append(weakref.ref(self.person.viewer))
        self.person.viewer.close()
        self.person.binding.close()
        del self.person
        turn()

    def act(self) -> None:
        what = self.random.choices(list(OFTEN), list(OFTEN.values()))[0]
        self.done.append(what)
        with self.noted(what):
            if what in KEYS:
                self.person.key(*KEYS[what])
            else:
                getattr(self, what.replace(" ", "_"))()
            if self.random.random() < 0.6:
                self.person.rest()
        self.hear()

    def somewhere(self) -> tuple[int, int]:
        return self.random.randrange(6, SIDE - 6), self.random.randrange(6, SIDE - 6)

    def take(self, tool: str) -> None:
        self.person.press(self.person.dock.tools.buttons[tool])

    def click(self, button=LEFT) -> None:
        self.take("point")
        self.person.click(*self.somewhere(), button)

    def not_(self) -> None:
        self.click(RIGHT)

    def drag(self, tool: str) -> None:
        self.take(tool)
        (y, x), (b, a) = self.somewhere(), self.somewhere()
        self.person.drag((y, x), (b if abs(b - y) > 3 else y + 4, a if abs(a - x) > 3 else x + 4))

    def delete_a_layer(self) -> None:
        layers = self.person.viewer.layers
        ours = [x for x in layers if role_of(x) not in (None, "image")]
        if ours:
            layers.remove(self.random.choice(ours))

    def hover(self) -> None:
        self.take("point")
        self.person.move(self.person.place(*self.somewhere()))

    def run(self) -> None:
        button = self.person.dock.stages.run_image
        if button.isEnabled():
            self.person.press(button)

    def cancel(self) -> None:
        if self.person.dock.status.cancel.isEnabled():
            self.person.press(self.person.dock.status.cancel)

    def accept_image(self) -> None:
        if self.person.dock.stages.accept_image.isEnabled():
            self.person.press(self.person.dock.stages.accept_image)

    def words(self) -> None:
        line = self.person.dock.classes.words
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, self.random.choice(("round", "dark, round", "long", "")))
        QTest.keyClick(line, Qt.Key.Key_Return)

    def tag(self) -> None:
        table = self.person.dock.classes.table
        QTest.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(table.item(1, 2)).center())

    def settings(self) -> None:
        gear = self.random.choice(list(self.person.dock.stages._gears.values()))
        if gear.isEnabled():
            self.person.press(gear)

    def new_dock(self) -> None:
        from napari_wsss.widgets.dock import Dock

        self.person.viewer.window.remove_dock_widget(self.person.dock)
        self.person.dock = Dock(self.person.viewer)
        self.person.viewer.window.add_dock_widget(self.person.dock, name="again")

    def new_window(self) -> None:
        self.stand_up()
        self.sit_down()

    def compare(self) -> None:
        """What is shown is what the session says, and what the disk holds."""
        self.person.rest()
        s, binding = self.person.session, self.person.binding
        name, opened = s.name, s.opened
        accepted = s.project.accepted(name)
        nothing = np.zeros(opened.shape, np.uint16)
        layers = {role: binding.layer(role) for role in ("accepted", "objects", "proposal", "points")}
        disk = nothing if accepted is None else accepted.labels
        ids = nothing if accepted is None or accepted.instances is None else accepted.instances
        assert np.array_equal(layers["accepted"].data, disk)
        assert np.array_equal(layers["objects"].data, borders(ids))
        assert np.array_equal(layers["proposal"].data, s.proposal)
        said = [m.mark for m in s.project.marks(name)]
        assert sorted(map(repr, opened.marks.values())) == sorted(map(repr, said))
        negative = [c for c in opened.draft.clicks if not c.positive] if opened.draft else []
        places = [(m.y, m.x) for m in said if isinstance(m, Point)] + [(c.y, c.x) for c in negative]
        assert sorted(map(tuple, layers["points"].data.astype(int).tolist())) == sorted(places)
        assert opened.tags == s.project.labels(name).tags
        assert read_settings(self.folder).classes.items == s.classes
        scribbles = binding.shown_layer("scribbles")
        assert scribbles is None or np.array_equal(scribbles.data, opened.scribbles)


for _tool in ("paint", "erase", "scribble", "box", "block"):
    setattr(Day, _tool, lambda self, tool=_tool: self.drag(tool))
setattr(Day, "not", Day.not_)


def resident() -> float:
    for _ in range(3):
        gc.collect()
        turn()
    return psutil.Process().memory_info().rss / 2**20


def rested(day: Day) -> float:
    """MiB of the process in a new window where nothing was done yet: what the day before it left behind."""
    day.person.rest()
    day.new_window()
    day.person.rest()
    return resident()


def running() -> Counter[str]:
    """How many threads of each name there are."""
    return Counter(thread.name for thread in threading.enumerate())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(IMAGES):
        imsave(tmp_path / f"{seed}.tif", nuclei(seed, 8, (SIDE, SIDE)).pixels, check_contrast=False)
    with Project.create(tmp_path / "project", ["background", "nucleus"]) as project:
        project.add_images([tmp_path / f"{seed}.tif" for seed in range(IMAGES)])
    return tmp_path / "project"


@pytest.mark.timeout(4 * 3600)
def test_a_day_of_random_actions_ends_as_it_should(make_napari_viewer, folder: Path, count):
    actions = count(100, 2000)
    day = Day(make_napari_viewer, folder, seed=1)
    warm, threads = 0.0, running()
    for number in range(actions):
        day.act()
        if number % 50 == 49:
            with day.noted("disk"):
                day.compare()
        if number == actions // 2:
            warm, threads = rested(day), running()
        if len(day.wrong) > ENOUGH:
            break
    with day.noted("disk"):
        day.compare()
    grown = rested(day) / warm - 1 if warm else 0.0
    with day.noted("disk, in a new window"):
        day.compare()
    if grown >= 0.1:
        day.note(f"memory grew by {grown:.0%} from {warm:.0f} MiB")
    if left := [closed for closed in day.closed if closed() is not None]:
        day.note(f"{len(left)} of {len(day.closed)} closed windows were left")
    if more := running() - threads:
        day.note(f"threads were left: {dict(more)}")
    if children := psutil.Process().children():
        day.note(f"processes were left: {children}")
    print(f"{len(day.done)} actions, {len(day.closed)} windows closed, {warm:.0f} MiB at half, {grown:+.1%} at the end")
    day.stand_up()
    assert not day.wrong, "\n".join(day.wrong)
