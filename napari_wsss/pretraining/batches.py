"""Batches of crops, made in processes of their own beside the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from napari_wsss.pretraining.crops import SIDE, Crop, crop
from napari_wsss.pretraining.specimens import Specimen

CELL = 2
"""Pixels of the frame a cell of the masks."""


@dataclass(eq=False, slots=True)
class Batch:
    """n crops with p objects each.

    Attributes
    ----------
    pictures : uint8 (n, 3, SIDE, SIDE)
    shares : uint8 (n * p, SIDE / 2, SIDE / 2)
        How many of each cell's four pixels are the object's.
    """

    pictures: Tensor
    shares: Tensor

    def seen(self, device: torch.device) -> Tensor:
        """The pictures float32 in [0, 1] on a device, channels last."""
        return self.pictures.to(device, non_blocking=True).to(memory_format=torch.channels_last).float() / 255

    def truth(self, device: torch.device) -> Tensor:
        """Share of each cell that is the object, float32 (n * p, 1, SIDE / 2, SIDE / 2), on a device."""
        return self.shares.to(device, non_blocking=True)[:, None].float() / CELL**2

    def owner(self, device: torch.device) -> Tensor:
        """(n * p,) the crop of each object."""
        return torch.arange(len(self.pictures), device=device).repeat_interleave(len(self.shares) // len(self.pictures))

    def pin_memory(self) -> Batch:
        """In memory that a GPU copies from while it works; called by the loader."""
        return Batch(self.pictures.pin_memory(), self.shares.pin_memory())


def collate(crops: Sequence[Crop]) -> Batch:
    """Crops with equally many objects as a batch."""
    masks = np.concatenate([c.masks for c in crops])
    cells = masks.reshape(len(masks), SIDE // CELL, CELL, SIDE // CELL, CELL).sum((2, 4), dtype=np.uint8)
    pictures = np.rint(np.stack([c.picture for c in crops]) * 255).astype(np.uint8)
    return Batch(torch.from_numpy(pictures), torch.from_numpy(cells))


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
            yield collate([self.one(rng) for _ in range(self.size)])


def loader(crops: Crops, workers: int, pinned: bool = False) -> DataLoader[Batch]:
    """Batches made ahead in ``workers`` processes."""
    ahead = 4 if workers else None
    return DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=ahead, pin_memory=pinned)
