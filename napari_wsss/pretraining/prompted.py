"""What the simulated annotator has said so far of each object of a batch, on the batch's device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.models.embedded.prompts import NOTHING
from napari_wsss.pretraining.batches import CELL
from napari_wsss.pretraining.clicks import loose_boxes, next_clicks, rough_masks

_BOX, _BOX_AND_CLICK, _ROUGH = 0.12, 0.2, 0.28  # cumulated chances of the first prompt's kinds


@dataclass(eq=False, slots=True)
class Prompted:
    """n objects and the prompts of each.

    Attributes
    ----------
    truth : float32 (n, 1, h / 2, w / 2)
        Share of each cell that is the object.
    sparse : float32 (n, m, 3)
        x, y in pixels of the frame, kind.
    former : float32 (n, 1, h / 2, w / 2)
        A first guess as logits, and ``guessed`` bool (n,) where there is one.
    """

    truth: Tensor
    sparse: Tensor
    former: Tensor
    guessed: Tensor

    @property
    def whole(self) -> Tensor:
        """Cells bool (n, h / 2, w / 2) that are the object; of a tiny one every cell that it touches."""
        share = self.truth[:, 0]
        least = torch.where(share.amax((1, 2)) >= 0.5, 0.5, 1e-6)
        return share >= least[:, None, None]


def unprompted(truth: Tensor, room: int) -> Prompted:
    """Objects of which nothing was said, with room for so many prompts."""
    sparse = torch.full((len(truth), room, 3), float(NOTHING), device=truth.device)
    guessed = torch.zeros(len(truth), dtype=torch.bool, device=truth.device)
    return Prompted(truth, sparse, torch.zeros_like(truth), guessed)


def first_prompts(truth: Tensor, dice: Generator, later: int) -> Prompted:
    """A click, a box, both, or a click and a rough mask for each object; room for ``later`` clicks after these."""
    made = unprompted(truth, 3 + later)
    whole = made.whole
    kind = torch.rand(len(truth), generator=dice, device=truth.device)
    clicked, boxed, rough = kind >= _BOX, kind < _BOX_AND_CLICK, (kind >= _BOX_AND_CLICK) & (kind < _ROUGH)
    clicks, boxes = next_clicks(whole, torch.zeros_like(whole), dice, CELL), loose_boxes(whole, dice, CELL)
    made.sparse[:, :1] = torch.where(clicked[:, None, None], clicks, made.sparse[:, :1])
    made.sparse[:, 1:3] = torch.where(boxed[:, None, None], boxes, made.sparse[:, 1:3])
    made.former = torch.where(rough[:, None, None, None], rough_masks(whole, dice)[:, None], made.former)
    made.guessed = rough
    return made


def windows(said: Prompted, embedding: Tensor, owner: Tensor, tokens: int, dice: Generator) -> tuple[Tensor, Prompted]:
    """Each object's window of ``tokens`` x ``tokens`` around its prompts, as the decoder sees it in use.

    Returns
    -------
    embedding : (n, channels, tokens, tokens)
        Of each object's own window.
    said : Prompted
        In the windows' coordinates.
    """
    grid, per = embedding.shape[-1], STRIDE // CELL
    there = said.sparse[:, :, 2] >= 0
    places = (said.sparse[:, :, :2] * there[:, :, None]).sum(1) / there.sum(1, keepdim=True) / STRIDE
    jitter = (torch.rand(places.shape, generator=dice, device=places.device) - 0.5) * tokens / 2
    corners = (places + jitter - tokens / 2).round().clamp(0, grid - tokens).long()

    def cut(x: Tensor, times: int, of: Tensor) -> Tensor:
        along = torch.arange(tokens * times, device=x.device)
        rows, columns = (corners[:, i, None] * times + along for i in (1, 0))
        seen = x.permute(0, 2, 3, 1)[of[:, None, None], rows[:, :, None], columns[:, None, :]]
        return seen.permute(0, 3, 1, 2)

    each = torch.arange(len(owner), device=owner.device)
    moved = said.sparse.clone()
    moved[:, :, :2] -= (corners * STRIDE)[:, None]
    cells = Prompted(cut(said.truth, per, each), moved, cut(said.former, per, each), said.guessed)
    return cut(embedding, 1, owner), cells
