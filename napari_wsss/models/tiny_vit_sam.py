"""MobileSAM's image encoder: timm's TinyViT with a neck, and the names its checkpoint has for it.

Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications", 2023.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import TinyVit
from torch import Tensor, nn

CHANNELS = 256

_UNUSED = re.compile(r"(^|\.)(norm_head|head)\.|attention_bias_idxs$")


class TinyVitEncoder(nn.Module):
    """Image to embedding: float32 (n, 3, 1024, 1024) to (n, 256, 64, 64).

    The published network of 5.7 million weights. Its last stage does not halve the resolution, which
    leaves one token for 16 x 16 pixels, as segment-anything's decoder expects.
    """

    img_size = 1024

    def __init__(self) -> None:
        super().__init__()
        body = TinyVit(
            embed_dims=(64, 128, 160, 320),
            depths=(2, 2, 6, 2),
            num_heads=(2, 4, 5, 10),
            window_sizes=(7, 7, 14, 7),
            drop_path_rate=0.0,
            num_classes=0,
        )
        self.patch_embed = body.patch_embed
        self.stages = body.stages
        self.stages[3].downsample.conv2.conv.stride = (1, 1)
        self.neck = nn.Sequential(
            nn.Conv2d(320, CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.neck(self.stages(self.patch_embed(x)))
        return out


def is_tiny_vit(names: Mapping[str, Tensor]) -> bool:
    """Whether a SAM checkpoint holds MobileSAM's image encoder."""
    return "image_encoder.patch_embed.seq.0.c.weight" in names


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MobileSAM's image encoder to timm's words; everything else keeps its name.

    The classifier's head and the tables that TinyViT computes itself are left out.
    """
    renamed = {}
    for name, tensor in weights.items():
        inner = name.removeprefix("image_encoder.")
        if inner == name:
            renamed[name] = tensor
        elif not _UNUSED.search(inner):
            renamed["image_encoder." + _renamed(inner)] = tensor
    return renamed


def _renamed(name: str) -> str:
    name = name.replace("patch_embed.seq.0.", "patch_embed.conv1.").replace("patch_embed.seq.2.", "patch_embed.conv2.")
    # timm merges patches at the start of a stage, the checkpoint at the end of the one before
    name = re.sub(r"^layers\.(\d+)\.downsample\.", lambda m: f"stages.{int(m[1]) + 1}.downsample.", name)
    name = re.sub(r"^layers\.", "stages.", name)
    return name.replace(".c.", ".conv.")
