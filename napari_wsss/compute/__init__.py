"""Where heavy work runs: one thread that alone uses torch, for the life of the process."""

from __future__ import annotations

from napari_wsss.compute.torch_thread import Job, Priority, TorchThread, torch_thread

__all__ = ["Job", "Priority", "TorchThread", "torch_thread"]
