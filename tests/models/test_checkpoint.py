"""Checkpoints are weights only: what loads, what is unwrapped, and what a malicious file can do (nothing)."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from napari_wsss.errors import WsssError
from napari_wsss.models.checkpoint import file_hash, fit_weights, load_weights

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[k], v) for k, v in WEIGHTS.items())


class Malicious:
    """A pickle that runs a shell command when it is loaded by a reader that executes."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def one_line(error: pytest.ExceptionInfo[WsssError], path: Path) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_safetensors_loads_whatever_its_ending(tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pt", "w.bin"):
        save_file(WEIGHTS, tmp_path / name)
        assert same(load_weights(tmp_path / name))


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt"])
def test_torch_files_load(tmp_path: Path, ending: str, new: bool) -> None:
    path = tmp_path / f"w.{ending}"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=new)
    assert same(load_weights(path))


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + k: v for k, v in WEIGHTS.items()}


@pytest.mark.parametrize(
    "nested",
    [
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model": WEIGHTS, "optimizer": {"lr": 0.1}},
        {"model_state": OrderedDict(prefixed("sam.")), "decoder_state": {"x": torch.zeros(1)}},
        {"state_dict": prefixed("model.module.")},
        {"model": {"state_dict": prefixed("module.")}},
        {**prefixed("_orig_mod."), "step": 7},
    ],
)
def test_nestings_and_prefixes_are_unwrapped(tmp_path: Path, nested: dict) -> None:
    torch.save(nested, tmp_path / "w.pt")
    assert same(load_weights(tmp_path / "w.pt"))


def test_a_prefix_of_some_keys_stays(tmp_path: Path) -> None:
    torch.save({"model.a": torch.ones(1), "other": torch.ones(1)}, tmp_path / "w.pt")
    assert set(load_weights(tmp_path / "w.pt")) == {"model.a", "other"}


def malicious_files(folder: Path, mark: Path) -> list[Path]:
    payload = pickle.dumps(Malicious(mark), protocol=2)
    plain, disguised, zipped, saved, legacy, nested = (
        folder / n for n in ("raw.pt", "raw.safetensors", "zip.pt", "saved.pth", "legacy.ckpt", "zip.safetensors")
    )
    plain.write_bytes(payload)
    disguised.write_bytes(payload)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")
    torch.save({"state_dict": WEIGHTS, "extra": Malicious(mark)}, saved)
    torch.save({"state_dict": WEIGHTS, "extra": Malicious(mark)}, legacy, _use_new_zipfile_serialization=False)
    nested.write_bytes(zipped.read_bytes())
    modern = folder / "modern.pt"
    modern.write_bytes(pickle.dumps(Malicious(mark), protocol=5))
    return [plain, disguised, zipped, saved, legacy, nested, modern]


def test_a_malicious_pickle_does_nothing_and_is_reported(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    files = malicious_files(tmp_path, mark)
    for path in files:
        with pytest.raises(WsssError) as error:
            load_weights(path)
        message = one_line(error, path)
        assert "not loaded" in message
        if path.suffix != ".safetensors" and path.stem != "modern":
            assert "system" in message, message
        assert not mark.exists()
    pickle.loads(files[0].read_bytes())  # the payload is a real one: a reader that executes is caught by it
    assert mark.exists()


def test_a_module_or_a_list_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save([1, 2, 3], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    for name in ("module.pt", "list.pt", "empty.pt"):
        with pytest.raises(WsssError) as error:
            load_weights(tmp_path / name)
        one_line(error, tmp_path / name)


@pytest.mark.filterwarnings("ignore::FutureWarning:torch.*")
def test_a_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(WsssError) as error:
        load_weights(tmp_path / "script.pt")
    one_line(error, tmp_path / "script.pt")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["safetensors", "zip", "legacy"]), cut=st.floats(0, 0.999), flip=st.booleans())
def test_truncated_or_damaged_files_are_one_line(tmp_path: Path, kind: str, cut: float, flip: bool) -> None:
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    keep = int(len(whole) * cut)
    path.write_bytes(whole[:keep] + (b"\xff" * min(40, len(whole) - keep) if flip else b""))
    message, found = "", {}
    try:
        found = load_weights(path)
    except WsssError as error:
        message = str(error)
    # a file may survive a cut behind its last weight
    assert found.keys() <= WEIGHTS.keys() if found else str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", b"\x00" * 100, b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("w.pt", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WsssError) as error:
            load_weights(tmp_path / name)
        one_line(error, tmp_path / name)


def test_an_absent_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(WsssError) as error:
            load_weights(path)
        one_line(error, path)
        with pytest.raises(WsssError):
            file_hash(path)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 2)


def test_weights_are_fitted_and_converted() -> None:
    module = Small()
    fit_weights(module, {k: v.half() for k, v in WEIGHTS.items()}, "here")
    assert module.a.weight.dtype == torch.float32
    assert same(dict(module.state_dict()))


def test_a_module_on_meta_gets_its_weights() -> None:
    with torch.device("meta"):
        module = Small()
    fit_weights(module, WEIGHTS, "here")
    assert same(dict(module.state_dict()))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"a.bias": torch.ones(2)}, "missing: a.weight"),
        ({**WEIGHTS, "b": torch.ones(1)}, "unexpected: b"),
        ({**WEIGHTS, "a.bias": torch.ones(5)}, r"of another shape: a.bias \(5,\) instead of \(2,\)"),
    ],
)
def test_misfits_are_named_and_nothing_is_changed(changed: dict, word: str) -> None:
    module = Small()
    before = module.a.bias.detach().clone()
    with pytest.raises(WsssError, match=word) as error:
        fit_weights(module, changed, "file.pt")
    assert str(error.value).startswith("file.pt: ")
    assert "\n" not in str(error.value)
    assert torch.equal(module.a.bias, before)


def test_batch_counters_may_be_missing() -> None:
    module = nn.BatchNorm2d(2)
    fit_weights(module, {k: v for k, v in module.state_dict().items() if "batches" not in k}, "here")


def test_the_hash_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    assert file_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"abcd")
    assert file_hash(path).startswith("88d4266f")
