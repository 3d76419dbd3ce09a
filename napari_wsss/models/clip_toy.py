"""A CLIP that knows colours, its weights written by hand: for tests that need meaning without a checkpoint.

It is one of open_clip's networks (two image blocks of true attention with small fixed random parts, one text block)
and goes through all the code that a real one goes through. It knows the words of `COLOURS` and
nothing else: a phrase means the mean of the colours in it, a patch means its mean colour. It measures nothing
about real pictures.
"""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import Tensor

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (1, -0.5, -0.5),
    "green": (-0.5, 1, -0.5),
    "blue": (-0.5, -0.5, 1),
    "yellow": (0.5, 0.5, -1),
    "purple": (0.5, -1, 0.5),
    "black": (-1, -1, -1),
    "white": (1, 1, 1),
}
PATCH = 8
_WIDTH = 64  # one head: open_clip's heads are 64 wide
_GRID = 4
_DIM = 8
_NOISE = 0.02


def toy_clip(seed: int = 0) -> open_clip.CLIP:
    """The network, float32, in evaluation mode; equal seeds give equal weights."""
    model = open_clip.CLIP(
        _DIM,
        {"layers": 2, "width": _WIDTH, "patch_size": PATCH, "image_size": PATCH * _GRID},
        {"layers": 1, "width": _WIDTH, "heads": 1},
    )
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or name.endswith("bias"):
                parameter.zero_()
        _write_image_tower(model.visual, draw)
        _write_text_tower(model)
        model.logit_scale.fill_(float(torch.tensor(10.0).log()))
    return model.eval().requires_grad_(False)


def write_toy_clip(path: Path, seed: int = 0) -> Path:
    """Save the toy as a checkpoint (safetensors) with open_clip's published key names."""
    save_file({k: v.contiguous() for k, v in toy_clip(seed).state_dict().items()}, path)
    return path


def _pairs(values: Tensor) -> Tensor:
    """Each value beside its negative, filled with zeros: a mean of 0, so that layer norms keep the direction."""
    out = torch.zeros(*values.shape[:-1], _WIDTH)
    out[..., 0 : 2 * values.shape[-1] : 2] = values
    out[..., 1 : 2 * values.shape[-1] : 2] = -values
    return out


def _write_image_tower(visual: open_clip.transformer.VisionTransformer, draw: torch.Generator) -> None:
    for channel in range(3):  # the mean of a patch, back in [-1, 1], each colour and its negative
        gain = 2 * OPENAI_DATASET_STD[channel] / PATCH**2
        visual.conv1.weight[2 * channel, channel] = gain
        visual.conv1.weight[2 * channel + 1, channel] = -gain
    offset = torch.tensor([2 * mean - 1 for mean in OPENAI_DATASET_MEAN] + [0.5])
    visual.positional_embedding[1:] = _pairs(offset)
    visual.class_embedding.copy_(_pairs(torch.tensor([0.0, 0, 0, 1])))
    for block in visual.transformer.resblocks:
        noise = torch.randn(3 * _WIDTH, _WIDTH, generator=draw)
        block.attn.in_proj_weight.copy_(_NOISE * noise)
        # Queries and keys see the colour itself, so that tokens attend to their like; values carry all.
        block.attn.in_proj_weight[: 2 * _WIDTH] += torch.eye(_WIDTH).repeat(2, 1)
        block.attn.in_proj_weight[2 * _WIDTH :] += torch.eye(_WIDTH)
        block.attn.out_proj.weight.copy_(0.5 * torch.eye(_WIDTH))
        block.mlp.c_fc.weight.copy_(_NOISE * torch.randn(4 * _WIDTH, _WIDTH, generator=draw))
        block.mlp.c_proj.weight.copy_(_NOISE * torch.randn(_WIDTH, 4 * _WIDTH, generator=draw))
    visual.proj[:8:2, :4] = torch.eye(4)


def _write_text_tower(model: open_clip.CLIP) -> None:
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    for word, colour in COLOURS.items():
        (token,) = tokenizer.encode(word)
        model.token_embedding.weight[token] = _pairs(torch.tensor(colour))
    model.token_embedding.weight[tokenizer.eot_token_id] = _pairs(torch.tensor([0.0, 0, 0, 1]))
    block = model.transformer.resblocks[0]
    # Queries and keys are 0: the last token takes the mean of all before it.
    block.attn.in_proj_weight[2 * _WIDTH :] = torch.eye(_WIDTH)
    block.attn.out_proj.weight.copy_(8 * torch.eye(_WIDTH))
    model.text_projection[:8:2, :4] = torch.eye(4)
