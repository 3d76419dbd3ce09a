"""Read checkpoints as weights only: nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_wsss.errors import WsssError

NESTINGS = ("state_dict", "model_state", "model", "model_state_dict")
"""Keys below which training code puts the weights; searched in this order, at most three deep."""

PREFIXES = ("module.", "_orig_mod.", "model.", "sam.")
"""Prefixes that wrappers put before every key (DataParallel, torch.compile, Lightning, micro-sam)."""

_DEEPEST = 3
_COUNTER = "num_batches_tracked"
_SHOWN = 3


def load_weights(path: Path) -> dict[str, Tensor]:
    """Weights of a checkpoint file, on the CPU, by name.

    What the file is, is decided by its content: safetensors, a torch zip archive or an old torch
    pickle; the last two are read with ``weights_only=True``, which builds tensors and plain containers
    and calls nothing. A file named ``.safetensors`` that is something else is refused.

    Nestings are unwrapped by two rules. (1) While a dictionary holds one of `NESTINGS` and what lies
    there is a dictionary, that one is taken; entries that are no tensors (epoch, arguments) are left
    out. (2) While all keys begin with the same one of `PREFIXES`, it is removed.

    Parameters
    ----------
    path : Path
        ``.safetensors`` (preferred), ``.pt``, ``.pth`` or ``.ckpt``.

    Returns
    -------
    dict of str to Tensor
        May lie in memory mapped from the file; copy before changing in place.

    Raises
    ------
    WsssError
        One line: the file is absent, damaged, holds no weights, or holds anything but weights.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "safetensors":
        loaded: Any = _load_safetensors(path)
    elif path.suffix.lower() == ".safetensors":
        raise WsssError(f"{path}: is named .safetensors but is not a safetensors file; it was not loaded")
    else:
        loaded = _load_torch(path, mapped=kind == "zip")
    weights = _unwrap(loaded)
    if not weights:
        raise WsssError(f"{path}: holds no weights (no dictionary of named tensors)")
    return _without_prefix(weights)


def fit_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a module in place: every key must be there, none more, all of the right shape.

    Only BatchNorm's batch counters, which no prediction depends on, may be missing. Values are converted to
    the module's types; a module on the meta device takes the tensors themselves.

    Parameters
    ----------
    module : nn.Module
    weights : mapping of str to Tensor
    source : str
        What the weights came from, named in errors.

    Raises
    ------
    WsssError
        One line naming the first missing, unexpected and mis-shaped keys.
    """
    own = module.state_dict()
    counters = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in own.items() if k.endswith(_COUNTER)}
    weights = {**counters, **weights}
    faults = [
        _named("missing", [k for k in own if k not in weights]),
        _named("unexpected", [k for k in weights if k not in own]),
        _named(
            "of another shape",
            [
                f"{k} {tuple(weights[k].shape)} instead of {tuple(v.shape)}"
                for k, v in own.items()
                if k in weights and weights[k].shape != v.shape
            ],
        ),
    ]
    if any(faults):
        what = type(module).__name__
        raise WsssError(f"{source}: these weights do not fit {what}: {'; '.join(f for f in faults if f)}")
    on_meta = any(v.is_meta for v in own.values())
    module.load_state_dict({k: weights[k].to(v.dtype) for k, v in own.items()}, strict=True, assign=on_meta)


def file_hash(path: Path) -> str:
    """SHA-256 (hex, 64 digits) of a file; computed again only when its time or size has changed.

    Raises
    ------
    WsssError
        If the file cannot be read.
    """
    try:
        stat = Path(path).stat()
        return _hash_of(str(Path(path).resolve()), stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise WsssError(f"{path}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=256)
def _hash_of(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind(path: Path) -> Literal["safetensors", "zip", "pickle"]:
    """What the file's first bytes say it is: a safetensors header is a length, then JSON."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WsssError(f"{path}: cannot be read: {error.strerror or error}") from error
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if len(head) == 9 and head[8:] == b"{":
        return "safetensors"
    return "pickle"


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WsssError(f"{path}: damaged safetensors file: {_first_line(error)}") from error


def _load_torch(path: Path, mapped: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the pickle's protocol: it loads or is refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise WsssError(_refusal(path, str(error))) from error
    except Exception as error:  # a damaged pickle may raise anything
        if "TorchScript" in str(error):
            raise WsssError(_refusal(path, "TorchScript")) from error
        raise WsssError(f"{path}: damaged or not a checkpoint; it was not loaded: {_first_line(error)}") from error


def _refusal(path: Path, reason: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)|(TorchScript)", reason)
    what = f" ({found[1] or 'a TorchScript program'})" if found else ""
    return (
        f"{path}: is damaged or holds something other than plain weights{what}; it was not loaded and nothing in "
        "it was run. Ask its author for a safetensors file"
    )


def _unwrap(loaded: Any) -> dict[str, Tensor]:
    for _ in range(_DEEPEST):
        inner = next((loaded[n] for n in NESTINGS if _holds(loaded, n)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, Mapping):
        return {}
    return {k: v.detach() for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _holds(loaded: Any, name: str) -> bool:
    return isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping)


def _without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    while True:
        prefix = next((p for p in PREFIXES if all(k.startswith(p) and k != p for k in weights)), None)
        if prefix is None:
            return weights
        weights = {k.removeprefix(prefix): v for k, v in weights.items()}


def _named(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{what}: {', '.join(keys[:_SHOWN])}{more}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:150]}" if lines else type(error).__name__
