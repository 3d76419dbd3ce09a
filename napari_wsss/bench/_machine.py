"""The machine that figures were measured on."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_wsss import __version__

_PACKAGES = ("torch", "numpy", "scikit-image", "scikit-learn")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, device, versions, and the load before the first measurement. Imports torch."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "device": f"cuda ({torch.cuda.get_device_name(0)})" if cuda else "cpu",
        "load": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "napari-wsss": __version__,
        **{name: _version(name) for name in _PACKAGES},
    }


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    status = Path("/proc/self/status")  # getrusage would count the parent's memory before exec
    if status.exists():
        line = next(n for n in status.read_text(encoding="utf-8").splitlines() if n.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PAGE_SIZE" not in names or "SC_PHYS_PAGES" not in names:
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
