"""The shipped catalogue: complete, honest about hashes, readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models import catalogue
from napari_wsss.models.checkpoint import file_hash


def test_every_entry_is_complete_and_honest() -> None:
    entries = catalogue.entries()
    assert {"mobilenet_v2_imagenet", "deeplabv3_mobilenet_v2_voc", "sam_vit_b", "mobile_sam"} <= set(entries)
    assert len({e.file for e in entries.values()}) == len(entries)
    for entry in entries.values():
        assert entry.architecture.count("/") == 1
        assert entry.task in ("backbone", "sam", "clip", "promptable", "reference")
        assert entry.licence
        assert entry.good_for
        assert entry.input
        assert re.fullmatch("[0-9a-f]{64}|[0-9a-f]{8}|", entry.sha256)
        assert bool(entry.sha256) == bool(entry.hash_source), f"{entry.name}: a hash needs its source"
        assert entry.url.startswith("https://") or (not entry.url and entry.obtain), f"{entry.name}: how to get it?"
        assert entry.size >= 0
        assert len(entry.mean) == len(entry.std)
        assert len(entry.mean) in (0, 3)
        if len(entry.sha256) < 64:
            assert "cannot be verified" in entry.checksum or "only the first 8" in entry.checksum


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match="sam_vit_b"):
        catalogue.entry("sam_vit_x")


@pytest.mark.parametrize("text", ["not toml", "[a]\nfile = 'x'", "[a]\nfile = 'x'\nsurprise = 1"])
def test_a_damaged_catalogue_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(WsssError) as error:
        catalogue.read(path)
    assert str(path) in str(error.value)


def test_the_two_real_files_are_those_of_the_catalogue(shared_weights: Path) -> None:
    for name in ("mobilenet_v2_imagenet", "deeplabv3_mobilenet_v2_voc"):
        entry = catalogue.entry(name)
        assert file_hash(shared_weights / entry.file) == entry.sha256
        assert (shared_weights / entry.file).stat().st_size == entry.size
        assert catalogue.entry_of_hash(entry.sha256) is entry
