"""``models`` and the model that ships with the product."""

from __future__ import annotations

import json
from pathlib import Path


def test_it_is_listed_as_built_in(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    said = cli("models", "list")
    assert said.status == 0
    line = next(n for n in said.out.splitlines() if n.startswith("embedded "))
    assert "built in" in line
    listed = {m["name"]: m for m in json.loads(cli("models", "list", "--json").out)["models"]}
    assert listed["embedded"]["built_in"]
    assert listed["embedded"]["present"]
    assert not listed["sam_vit_b"]["built_in"]


def test_it_is_verified_and_found(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    said = cli("models", "verify", "embedded")
    assert said.status == 0
    assert said.out.startswith("embedded: ")
    assert Path(cli("models", "path", "embedded").out.strip()).is_file()


def test_there_is_nothing_to_fetch(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    said = cli("models", "fetch", "embedded")
    assert said.status == 2
    assert "nothing to fetch" in said.err
    assert not list(tmp_path.rglob("*.safetensors"))
