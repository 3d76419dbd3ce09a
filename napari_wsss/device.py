"""Which device a model runs on, said in words."""

from __future__ import annotations

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


def described(device: str) -> str:
    """The device in words, with the name of the card or the count of threads."""
    import torch

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(torch.device(device))})"
    return f"{device} ({torch.get_num_threads()} threads)" if device == "cpu" else device
