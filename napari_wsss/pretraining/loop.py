"""The training loop: rounds of simulated clicks, averaged weights, checkpoints that survive a crash."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_wsss.models.embedded.network import EmbeddedNetwork
from napari_wsss.models.embedded.predictor import is_embedded, read_network
from napari_wsss.models.embedded.prompts import NOTHING
from napari_wsss.pretraining.batches import CELL, Batch, windows
from napari_wsss.pretraining.clicks import next_click
from napari_wsss.pretraining.losses import overlap, total_loss

ROUNDS = (0.42, 0.24, 0.14, 0.09, 0.06, 0.05)
"""Chance of 0, 1, 2 ... rounds of clicks before the one that is learnt from."""

_KEEP_GUESS = 0.9
_WINDOWED, _WINDOW = 0.3, 16  # share of steps that decode a window of so many tokens around each prompt


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: learning rate rises over ``warm_up`` steps, then falls as a cosine over ``minutes``.

    ``settled``: batch normalisation keeps the statistics that it has. A batch of first clicks looks unlike one of
    second clicks with a first guess, and in use one set of statistics must serve both; so the last part of the
    training learns with them as they will be.
    """

    minutes: float
    rate: float = 1.5e-3
    warm_up: int = 200
    decay: float = 0.02
    memory: float = 0.9985
    checkpoint_every: float = 180.0
    settled: bool = False

    def rate_at(self, step: int, seconds: float) -> float:
        """Learning rate after so many steps and seconds of training."""
        done = min(1.0, seconds / (60 * self.minutes))
        return self.rate * min(1.0, (step + 1) / self.warm_up) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))


class Learner:
    """The network in training, its average over time, and what is needed to go on after a crash."""

    def __init__(self, schedule: Schedule, device: str, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.schedule, self.device = schedule, torch.device(device)
        self.network = EmbeddedNetwork().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = EmbeddedNetwork().to(self.device)
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), schedule.rate, weight_decay=schedule.decay)
        self.rng = np.random.default_rng(seed)
        self.step, self.seconds = 0, 0.0

    def save(self, file: Path) -> None:
        """Everything, atomically."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        beside = file.with_suffix(".part")
        torch.save(state, beside)
        os.replace(beside, file)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint of `save`."""
        state = torch.load(file, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng = np.random.default_rng([1, self.step])

    def start_from(self, file: Path) -> None:
        """Averaged weights of another run, or exported ones; everything else begins anew."""
        if is_embedded(file):
            weights = read_network(file).state_dict()
        else:
            weights = torch.load(file, map_location=self.device, weights_only=True)["average"]
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def learn(self, batch: Batch) -> dict[str, float]:
        """One step: some rounds of clicks without learning, then one that is learnt from."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate_at(self.step, self.seconds)
        self.network.train()
        if self.schedule.settled:
            settle(self.network)
        pictures = batch.pictures.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            embedding = self.network.image_encoder(pictures)
            owner: Tensor | None = batch.owner.to(self.device)
            if self.rng.random() < _WINDOWED:
                embedding, batch = windows(batch, embedding, _WINDOW, self.rng)
                owner = None
            sparse, former, guessed = batch.sparse, batch.former.to(self.device), batch.guessed.to(self.device)
            for _ in range(int(self.rng.choice(len(ROUNDS), p=ROUNDS))):
                with torch.no_grad():
                    logits, iou = self._decode(self.network, embedding.detach(), owner, sparse, former, guessed)
                sparse, former, guessed = self._answered(batch, sparse, logits.float(), iou)
            logits, iou = self._decode(self.network, embedding, owner, sparse, former, guessed)
        truth = batch.truth.to(self.device)
        loss = total_loss(logits, iou, truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._remember()
        self.step += 1
        found = overlap(logits.detach(), truth)
        return {
            "loss": float(loss.detach()),
            "iou": float(found[:, 0].mean()),
            "best": float(found[:, 1:].amax(1).mean()),
        }

    def _decode(
        self,
        network: EmbeddedNetwork,
        embedding: Tensor,
        owner: Tensor | None,
        sparse: Tensor,
        former: Tensor,
        guessed: Tensor,
    ) -> tuple[Tensor, Tensor]:
        grid = (embedding.shape[-2], embedding.shape[-1])
        placed = sparse.to(self.device)
        _, dense = network.prompt_encoder(None, None, former, grid)
        return network.mask_decoder.decode(embedding, placed, dense * guessed[:, None, None, None], owner)

    def _answered(self, batch: Batch, sparse: Tensor, logits: Tensor, iou: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Prompts with one more click each, on what the network's answer misses; its answer as the next guess."""
        single = torch.as_tensor(self.rng.random(len(logits)) < 0.5, device=logits.device)
        chosen = torch.where(single, 0, 1 + iou[:, 1:].argmax(1))
        former = logits[torch.arange(len(logits)), chosen][:, None]
        found, truth = (former[:, 0] > 0).cpu().numpy(), (batch.truth[:, 0] >= 0.5).numpy()
        added = torch.full((len(sparse), 1, 3), float(NOTHING))
        for i in range(len(sparse)):
            click = next_click(truth[i], found[i], self.rng, CELL)
            if click is not None:
                added[i, 0] = torch.tensor(click)
        kept = torch.as_tensor(self.rng.random(len(logits)) < _KEEP_GUESS, device=logits.device)
        return torch.cat([sparse, added], 1), former, kept

    @torch.no_grad()
    def _remember(self) -> None:
        memory = min(self.schedule.memory, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - memory)
            else:
                kept.copy_(new)

    @torch.no_grad()
    def check(self, batches: Sequence[Batch], clicks: int = 3) -> list[float]:
        """Mean IoU of the averaged network after 1, 2 ... clicks on held-out crops; its own choice of the masks."""
        rng, said = np.random.default_rng(0), [0.0] * clicks
        for batch in batches:
            pictures, truth = batch.pictures.to(self.device), batch.truth.to(self.device)
            embedding = self.average.image_encoder(pictures)
            whole = (batch.truth[:, 0] >= 0.5).numpy()
            sparse = torch.tensor([[next_click(t, np.zeros_like(t), rng, CELL, 0.0) or (0, 0, -1)] for t in whole])
            former, guessed = torch.zeros_like(truth), torch.zeros(len(truth), dtype=torch.bool, device=self.device)
            for turn in range(clicks):
                owner = batch.owner.to(self.device)
                logits, iou = self._decode(self.average, embedding, owner, sparse.float(), former, guessed)
                former = logits[torch.arange(len(logits)), iou.argmax(1)][:, None]
                said[turn] += float(overlap(former, truth).mean()) / len(batches)
                guessed[:] = True
                found = (former[:, 0] > 0).cpu().numpy()
                added = [[next_click(t, f, rng, CELL, 0.0) or (0, 0, -1)] for t, f in zip(whole, found)]
                sparse = torch.cat([sparse, torch.tensor(added)], 1)
        return said


def settle(network: torch.nn.Module) -> None:
    """Let batch normalisation use its running statistics, and keep them."""
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eval()


def train(
    learner: Learner,
    batches: Iterator[Batch],
    held_out: Mapping[str, Sequence[Batch]],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Train until the schedule's minutes are over; metrics as JSON lines in ``folder``/metrics.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedule.json").write_text(json.dumps(asdict(learner.schedule)))
    last = saved = time.monotonic()
    seen: list[dict[str, float]] = []
    for batch in batches:
        seen.append(learner.learn(batch))
        now = time.monotonic()
        learner.seconds, last = learner.seconds + now - last, now
        over = learner.seconds >= 60 * learner.schedule.minutes
        if learner.step % 50 == 0:
            _log(folder, say, learner, {k: float(np.mean([s[k] for s in seen])) for k in seen[0]})
            seen.clear()
        if over or now - saved > learner.schedule.checkpoint_every:
            learner.save(folder / "checkpoint.pt")
            _log(folder, say, learner, {f"held out {k}": learner.check(b) for k, b in held_out.items()})
            saved = last = time.monotonic()
        if over:
            return


def _log(folder: Path, say: Callable[[str], None], learner: Learner, figures: dict[str, Any]) -> None:
    row = {"step": learner.step, "minutes": round(learner.seconds / 60, 2), **figures}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    short = {k: [round(x, 3) for x in v] if isinstance(v, list) else round(v, 3) for k, v in row.items()}
    say(", ".join(f"{k} {v}" for k, v in short.items()))
