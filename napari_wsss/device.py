"""Which device a model runs on, said in words, and how many threads it may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from napari_wsss.errors import UsageError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def choose(wanted: str) -> str:
    """The torch device to use: ``auto`` takes CUDA, then MPS, then the CPU. Imports torch.

    Raises
    ------
    UsageError
        If the device that was asked for is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, usable in there.items() if usable)
    if not there.get(wanted.partition(":")[0], False):
        usable = ", ".join(name for name, ok in there.items() if ok)
        raise UsageError(f"no device {wanted!r} on this machine; use --device auto or one of: {usable}")
    return wanted


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within: torch uses so many threads on the CPU."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def few_threads() -> Iterator[None]:
    """Within: torch takes half of the machine's cores, or as many as ``OMP_NUM_THREADS`` says.

    Where something else runs on the same cores, OpenMP's threads wait for each other: on two cores
    with one other job a run with two threads took seven times as long as with one.
    """
    told = "OMP_NUM_THREADS" in os.environ
    with nullcontext() if told else torch_threads(max(1, (os.cpu_count() or 2) // 2)):
        yield


def release() -> None:
    """Give memory of a GPU that nothing uses any more back to it."""
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def described(device: str) -> str:
    """The device in words, with the name of the card or the count of threads."""
    import torch

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(torch.device(device))})"
    return f"{device} ({torch.get_num_threads()} threads)" if device == "cpu" else device
