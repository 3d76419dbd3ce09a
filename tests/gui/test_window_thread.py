"""What the window's thread is spared: methods, files and pixels are read and written in the torch thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer

from napari_wsss import registry
from napari_wsss.choices import KIND, STAGES
from napari_wsss.drawing import nuclei
from napari_wsss.viewer import adopting
from napari_wsss.viewer.layers import role_of
from tests.gui.hands import Person


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch):
    """Notes in which threads a function is called first for each of its arguments."""

    def watch(where, name: str) -> dict[tuple, bool]:
        function, calls = getattr(where, name), {}

        def noted(*arguments):
            key = tuple(a for a in arguments if isinstance(a, str))
            calls.setdefault(key, threading.current_thread() is not threading.main_thread())
            return function(*arguments)

        monkeypatch.setattr(where, name, noted)
        return calls

    return watch


def test_a_layer_without_a_file_is_written_in_the_torch_thread(person: Person, elsewhere):
    written = elsewhere(adopting, "write_layer")
    pixels = nuclei(0, 8, (96, 96)).pixels
    person.viewer.add_image(pixels, name="cells")
    person.opened("cells.tif")
    assert written == {("cells",): True}
    assert np.array_equal(person.session.project.image("cells.tif").channels.shape[1:], pixels.shape)


def test_the_settings_of_a_method_are_loaded_in_the_torch_thread(person: Person, elsewhere):
    loaded = elsewhere(registry, "load")
    person.viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    person.opened()
    stages = person.dock.stages
    for stage, settings in stages.settings.items():
        person.press(stages._gears[stage])
        person.wait(lambda settings=settings: settings.form is not None, f"the settings of {stage}")
    assert {(KIND[stage], stages.methods[stage].currentText()) for stage in STAGES} <= set(loaded)
    assert all(loaded.values()), loaded


def test_settings_are_those_of_the_project_that_is_open(person: Person):
    person.viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    person.opened()
    stages, first = person.dock.stages, person.session.project.folder
    settings = stages.settings["refine"]
    person.press(stages._gears["refine"])
    person.wait(lambda: settings.form is not None, "settings")
    parameter = settings.form[0]
    other = next(v for v in (0, 1, 2, 3) if v != parameter.value)
    parameter.value = other
    name = stages.methods["refine"].currentText()
    assert person.session.project.settings.params[name][parameter.name] == other
    from napari_wsss.session import scratch

    person.session.take_project(scratch.new_scratch())
    person.wait(lambda: settings.form is not None and settings.form[0].value != other, "the new project's value")
    person.session.open_project(first)
    person.wait(lambda: settings.form is not None and settings.form[0].value == other, "the old project's value")


def test_layers_of_a_first_run_are_made_one_in_a_turn(person: Person):
    person.viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    person.opened()
    for at, key in (((30, 30), Qt.Key.Key_2), ((80, 80), Qt.Key.Key_1)):
        person.key(key)
        person.click(*at)
        person.rest()
        person.key(Qt.Key.Key_W)
        person.rest()
    turns, made = [0], []
    clock = QTimer()
    clock.timeout.connect(lambda: turns.append(turns[-1] + 1))
    clock.start(0)
    person.viewer.layers.events.inserted.connect(lambda event: made.append((turns[-1], role_of(event.value))))
    person.press(person.dock.stages.run_image)
    person.rest()
    person.wait(lambda: len(made) >= 3, "layers")
    person.rest()
    clock.stop()
    assert {role for _, role in made} >= {"pseudo", "confidence", "refined"}
    assert len({turn for turn, _ in made}) == len(made), made
    assert person.dock.stages.shown["refine"].isChecked()
    assert not person.dock.stages.shown["pseudo"].isChecked(), "the refined mask lies over them"


def test_an_image_is_drawn_before_the_model_looks_at_it(person: Person):
    order: list[str] = []
    session, canvas = person.session, person.viewer.window._qt_viewer.canvas
    ahead = session.looking.ahead
    session.looking.ahead = lambda: order.append("looked at") or ahead()
    session.image_opened.connect(lambda: order.append("opened"))
    canvas._scene_canvas.events.draw.connect(lambda event: order.append("drawn"), position="last")
    person.viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    person.opened()
    after = order[order.index("opened") :]
    assert after.count("looked at") == 1
    assert "drawn" in after[: after.index("looked at")], after
