"""What a person said, as planes: with the call and the two outputs of segment-anything's prompt encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEGATIVE, POSITIVE, CORNER, OPPOSITE, NOTHING = 0, 1, 2, 3, -1
"""Kinds of a sparse prompt, as segment-anything numbers them."""

PLANES = 10
"""Channels of `planes`."""

_REACH = (4.0, 16.0, 64.0)  # pixels of the frame over which a click fades


class PromptEncoder(nn.Module):
    """Points, boxes and a mask to (sparse, dense); nothing in it is learnt.

    A sparse prompt stays what it is, a place and a kind, because the decoder compares the image with
    itself at that place; the dense one is the former mask at stride 4 and a plane that says if there is one.
    """

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        grid: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Prompts of b objects of one frame.

        Parameters
        ----------
        points : (b, n, 2) columns and rows in pixels of the frame, (b, n) kinds; or None
        boxes : (b, 4) x0, y0, x1, y1 of the corner pixels; or None
        masks : (b, 1, h / 2, w / 2) logits; or None
        grid : rows and columns of the frame's tokens

        Returns
        -------
        sparse : (b, m, 3)
            x, y, kind.
        dense : (b, 2, h / 4, w / 4)
            Probability, and 1 where a mask was given.
        """
        kept = []
        if points is not None:
            kept.append(torch.cat([points[0], points[1][..., None].to(points[0].dtype)], -1))
        if boxes is not None:
            corners = boxes.reshape(-1, 2, 2)
            kinds = torch.tensor([CORNER, OPPOSITE], dtype=corners.dtype, device=corners.device)
            kept.append(torch.cat([corners, kinds.expand(len(corners), 2)[..., None]], -1))
        if masks is not None:
            chance = F.avg_pool2d(torch.sigmoid(masks.float()), 2)
            dense = torch.cat([chance, torch.ones_like(chance)], 1)
        else:
            like = kept[0] if kept else torch.zeros(1)
            dense = torch.zeros(len(like), 2, 2 * grid[0], 2 * grid[1], device=like.device)
        sparse = torch.cat(kept, 1) if kept else torch.full((len(dense), 1, 3), float(NOTHING), device=dense.device)
        return sparse, dense


def planes(sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """What the decoder sees of the prompts at stride 4, and where the object was said to be.

    Returns
    -------
    planes : float32 (b, PLANES, h, w)
        Nearness to positive and negative clicks at three reaches, the box, whether there is one, the former
        mask, whether there is one.
    belief : float32 (b, 1, h, w)
        The former mask, else the box, else 0.
    """
    h, w = dense.shape[-2:]
    rows = torch.arange(h, device=dense.device) * 4 + 1.5
    columns = torch.arange(w, device=dense.device) * 4 + 1.5
    dx = columns[None, None] - sparse[..., 0, None]
    dy = rows[None, None] - sparse[..., 1, None]
    kinds = sparse[..., 2].round()
    near = []
    for kind in (POSITIVE, NEGATIVE):
        far = torch.where(kinds == kind, 0.0, 1e6)[..., None, None]
        squared = (dy[..., None] ** 2 + dx[..., None, :] ** 2 + far).amin(1)
        near += [torch.exp(-squared.sqrt() / reach) for reach in _REACH]
    box, boxed = _box(sparse, kinds, rows, columns)
    belief = torch.where(dense[:, 1:] > 0, dense[:, :1], box[:, None])
    made = torch.stack([*near, box, boxed[:, None, None].expand_as(box)], 1)
    return torch.cat([made, dense.to(made.dtype)], 1), belief


def _box(sparse: Tensor, kinds: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Inside of the box (b, h, w), fading over a cell at its edges, and whether there is one (b,)."""
    first, last = kinds == CORNER, kinds == OPPOSITE
    boxed = first.any(1).to(sparse.dtype)
    low = (sparse[..., :2] * first[..., None]).sum(1)
    high = (sparse[..., :2] * last[..., None]).sum(1)
    across = torch.minimum(columns[None] - low[:, :1], high[:, :1] - columns[None])
    along = torch.minimum(rows[None] - low[:, 1:], high[:, 1:] - rows[None])
    inside = torch.minimum(along[:, :, None], across[:, None, :])
    return torch.clamp(inside / 4 + 0.5, 0, 1) * boxed[:, None, None], boxed
