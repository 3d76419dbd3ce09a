"""The mask decoder: convolutions over prompts, image, and how much each place resembles the clicked ones.

With the call and the outputs of segment-anything's mask decoder. A window of the embedding is decoded
as the whole one is, so that a thousand objects cost a thousand small windows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_wsss.models.embedded.blocks import Residual, convolution, enlarge
from napari_wsss.models.embedded.encoder import HALF, QUARTER, TOKENS, unpack
from napari_wsss.models.embedded.prompts import NEGATIVE, PLANES, POSITIVE, planes

MASKS = 4
"""The one mask that suits prompts without doubt, then part, whole and larger whole in no order."""


class Resemblance(nn.Module):
    """How much each place resembles others, as cosines in several learnt subspaces.

    Nearest click of a kind by feature, as attention with one key would see it; -1 where there is none.
    """

    def __init__(self, inputs: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Conv2d(inputs, heads * width, 1, bias=False)

    def keys(self, features: Tensor) -> Tensor:
        """Unit vectors (n, heads, width, h, w)."""
        made = self.project(features)
        n, _, h, w = made.shape
        return F.normalize(made.float().reshape(n, self.heads, -1, h, w), dim=2)

    def to_clicks(self, keys: Tensor, sparse: Tensor, stride: int) -> Tensor:
        """(b, 2 * heads, h, w): to the positive clicks and to the negative ones; keys (b, heads, width, h, w)."""
        b, heads, width, h, w = keys.shape
        size = torch.tensor([w, h], device=keys.device) * stride
        places = (sparse[..., :2] + 0.5) / size * 2 - 1
        clicked = F.grid_sample(keys.flatten(1, 2), places[:, None], "bilinear", "border", align_corners=False)
        clicked = F.normalize(clicked.reshape(b, heads, width, -1), dim=2)
        cosines = torch.einsum("bcdn,bcdp->bcnp", clicked, keys.flatten(3))
        kinds = sparse[..., 2].round()
        found = [cosines.masked_fill((kinds != kind)[:, None, :, None], -1.0).amax(2) for kind in (POSITIVE, NEGATIVE)]
        return torch.cat(found, 1).reshape(b, 2 * heads, h, w)

    def to_region(self, keys: Tensor, weight: Tensor) -> Tensor:
        """(b, heads, h, w): to the mean of a region given by weights (b, 1, h, w); -1 where it is empty."""
        mean = torch.einsum("bcdp,bp->bcd", keys.flatten(3), weight.flatten(1))
        cosines = torch.einsum("bcd,bcdhw->bchw", F.normalize(mean, dim=2), keys)
        return torch.where(weight.sum((1, 2, 3), keepdim=True) > 0.05, cosines, -1.0)


class MaskDecoder(nn.Module):
    """Packed embedding and prompts to masks at stride 2 and their estimated IoU."""

    def __init__(self, heads: int = 8, fine_heads: int = 4) -> None:
        super().__init__()
        self.like_tokens = Resemblance(TOKENS, heads, 16)
        self.like_quarter = Resemblance(QUARTER, fine_heads, 8)
        self.image_eighth = nn.Conv2d(TOKENS, 64, 1)
        self.prompt_eighth = convolution(PLANES + 4 * heads, 64)
        self.enter = Residual(64)
        self.down = nn.Sequential(convolution(64, 96, 3, 2), nn.ReLU(), Residual(96))
        self.bottom = nn.Sequential(convolution(96, 128, 3, 2), nn.ReLU(), Residual(128), Residual(128))
        self.up = convolution(128, 96, 1)
        self.middle = nn.Sequential(nn.ReLU(), Residual(96))
        self.to_eighth = convolution(96, 64, 1)
        self.eighth = nn.Sequential(nn.ReLU(), Residual(64))
        self.to_quarter = nn.Conv2d(64, 32, 1, bias=False)
        self.image_quarter = nn.Conv2d(QUARTER, 32, 1)
        self.prompt_quarter = convolution(PLANES + 2 * fine_heads, 32)
        self.quarter = nn.Sequential(nn.ReLU(), Residual(32))
        self.to_half = nn.Conv2d(32, 16, 1, bias=False)
        self.image_half = nn.Conv2d(HALF, 16, 1)
        self.finest = nn.Sequential(convolution(16, 16), nn.ReLU())
        self.masks = nn.Conv2d(16, MASKS, 3, padding=1)
        self.score = nn.Sequential(nn.Linear(2 * 32 + 3, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor | None,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Masks of b prompts on one image, or on b windows.

        Parameters
        ----------
        image_embeddings : (1 or b, PACKED, h, w)
        image_pe : None
            In the call of segment-anything's decoder; the prompts' places are in the sparse prompts here.
        sparse_prompt_embeddings, dense_prompt_embeddings
            As `PromptEncoder` gives them.
        multimask_output : bool
            Three masks of different extent, or the one that suits prompts without doubt.

        Returns
        -------
        masks : (b, 3 or 1, 4h, 4w)
            Logits at stride 2.
        iou : (b, 3 or 1)
        """
        masks, iou = self.decode(image_embeddings, sparse_prompt_embeddings, dense_prompt_embeddings)
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], iou[:, chosen]

    def decode(
        self, embedding: Tensor, sparse: Tensor, dense: Tensor, owner: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """All `MASKS` masks (b, 4, 4h, 4w) and their estimated IoU (b, 4).

        ``owner`` (b,) says which of the embeddings a prompt belongs to; without it there is one embedding
        for all prompts, or one each.
        """
        tokens, quarter, half = unpack(embedding)
        b = len(sparse)

        def own(x: Tensor) -> Tensor:
            return x.expand(b, *x.shape[1:]) if owner is None else x[owner]

        seen, belief = planes(sparse, dense)
        eighth = self._eighth(own(self.image_eighth(tokens)), own(self.like_tokens.keys(tokens)), sparse, seen, belief)
        alike = self.like_quarter.to_clicks(own(self.like_quarter.keys(quarter)), sparse, 4)
        fine = self.prompt_quarter(torch.cat([seen, alike], 1)) + own(self.image_quarter(quarter))
        fine = self.quarter(fine + enlarge(self.to_quarter(eighth), 2))
        finest = self.finest(F.relu(own(self.image_half(half)) + enlarge(self.to_half(fine), 2)))
        masks = self.masks(finest)
        return masks, self._iou(masks, fine)

    def _eighth(self, image: Tensor, keys: Tensor, sparse: Tensor, seen: Tensor, belief: Tensor) -> Tensor:
        """What is decided at stride 8 and above: (b, 64, h, w)."""
        belief = F.avg_pool2d(belief, 2)
        around = F.avg_pool2d(belief, 9, 1, 4, count_include_pad=False) * (1 - belief)
        alike = [
            self.like_tokens.to_clicks(keys, sparse, 8),
            self.like_tokens.to_region(keys, belief),
            self.like_tokens.to_region(keys, around),
        ]
        said = self.prompt_eighth(torch.cat([F.avg_pool2d(seen, 2), *alike], 1))
        eighth = self.enter(F.relu(said + image))
        sixteenth = self.down(eighth)
        sixteenth = self.middle(sixteenth + enlarge(self.up(self.bottom(sixteenth)), 2))
        out: Tensor = self.eighth(eighth + enlarge(self.to_eighth(sixteenth), 2))
        return out

    def _iou(self, masks: Tensor, fine: Tensor) -> Tensor:
        """Estimated IoU (b, 4) from what lies under each mask and along its edge. Does not train the masks."""
        logits = F.avg_pool2d(masks.detach().float(), 2)
        chance = torch.sigmoid(logits).flatten(2)
        edge = chance * (1 - chance)
        features = fine.detach().float().flatten(2).transpose(1, 2)
        area, rim = chance.sum(2, keepdim=True), edge.sum(2, keepdim=True)
        said = [
            chance @ features / (area + 1),
            edge @ features / (rim + 1),
            torch.log1p(area),
            rim / (area + 1),
            (logits.abs().clamp(max=8).flatten(2) * chance).sum(2, keepdim=True) / (area + 1),
        ]
        scores: Tensor = torch.sigmoid(self.score(torch.cat(said, 2))[..., 0])
        return scores
