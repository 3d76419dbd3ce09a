"""The embedded model's file: ships, is recognised, and nothing else passes for it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models import catalogue, store
from napari_wsss.models.embedded.predictor import is_embedded, load_embedded
from tests.models.drawn_nuclei import random_network


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file of random weights, laid out as the shipped one."""
    file = tmp_path / "own.safetensors"
    state = random_network().state_dict()
    save_file({k: v.half().contiguous() for k, v in state.items() if v.is_floating_point()}, file)
    return file


def one_line(error: pytest.ExceptionInfo[WsssError], file: Path) -> None:
    assert "\n" not in str(error.value)
    assert file.name in str(error.value)


def test_the_shipped_file_is_here_is_half_precision_and_small_enough() -> None:
    file = store.path("embedded")
    assert catalogue.entry("embedded").built_in
    assert file.stat().st_size <= 16e6
    assert {v.dtype for v in load_file(file).values()} == {torch.float16}
    assert is_embedded(file)
    loaded = load_embedded()
    assert loaded.model.startswith("embedded@")
    assert load_embedded("embedded") is loaded  # once a device


def test_a_file_of_ones_own_training_is_taken(written: Path) -> None:
    assert is_embedded(written)
    assert load_embedded(str(written)).model != load_embedded().model


def test_other_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(3)}, file)
    assert not is_embedded(file)
    with pytest.raises(WsssError, match="do not fit EmbeddedNetwork") as error:
        load_embedded(str(file))
    one_line(error, file)


def test_a_file_that_lacks_a_layer_is_refused_in_one_line(written: Path) -> None:
    weights = load_file(written)
    weights.pop("mask_decoder.masks.weight")
    save_file(weights, written)
    with pytest.raises(WsssError, match=r"missing: mask_decoder\.masks\.weight") as error:
        load_embedded(str(written))
    one_line(error, written)


@pytest.mark.parametrize("keep", [0, 5, 1000, 2_000_000])
def test_a_damaged_file_is_one_line(written: Path, keep: int) -> None:
    written.write_bytes(written.read_bytes()[:keep])
    for read in (lambda: is_embedded(written), lambda: load_embedded(str(written))):
        with pytest.raises(WsssError) as error:
            read()
        one_line(error, written)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_in_its_place_is_not_executed(tmp_path: Path, writer: str) -> None:
    file, mark = tmp_path / "embedded.safetensors", tmp_path / "executed"
    if writer == "pickle":
        file.write_bytes(pickle.dumps({"mask_decoder": Evil(mark)}))
    else:
        torch.save({"mask_decoder": Evil(mark)}, file)
    for read in (lambda: is_embedded(file), lambda: load_embedded(str(file))):
        with pytest.raises(WsssError) as error:
            read()
        one_line(error, file)
    assert not mark.exists()


def test_only_a_safetensors_file_can_be_it(tmp_path: Path) -> None:
    assert not is_embedded(tmp_path / "absent.safetensors")
    (tmp_path / "notes.txt").write_text("words")
    assert not is_embedded(tmp_path / "notes.txt")


def test_there_is_nothing_to_fetch_and_the_file_can_be_verified() -> None:
    with pytest.raises(UsageError, match="nothing to fetch"):
        store.fetch("embedded")
    assert store.verify("embedded").status in ("ok", "unverifiable")
    row = next(r for r in store.listing() if r.entry.name == "embedded")
    assert row.present
    assert row.path == store.path("embedded")
