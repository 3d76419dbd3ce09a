"""The processes that train one network together: alone, or one a device on one or several machines (Lightning Fabric).

Each process holds the whole network and learns from its own part of a batch; the gradients are averaged over all tiles.
The first process leads: it alone looks at the project's state, decides when to go on, and writes. Processes on its
machine read the project's journal beside it; on other machines they read a copy from the run's beginning, so that a run
on several machines learns from what was labelled when it began.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.project import Project
from napari_wsss.project.atomic import TEMPORARY

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # a person may hold a run for long, and the others wait for the leader


class Alone:
    """One process: nothing to agree on."""

    rank, size, node, nodes = 0, 1, 0, 1
    device: str | None = None

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, say: Callable[[], T]) -> T:
        """What the leader says; the others do not ask themselves."""
        return say()

    def total(self, count: int) -> int:
        """Sum over all processes."""
        return count

    def average(self, parameters: Sequence[Tensor], weight: float) -> bool:
        """Make gradients the weighted mean over all processes; False where no process has any weight."""
        return weight > 0


class Together(Alone):
    """Processes that Fabric started: this very command again for each device, on every machine that runs it.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    devices, nodes : int
        Processes on each machine, and machines. Which machine this is, and where the first one is found, Fabric takes
        from the environment (SLURM, torchrun, or ``NODE_RANK``, ``MASTER_ADDR``, ``MASTER_PORT``).

    Raises
    ------
    UsageError
        Fabric is not installed, or the machine has not so many devices.
    """

    def __init__(self, device: str, devices: int, nodes: int) -> None:
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.strategies import DDPStrategy
        except ImportError as error:
            raise UsageError("several devices need Lightning Fabric: pip install 'napari-wsss[cluster]'") from error
        kind = "cpu" if device == "auto" and not torch.cuda.is_available() else device.replace("auto", "cuda")
        if kind == "mps":
            raise UsageError("several devices: MPS has one; use --device cpu or cuda")
        if kind == "cuda" and torch.cuda.device_count() < devices:
            raise UsageError(f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA devices")
        self._fabric = Fabric(
            accelerator=kind, devices=devices, num_nodes=nodes, strategy=DDPStrategy(timeout=_PATIENCE)
        )
        self.node, self.nodes = _node(self._fabric.strategy), nodes
        self._fabric.launch()
        # Fabric leaves gloo's threads running; one that wants the interpreter while it ends aborts the process.
        atexit.register(_part)
        self.rank, self.size = self._fabric.global_rank, self._fabric.world_size
        self.device = str(self._fabric.device)

    def agree(self, say: Callable[[], T]) -> T:
        answer: tuple[T | None, WsssError | None] = (None, None)
        if self.leads:
            try:
                answer = say(), None
            except WsssError as refused:
                answer = None, refused
        said, error = self._fabric.broadcast(answer)
        if error is not None:
            raise error
        return cast("T", said)

    def total(self, count: int) -> int:
        return int(self._summed(torch.tensor([float(count)], device=self.device))[0])

    def average(self, parameters: Sequence[Tensor], weight: float) -> bool:
        # A gradient may be missing here and not elsewhere: it counts as 0, and stays missing where all miss it.
        own = [None if weight <= 0 else p.grad for p in parameters]
        parts = [
            torch.zeros(p.numel(), device=p.device) if g is None else weight * g.float().ravel()
            for p, g in zip(parameters, own, strict=True)
        ]
        there = torch.tensor([float(g is not None) for g in own] + [weight], device=self.device)
        summed = self._summed(torch.cat([*parts, there]))
        found = summed[-len(there) :]
        if found[-1] <= 0:
            return False
        at = 0
        for p, any_there in zip(parameters, found[:-1].tolist(), strict=True):
            mean = summed[at : at + p.numel()] / found[-1]
            p.grad = mean.view_as(p).to(p.dtype) if any_there else None
            at += p.numel()
        return True

    def _summed(self, values: Tensor) -> Tensor:
        summed: Tensor = self._fabric.all_reduce(values, reduce_op="sum")
        return summed


def _part() -> None:
    if torch.distributed.is_initialized():  # Fabric may have left already
        torch.distributed.destroy_process_group()


def _node(strategy: Any) -> int:
    """Number of this machine; raises UsageError where nobody told it and the first one's address."""
    environment = strategy.cluster_environment
    told = {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} - set(os.environ)
    if strategy.num_nodes > 1 and told and type(environment).__name__ == "LightningEnvironment":
        raise UsageError(f"--nodes {strategy.num_nodes}: set {', '.join(sorted(told))} on each machine, or use SLURM")
    return int(environment.node_rank())


@contextmanager
def opened(folder: Path, team: Alone) -> Iterator[Project]:
    """The project for one of a team; on other machines than the leader's with a copy of the journal, to be read."""
    if team.nodes == 1:
        with Project.open(folder) as project:
            yield project
        return
    if team.node == 0:
        with Project.open(folder) as project:
            shared = project.folder / TEMPORARY / f"journal-{os.getpid()}"
            team.agree(lambda: _copied(project, shared))
            team.total(0)  # all have their own
            shutil.rmtree(shared, ignore_errors=True)
            yield project
        return
    shared = team.agree(lambda: folder)
    with tempfile.TemporaryDirectory(prefix="napari-wsss-") as own:
        shutil.copytree(shared, own, dirs_exist_ok=True)
        team.total(0)
        with Project.open_with(folder, Path(own)) as project:
            yield project


def _copied(project: Project, folder: Path) -> Path:
    project.copy_journal(folder)
    return folder


ALONE = Alone()
