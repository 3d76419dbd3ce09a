"""napari's menus and preferences: the manifest of this clone, registered for the test."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_wsss.drawing import nuclei
from napari_wsss.errors import UsageError
from napari_wsss.types import Point
from napari_wsss.viewer import preferences
from napari_wsss.viewer.bound import binding_of
from napari_wsss.viewer.keys import DEFAULT_KEYS, key_of
from tests.gui.hands import settle

MANIFEST = Path(__file__).parents[2] / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_every_key_is_a_preference_with_its_default(manifest):
    keys = manifest.contributions.configurations["keys"].properties
    assert {name.removesuffix("_key"): prop.default for name, prop in keys.items()} == dict(DEFAULT_KEYS)


def test_the_device_can_be_chosen_in_the_preferences(manifest):
    device = manifest.contributions.configurations["compute"].properties["device"]
    assert device.default == "auto"
    assert set(device.enum) == {"auto", "cpu", "cuda", "mps"}


def test_a_key_that_the_person_set_is_taken(monkeypatch: pytest.MonkeyPatch):
    class Keys:
        accept_key = "G"

    class Settings:
        keys = Keys()

    monkeypatch.setattr(preferences, "get_plugin_settings", lambda: {"napari-wsss": Settings()})
    assert key_of("accept") == "G"
    assert key_of("reject") == "Q", "a preference that napari does not know has its default"


def test_menu_commands_label_an_image_without_the_dock(make_napari_viewer, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    viewer.add_image(nuclei(0, 8, (96, 96)).pixels)
    commands = {c.id: c.python_name for c in manifest.contributions.commands}
    module, _, name = commands["napari-wsss.label"].partition(":")
    label = getattr(importlib.import_module(module), name)
    label(viewer)
    binding = binding_of(viewer)
    settle(lambda: binding.session.opened is not None)
    assert viewer.layers.selection.active.mode == "add"
    binding.session.drafting.click(40, 40)
    settle(lambda: binding.session.opened.draft.answered)
    assert binding.session.proposal[40, 40]


def test_every_menu_command_does_its_work(make_napari_viewer, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))
    viewer = make_napari_viewer(show=True)
    commands = {c.id: c.python_name for c in manifest.contributions.commands}

    def command(name: str) -> None:
        module, _, function = commands[f"napari-wsss.{name}"].partition(":")
        getattr(importlib.import_module(module), function)(viewer)

    names = {i.command.removeprefix("napari-wsss.") for items in manifest.contributions.menus.values() for i in items}
    assert names == {"label", "run_stages", "accept_refined", "separate_objects", "next_image"}
    for name in names - {"label"}:
        with pytest.raises(UsageError, match="label an image first"):
            command(name)
    scene = nuclei(0, 8, (96, 96))
    viewer.add_image(np.stack([scene.pixels, scene.pixels]))
    command("label")
    session = binding_of(viewer).session
    settle(lambda: session.opened is not None)
    first, told = session.name, []
    session.told.connect(told.append)
    for class_id in (1, 2):
        session.choose_class(class_id)
        rows, columns = np.nonzero(scene.truth == class_id)
        for at in np.linspace(0, len(rows) - 1, 6).astype(int):
            session.labelling._add("point", Point(int(rows[at]), int(columns[at]), class_id))
    command("run_stages")
    settle(lambda: session.opened.refined is not None and session.working.work is None)
    command("accept_refined")
    settle(lambda: session.opened.accepted.any() and session.working.work is None)
    command("separate_objects")
    assert any("number" in line or "divided" in line for line in told)
    command("next_image")
    settle(lambda: session.opened.name != first)


def test_menus_name_commands_of_the_manifest(manifest):
    ids = {c.id for c in manifest.contributions.commands}
    for items in manifest.contributions.menus.values():
        assert {item.command for item in items} <= ids
