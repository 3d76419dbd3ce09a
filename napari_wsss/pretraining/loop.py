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
from torch.optim.swa_utils import get_ema_multi_avg_fn

from napari_wsss.models.embedded.network import EmbeddedNetwork
from napari_wsss.models.embedded.predictor import is_embedded, read_network
from napari_wsss.models.embedded.prompts import NOTHING
from napari_wsss.pretraining.batches import CELL, Batch
from napari_wsss.pretraining.clicks import next_clicks
from napari_wsss.pretraining.losses import overlap, total_loss
from napari_wsss.pretraining.prompted import Prompted, first_prompts, unprompted, windows

AT_LEAST = (0.58, 0.34, 0.2, 0.11, 0.05)
"""Shares of the objects that get at least 1, 2 ... rounds of clicks before the one that is learnt from."""

_KEEP_GUESS, _SAME_CLICKS = 0.9, 0.12
_WINDOWED, _WINDOW = 0.5, 16  # share of steps that decode a window of so many tokens around each prompt


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: learning rate rises over ``warm_up`` steps, then falls as a cosine over ``minutes``.

    From the share ``settle_after`` of the minutes on, batch normalisation keeps the statistics that it has: so the
    last part of the training learns with them as they will be in use.
    """

    minutes: float
    rate: float = 1.5e-3
    warm_up: int = 200
    decay: float = 0.05
    memory: float = 0.9985
    checkpoint_every: float = 180.0
    settle_after: float = 0.7

    def done(self, seconds: float) -> float:
        """Share of the minutes that is over."""
        return min(1.0, seconds / (60 * self.minutes))

    def rate_at(self, step: int, seconds: float) -> float:
        """Learning rate after so many steps and seconds of training."""
        fallen = 0.5 * (1 + math.cos(math.pi * self.done(seconds)))
        return self.rate * min(1.0, (step + 1) / self.warm_up) * max(0.01, fallen)


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
        self.dice = torch.Generator(self.device)
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

    def start_from(self, file: Path) -> None:
        """Averaged weights of another run, or exported ones; everything else begins anew."""
        if is_embedded(file):
            weights = read_network(file).state_dict()
        else:
            weights = torch.load(file, map_location=self.device, weights_only=True)["average"]
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def learn(self, batch: Batch) -> Tensor:
        """One step: some rounds of clicks without learning, then one that is learnt from.

        Returns
        -------
        (3,)
            Loss, mean IoU of the single mask, and of the best of the three others.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate_at(self.step, self.seconds)
        self.dice.manual_seed(self.step)  # so that a run goes on exactly
        self._ready()
        owner: Tensor | None = batch.owner(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            embedding = self.network.image_encoder(batch.seen(self.device))
            said = first_prompts(batch.truth(self.device), self.dice, len(AT_LEAST))
            if np.random.default_rng(self.step).random() < _WINDOWED:
                assert owner is not None
                embedding, said = windows(said, embedding, owner, _WINDOW, self.dice)
                owner = None
            self._click(said, embedding.detach(), owner)
            logits, iou = self._decode(self.network, embedding, owner, said.sparse, said.former, said.guessed)
        loss = total_loss(logits, iou, said.truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._remember()
        self.step += 1
        found = overlap(logits.detach(), said.truth)
        return torch.stack([loss.detach(), found[:, 0].mean(), found[:, 1:].amax(1).mean()])

    def _ready(self) -> None:
        self.network.train()
        if self.schedule.done(self.seconds) >= self.schedule.settle_after:
            settle(self.network)

    @torch.no_grad()
    def _click(self, said: Prompted, embedding: Tensor, owner: Tensor | None) -> None:
        """Rounds of clicks on what the network's answers miss, as it is in use; fewer objects get each further one."""
        self.network.mask_decoder.eval()
        order = torch.randperm(len(said.truth), generator=self.dice, device=self.device)
        for turn, share in enumerate(AT_LEAST):
            some = order[: round(share * len(order))]
            if len(some):
                own = embedding[some] if owner is None else embedding
                of = None if owner is None else owner[some]
                now = (said.sparse[some], said.former[some], said.guessed[some])
                self._answer(said, some, turn, *self._decode(self.network, own, of, *now))
        self._ready()

    def _answer(self, said: Prompted, some: Tensor, turn: int, logits: Tensor, iou: Tensor) -> None:
        """Write one more click for some objects, and the network's answer as their next guess.

        Some keep their clicks and get the guess alone, as the product looks twice at a first click.
        """
        n = len(some)
        dice = torch.rand(3, n, generator=self.dice, device=self.device)
        chosen = torch.where(dice[0] < 0.5, 0, 1 + iou[:, 1:].argmax(1))
        former = logits[torch.arange(n, device=self.device), chosen].float()
        clicks = next_clicks(said.whole[some], former > 0, self.dice, CELL)
        same = dice[1] < _SAME_CLICKS
        clicks[same, :, 2] = float(NOTHING)
        said.sparse[some, 3 + turn] = clicks[:, 0]
        said.former[some] = former[:, None]
        said.guessed[some] = same | (dice[2] < _KEEP_GUESS)

    def _decode(
        self,
        network: EmbeddedNetwork,
        embedding: Tensor,
        owner: Tensor | None,
        sparse: Tensor,
        former: Tensor,
        guessed: Tensor,
    ) -> tuple[Tensor, Tensor]:
        _, dense = network.prompt_encoder(None, None, former, (embedding.shape[-2], embedding.shape[-1]))
        return network.mask_decoder.decode(embedding, sparse, dense * guessed[:, None, None, None], owner)

    @torch.no_grad()
    def _remember(self) -> None:
        kept, new = (list(n.parameters()) + list(n.buffers()) for n in (self.average, self.network))
        floats = [i for i, value in enumerate(new) if value.is_floating_point()]
        memory = min(self.schedule.memory, (1 + self.step) / (10 + self.step))
        lerp = get_ema_multi_avg_fn(memory)  # type: ignore[no-untyped-call]
        lerp([kept[i] for i in floats], [new[i] for i in floats], None)

    @torch.no_grad()
    def check(self, batches: Sequence[Batch], clicks: int = 3) -> list[float]:
        """Mean IoU of the averaged network after 1, 2 ... clicks on held-out crops; its own choice of the masks."""
        dice, figures = torch.Generator(self.device).manual_seed(0), [0.0] * clicks
        for batch in batches:
            embedding, owner = self.average.image_encoder(batch.seen(self.device)), batch.owner(self.device)
            said = unprompted(batch.truth(self.device), clicks)
            found = torch.zeros_like(said.whole)
            for turn in range(clicks):
                said.sparse[:, turn] = next_clicks(said.whole, found, dice, CELL, 0.0)[:, 0]
                logits, iou = self._decode(self.average, embedding, owner, said.sparse, said.former, said.guessed)
                said.former = logits[torch.arange(len(logits)), iou.argmax(1)][:, None].float()
                said.guessed[:] = True
                found = said.former[:, 0] > 0
                figures[turn] += float(overlap(said.former, said.truth).mean()) / len(batches)
        return figures


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
    """Train until the schedule's minutes are over; metrics as JSON lines in ``folder``/metrics.jsonl.

    Interrupted (Ctrl+C), it saves and ends; the same command goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedule.json").write_text(json.dumps(asdict(learner.schedule)))
    checkpoint = folder / "checkpoint.pt"
    last = saved = time.monotonic()
    seen: list[Tensor] = []
    try:
        for batch in batches:
            seen.append(learner.learn(batch))
            now = time.monotonic()
            learner.seconds, last = learner.seconds + now - last, now
            over = learner.seconds >= 60 * learner.schedule.minutes
            if learner.step % 50 == 0:
                means = torch.stack(seen).mean(0).tolist()
                _log(folder, say, learner, dict(zip(("loss", "iou", "best"), means)))
                seen.clear()
            if over or now - saved > learner.schedule.checkpoint_every:
                learner.save(checkpoint)
                _log(folder, say, learner, {f"held out {k}": learner.check(b) for k, b in held_out.items()})
                saved = last = time.monotonic()
            if over:
                return
    except KeyboardInterrupt:
        learner.save(checkpoint)
        say(f"interrupted at step {learner.step}; the same command goes on")


def _log(folder: Path, say: Callable[[str], None], learner: Learner, figures: dict[str, Any]) -> None:
    row = {"step": learner.step, "minutes": round(learner.seconds / 60, 2), **figures}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    short = {k: [round(x, 3) for x in v] if isinstance(v, list) else round(v, 3) for k, v in row.items()}
    say(", ".join(f"{k} {v}" for k, v in short.items()))
