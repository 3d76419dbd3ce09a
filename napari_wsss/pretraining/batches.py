"""Batches of crops with first prompts, made in a process of their own beside the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.models.embedded.prompts import CORNER, NOTHING, OPPOSITE
from napari_wsss.pretraining.clicks import loose_box, next_click, rough_mask
from napari_wsss.pretraining.crops import SIDE, Crop, crop
from napari_wsss.pretraining.specimens import Specimen

CELL = 2
"""Pixels of the frame a cell of the masks."""

_BOX, _BOX_AND_CLICK, _ROUGH = 0.12, 0.2, 0.28  # cumulated chances of the first prompt's kinds


@dataclass(eq=False, slots=True)
class Batch:
    """n crops with p prompted objects each.

    Attributes
    ----------
    pictures : float32 (n, 3, SIDE, SIDE)
    truth : float32 (n * p, 1, SIDE / 2, SIDE / 2)
        Share of each cell that is the object.
    sparse : float32 (n * p, 3, 3)
        First prompts: x, y, kind.
    former : float32 (n * p, 1, SIDE / 2, SIDE / 2)
        A first guess as logits, and ``guessed`` bool (n * p,) where there is one.
    """

    pictures: Tensor
    truth: Tensor
    sparse: Tensor
    former: Tensor
    guessed: Tensor

    @property
    def owner(self) -> Tensor:
        """(n * p,) the crop of each prompt."""
        return torch.arange(len(self.pictures)).repeat_interleave(len(self.truth) // len(self.pictures))


def windows(batch: Batch, embedding: Tensor, tokens: int, rng: np.random.Generator) -> tuple[Tensor, Batch]:
    """Each prompt's window of ``tokens`` x ``tokens`` around its first place, as the decoder sees it in use.

    Returns
    -------
    embedding : (n * p, channels, tokens, tokens)
        Of each prompt's own window.
    batch : Batch
        Truth, prompts and guesses in the windows' coordinates; its pictures stay whole.
    """
    grid = embedding.shape[-1]
    said = batch.sparse[:, :, 2] >= 0
    places = (batch.sparse[:, :, :2] * said[:, :, None]).sum(1) / said.sum(1, keepdim=True) / STRIDE
    jitter = torch.from_numpy(rng.uniform(-tokens / 4, tokens / 4, (len(places), 2))).float()
    corners = (places + jitter - tokens / 2).round().clamp(0, grid - tokens).long()
    per = STRIDE // CELL

    def cut(x: Tensor, times: int) -> Tensor:
        rows = [
            x[i, :, y * times : (y + tokens) * times, c * times : (c + tokens) * times]
            for i, (c, y) in enumerate(corners)
        ]
        return torch.stack(rows)

    moved = batch.sparse.clone()
    moved[:, :, :2] -= (corners * STRIDE)[:, None]
    owned = torch.stack([embedding[o, :, y : y + tokens, c : c + tokens] for o, (c, y) in zip(batch.owner, corners)])
    return owned, Batch(batch.pictures, cut(batch.truth, per), moved, cut(batch.former, per), batch.guessed)


def collate(crops: Sequence[Crop], rng: np.random.Generator) -> Batch:
    """Crops with equally many objects as a batch, with a first prompt for every object."""
    masks = np.concatenate([c.masks for c in crops])
    shares = masks.reshape(len(masks), SIDE // CELL, CELL, SIDE // CELL, CELL).mean((2, 4), dtype=np.float32)
    sparse = np.full((len(masks), 3, 3), NOTHING, np.float32)
    former, guessed = np.zeros_like(shares), np.zeros(len(masks), bool)
    for i, share in enumerate(shares):
        truth = share >= 0.5 if share.max() >= 0.5 else share > 0
        kind = rng.random()
        if kind < _BOX_AND_CLICK:
            box = loose_box(truth, rng, CELL)
            sparse[i, 1], sparse[i, 2] = (*box[:2], CORNER), (*box[2:], OPPOSITE)
        if kind >= _BOX:
            click = next_click(truth, np.zeros_like(truth), rng, CELL)
            assert click is not None
            sparse[i, 0] = click
        if _BOX_AND_CLICK <= kind < _ROUGH:
            former[i], guessed[i] = rough_mask(truth, rng), True
    return Batch(
        torch.from_numpy(np.stack([c.picture for c in crops])),
        torch.from_numpy(shares)[:, None],
        torch.from_numpy(sparse),
        torch.from_numpy(former)[:, None],
        torch.from_numpy(guessed),
    )


class Crops(IterableDataset[Batch]):
    """Endless batches, each family as often as its weight says."""

    def __init__(
        self, specimens: Sequence[Specimen], weights: Mapping[str, float], size: int, prompts: int, seed: int
    ) -> None:
        self.size, self.prompts, self.seed = size, prompts, seed
        present = sorted({s.family for s in specimens})
        self.groups = [[s for s in specimens if s.family == f] for f in present]
        chance = np.array([weights.get(f, 1.0) for f in present])
        self.chance = chance / chance.sum()

    def one(self, rng: np.random.Generator) -> Crop:
        """A crop of a random specimen."""
        while True:
            group = self.groups[rng.choice(len(self.groups), p=self.chance)]
            made = crop(group[rng.integers(len(group))], rng, self.prompts)
            if made is not None:
                return made

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        while True:
            yield collate([self.one(rng) for _ in range(self.size)], rng)


def loader(crops: Crops, workers: int) -> DataLoader[Batch]:
    """Batches made ahead in ``workers`` processes."""
    return DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=6 if workers else None)
