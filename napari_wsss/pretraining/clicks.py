"""The annotator of the training, for a batch of objects on their device: clicks with whims, boxes and rough masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from napari_wsss.models.embedded.prompts import CORNER, NOTHING, OPPOSITE

_INNER = 0.2  # least share of the greatest depth at which a whim may click


def depths(region: Tensor) -> Tensor:
    """Euclidean distance of each cell of a region to the nearest cell outside of it; beyond the frame is outside.

    Two passes: along columns by running maxima, along rows by trying every shift (Felzenszwalb and Huttenlocher,
    "Distance Transforms of Sampled Functions", 2012, state the separation).

    Parameters
    ----------
    region : bool (n, h, w)
        At most 180 rows and columns, since squares are kept in 16 bits.

    Returns
    -------
    float32 (n, h, w)
        0 outside of the region.
    """
    n, h, w = region.shape
    rows = torch.arange(h, device=region.device)[:, None].expand(n, h, w)
    above = torch.where(region, -1, rows).cummax(1).values
    below = torch.where(region, -1, h - 1 - rows).flip(1).cummax(1).values.flip(1)
    along = torch.minimum(rows - above, h - 1 - below - rows).to(torch.int16) ** 2
    reach = (h + 1) // 2  # no cell is farther from the frame's upper or lower edge
    wide = F.pad(along, (reach, reach))
    best = along
    for k in range(1, min(reach, w) + 1):
        beside = torch.minimum(wide[..., reach - k : reach - k + w], wide[..., reach + k : reach + k + w])
        best = torch.minimum(best, beside + k * k)
    return best.float().sqrt()


def next_clicks(truth: Tensor, found: Tensor, dice: Generator, stride: int, whim: float = 0.5) -> Tensor:
    """A click for every object, where missed or wrong cells, whichever are more, lie deepest.

    Parameters
    ----------
    truth, found : bool (n, h, w)
        At ``stride`` pixels of the frame a cell; ``found`` is empty before the first click.
    dice : Generator
        Of the tensors' device.
    stride : int
    whim : float
        Chance of a click anywhere in the inner part of the error, instead of its deepest cell.

    Returns
    -------
    float32 (n, 1, 3)
        Column and row in pixels of the frame, and 1 (on the object), 0, or `NOTHING` where no error is left.
    """
    n, _, w = truth.shape
    missed, wrong = truth & ~found, found & ~truth
    positive = missed.sum((1, 2)) >= wrong.sum((1, 2))
    depth = depths(torch.where(positive[:, None, None], missed, wrong)).flatten(1)
    deepest = depth.amax(1, keepdim=True)
    where: dict[str, Any] = {"generator": dice, "device": truth.device}
    least = (_INNER + (1 - _INNER) * torch.rand(n, 1, **where)) * deepest
    anywhere = torch.rand(depth.shape, **where) * (depth >= least) * (depth > 0)
    chosen = torch.where(torch.rand(n, 1, **where) < whim, anywhere, depth).argmax(1)
    inside = torch.rand(n, 2, **where) * stride - 0.5  # anywhere in the cell
    places = torch.stack([chosen % w, chosen // w], 1) * stride + inside
    kinds = torch.where(deepest[:, 0] > 0, positive.float(), float(NOTHING))
    return torch.cat([places, kinds[:, None]], 1)[:, None]


def loose_boxes(truth: Tensor, dice: Generator, stride: int) -> Tensor:
    """Boxes around objects, each side off by up to about a tenth, as their two corners.

    Parameters
    ----------
    truth : bool (n, h, w)
        None is empty.

    Returns
    -------
    float32 (n, 2, 3)
        Column and row in pixels of the frame, and the kind of corner.
    """
    sides = []
    for over in (1, 2):
        seen = truth.any(over).int()
        sides.append((seen.argmax(1), seen.shape[1] - seen.flip(1).argmax(1)))
    (x0, x1), (y0, y1) = sides
    box = torch.stack([x0, y0, x1, y1], 1).float() * stride
    size = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    where: dict[str, Any] = {"generator": dice, "device": truth.device}
    slack = torch.randn(box.shape, **where) * 0.05 * size + torch.rand(box.shape, **where) * 2 - 1
    most = 0.15 * size.amin(1, keepdim=True) + 2
    corners = (box + torch.minimum(torch.maximum(slack, -most), most)).reshape(-1, 2, 2)
    kinds = torch.tensor([CORNER, OPPOSITE], device=truth.device, dtype=corners.dtype)
    return torch.cat([corners, kinds.expand(len(truth), 2)[..., None]], 2)


def rough_masks(truth: Tensor, dice: Generator) -> Tensor:
    """Logits float32 (n, h, w) of first guesses that are wrong as pseudo-labels are.

    Moved, grown or shrunk, bitten and with bits of the surroundings, blurred; by how much differs from call to call,
    where it is bitten from object to object.
    """

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=dice, device=truth.device))

    where: dict[str, Any] = {"generator": dice, "device": truth.device}
    n, h, w = truth.shape
    moved = truth.float()[:, None].roll((pick(-3, 4), pick(-3, 4)), (2, 3))
    size = 1 + 2 * pick(0, 4)
    moved = F.max_pool2d(moved, size, 1, size // 2) if pick(0, 2) else -F.max_pool2d(-moved, size, 1, size // 2)
    noise = F.interpolate(torch.randn(n, 1, h // 12 + 2, w // 12 + 2, **where), (h, w), mode="bicubic")
    bitten = torch.where(noise > 1.0, 0.0, moved) + torch.where(noise < -1.5, truth.float()[:, None], 0.0)
    bites = torch.rand(n, 1, 1, 1, **where) < 0.5
    moved = torch.where(bites, bitten.clamp(max=1), moved)
    blur = 1 + 2 * pick(0, 4)
    soft = F.avg_pool2d(F.avg_pool2d(moved, blur, 1, blur // 2), blur, 1, blur // 2)
    high, low = 0.7 + 0.3 * torch.rand(n, 1, 1, 1, **where), 0.15 * torch.rand(n, 1, 1, 1, **where)
    return torch.logit((soft * high + low).clamp(0.02, 0.98))[:, 0]
