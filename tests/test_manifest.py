"""The plugin's manifest: napari's own reader accepts it, and all that it names is there."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    npe2 = pytest.importorskip("npe2", reason="npe2 comes with napari, the extra [gui]")
    return npe2.PluginManifest.from_file(FILE)


def test_napari_accepts_it(manifest):
    assert manifest.name == "napari-wsss"
    assert manifest.contributions.commands


def test_every_command_leads_to_something(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        spec = find_spec(module)
        assert spec is not None, module
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert name in defined, command.python_name


def test_every_contribution_names_a_command(manifest):
    ids = {c.id for c in manifest.contributions.commands}
    assert all(i.startswith("napari-wsss.") for i in ids)
    for kind in ("readers", "widgets", "sample_data", "writers"):
        for entry in getattr(manifest.contributions, kind) or []:
            assert getattr(entry, "command", None) is None or entry.command in ids


def test_the_package_holds_the_manifest_by_a_link():
    assert (ROOT / "napari_wsss" / "napari.yaml").resolve() == FILE
    assert (ROOT / "resources").is_dir()


def test_every_menu_command_sample_and_writer_has_its_place(manifest):
    """What napari shows of us: nothing that a command offers is out of reach, and nothing is offered twice."""
    found = manifest.contributions
    placed = [item.command for items in found.menus.values() for item in items]
    placed += [
        entry.command for kind in (found.widgets, found.readers, found.writers, found.sample_data) for entry in kind
    ]
    assert sorted(placed) == sorted({c.id for c in found.commands})
    assert set(found.menus) == {"napari/layers/annotate", "napari/layers/segment"}


def test_no_two_writers_want_the_same_file(manifest):
    wanted = [(tuple(w.layer_types), e) for w in manifest.contributions.writers for e in w.filename_extensions]
    assert len(wanted) == len(set(wanted))
    kinds = {len(w.layer_types) for w in manifest.contributions.writers}
    assert kinds == {1, 2}, "both one layer and several can be saved"
