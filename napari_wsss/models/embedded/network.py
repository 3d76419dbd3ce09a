"""The whole network: an encoder run once an image, a prompt encoder and a decoder run once a prompt."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from napari_wsss.models.embedded.decoder import MaskDecoder
from napari_wsss.models.embedded.encoder import ImageEncoder
from napari_wsss.models.embedded.prompts import PromptEncoder


class EmbeddedNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder under segment-anything's names."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()


def fold(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it, in place; for inference only."""
    for parent in list(network.modules()):
        names = list(parent._modules)
        for here, following in pairwise(names):
            conv, norm = parent._modules[here], parent._modules[following]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent._modules[here] = torch.nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval())
                parent._modules[following] = nn.Identity()
    return network
