"""All that changes during a run: networks, optimiser, gate, order; and its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from napari_wsss.errors import UsageError
from napari_wsss.models.checkpoint import fit_weights
from napari_wsss.models.placed import own
from napari_wsss.protocols import Context
from napari_wsss.trained import Recipe, Trained, read_marked
from napari_wsss.training.losses.cw_bass import Gate
from napari_wsss.training.losses.hardness import HardnessHead
from napari_wsss.training.settings import Training
from napari_wsss.training.teacher import teacher_of
from napari_wsss.training.tiles import Order
from napari_wsss.types import Classes

KIND = "napari-wsss checkpoint 1"


@dataclass(eq=False)
class Learner:
    """The state of a run.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Spent in steps and looks, without pauses; goes on over interruptions.
    best : float
        Highest mIoU on the held-out images so far; -1 before the first look.
    """

    recipe: Recipe
    student: nn.Module
    teacher: nn.Module
    hardness: HardnessHead | None
    optimiser: torch.optim.AdamW
    gate: Gate
    order: Order | None = None
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def networks(self) -> dict[str, nn.Module]:
        made = {"student": self.student, "teacher": self.teacher}
        return made if self.hardness is None else {**made, "hardness": self.hardness}


def new_learner(recipe: Recipe, settings: Training, context: Context, seed: int, *, begun: bool = True) -> Learner:
    """Random weights from the seed, but where the segmenter has weights to begin with (and ``begun``)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = recipe.network(context, begun=begun).to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        width = int(own(student).classify.in_channels)
        hardness = HardnessHead(width).to(context.device) if settings.hardness else None
    groups = _paced(student)
    if hardness is not None:
        groups.append({"params": list(hardness.parameters()), "pace": 1.0})
    optimiser = torch.optim.AdamW(groups, settings.rate, weight_decay=settings.decay)
    return Learner(recipe, student, teacher_of(student), hardness, optimiser, Gate(len(recipe.classes)))


def _paced(student: nn.Module) -> list[dict[str, Any]]:
    """The network's parameters, those of a begun encoder apart: they learn at their own pace."""
    network = own(student)
    pace = float(getattr(network, "pace", 1.0))
    if pace == 1:
        return [{"params": list(student.parameters()), "pace": 1.0}]
    encoder = list(network.get_submodule("encoder").parameters())
    apart = {id(p) for p in encoder}
    head = [p for p in student.parameters() if id(p) not in apart]
    return [{"params": head, "pace": 1.0}, {"params": encoder, "pace": pace}]


def to_bytes(learner: Learner) -> bytes:
    """A checkpoint: every tensor, and the rest as JSON. Nothing in it is executed when it is read."""
    tensors: dict[str, Tensor] = {}
    for name, network in learner.networks.items():
        tensors |= {f"{name}/{key}": t for key, t in network.state_dict().items()}
    for number, state in learner.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": torch.as_tensor(v) for key, v in state.items()}
    facts = {
        "recipe": asdict(learner.recipe),
        "step": learner.step,
        "seconds": learner.seconds,
        "best": learner.best,
        "order": None if learner.order is None else learner.order.as_json(),
        "gate": asdict(learner.gate),
    }
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    return save(plain, {"kind": KIND, "facts": json.dumps(facts)})


def restore(path: Path, settings: Training, context: Context) -> Learner:
    """The learner of a checkpoint.

    Raises
    ------
    WsssError
        The file is damaged or something else.
    """
    another = "is no checkpoint of this version; begin a new run"
    metadata, tensors = read_marked(path, KIND, "begin a new run", another)
    facts = json.loads(metadata["facts"])
    recipe = Recipe.from_json(facts["recipe"])
    learner = new_learner(recipe, settings, context, 0, begun=False)
    for name, network in learner.networks.items():
        fit_weights(network, _below(tensors, f"{name}/"), str(path))
    _restore_optimiser(learner.optimiser, _below(tensors, "optimiser/"))
    learner.step, learner.seconds, learner.best = facts["step"], facts["seconds"], facts["best"]
    learner.order = None if facts["order"] is None else Order.from_json(facts["order"])
    learner.gate = Gate(**facts["gate"])
    return learner


def with_checkpoint(trained: Trained, path: Path, where: str, student: bool) -> Trained:
    """A network with what a run's checkpoint has beside it: the hardness head if it has one, the student if wanted.

    Raises
    ------
    UsageError
        The student is wanted and there is no checkpoint.
    """
    if not path.is_file():
        if student:
            raise UsageError(f"{path.parent}: has no checkpoint, so there is no student to compare with")
        return trained
    _, tensors = read_marked(path, KIND, "begin a new run", "is no checkpoint of this version; begin a new run")
    found = replace(trained, hardness=_hardness(_below(tensors, "hardness/"), where, path))
    if student:
        network = trained.recipe.network(Context(Classes(()), where))
        fit_weights(network, _below(tensors, "student/"), str(path))
        laid_out: nn.Module = network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        found = replace(found, student=laid_out.eval().requires_grad_(False))
    return found


def _hardness(weights: dict[str, Tensor], where: str, path: Path) -> Callable[[Tensor, tuple[int, int]], Tensor] | None:
    if not weights:
        return None
    head = HardnessHead(next(iter(weights.values())).shape[0])
    fit_weights(head, weights, str(path))
    head = head.to(where).eval().requires_grad_(False)

    def hard(fused: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.sigmoid(head(fused, size))

    return hard


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
