"""Seconds of calls and of processes, so that two sides meet the same conditions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from napari_wsss.errors import WsssError

_ROOT = Path(__file__).resolve().parents[2]
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def best_of(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best seconds of each call. The calls alternate, so that a busy minute of the machine meets them all.

    One more round, the first, is not counted.
    """
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            if turn:
                best[name] = min(best[name], seconds)
    return best


def thread_counts(wanted: int | None) -> tuple[int, ...]:
    """What was asked for; else one thread and two."""
    return (1, 2) if wanted is None else (wanted,)


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def need_sklearn(bench: str) -> None:
    """Raises WsssError where the reference is not installed."""
    if find_spec("sklearn") is None:
        raise WsssError(f"bench {bench} compares with scikit-learn, which is not installed: pip install scikit-learn")


def job(module: str, arguments: Sequence[str], threads: int | None = None, **variables: str) -> tuple[float, str]:
    """Wall seconds and standard output of ``python -m module`` in a fresh process, interpreter start and imports
    included. ``variables`` are set in its environment.

    Raises
    ------
    WsssError
        If it fails; gives the last line that it said.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        env={**environment(threads), **variables},
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise WsssError(f"{module} failed with status {done.returncode}: {said}")
    return seconds, done.stdout


def environment(threads: int | None = None) -> dict[str, str]:
    """This process's environment, for a process that runs this very product with so many threads."""
    limits = {} if threads is None else dict.fromkeys(_THREAD_VARIABLES, str(threads))
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, **limits, "PYTHONPATH": path}
