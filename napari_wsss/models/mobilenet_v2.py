"""MobileNetV2 as a dense backbone, and DeepLabv3 on it.

Sandler et al., MobileNetV2 (CVPR 2018); Chen et al., Rethinking atrous convolution (2017), in the small form
that TensorFlow published for mobile devices: one 1 x 1 branch and the image's mean, no dilated branches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

LAST_BLOCK = 17
"""Index of the last inverted residual in ``features``; 18 is the 1 x 1 convolution before the classifier."""


def new_mobilenet_v2(classes: int = 1000) -> nn.Module:
    """torchvision's MobileNetV2 with its own names of weights, not initialised with any pretrained ones."""
    network: nn.Module = mobilenet_v2(num_classes=classes)
    return network


def dilate(features: nn.Sequential, output_stride: int) -> None:
    """Give a MobileNetV2's ``features`` an output stride of 8, 16 or 32 by dilation instead of stride.

    From the block on whose stride would exceed it, strides become 1 and the following depthwise
    convolutions are spread by what was not reduced (padding likewise), so that each sees what it was
    trained to see. The first block that loses its stride keeps its own dilation, as DeepLab does.
    """
    stride, dilation = 1, 1
    for index, block in enumerate(features):
        for convolution in block.modules():
            if not isinstance(convolution, nn.Conv2d) or convolution.kernel_size == (1, 1):
                continue
            wanted = 2 if index in _HALVING else 1
            spread = dilation
            if stride * wanted > output_stride:
                dilation *= wanted
                wanted = 1
            stride *= wanted
            convolution.stride = (wanted, wanted)
            convolution.dilation = (spread, spread)
            convolution.padding = (spread, spread)


_HALVING = (0, 2, 4, 7, 14)  # blocks of torchvision's MobileNetV2 that halve the grid


class DeepLabV3MobileNetV2(nn.Module):
    """DeepLabv3 with MobileNetV2 at output stride 16 and no dilated branches.

    Parameters
    ----------
    classes : int
        Number of classes including the background.
    """

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        features = mobilenet_v2().features[: LAST_BLOCK + 1]
        dilate(features, 16)
        self.backbone = nn.ModuleDict({"features": features})
        self.head = nn.ModuleDict(
            {
                "aspp0": nn.Conv2d(320, 256, 1),
                "image_pooling": nn.Conv2d(320, 256, 1),
                "concat_projection": nn.Conv2d(512, 256, 1),
                "logits": nn.Conv2d(256, classes, 1),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Preprocessed images (b, 3, h, w) to logits (b, classes, h, w); exact for sizes 32 k + 1."""
        deep: Tensor = self.backbone["features"](x)
        local = F.relu(self.head["aspp0"](deep))
        whole = F.relu(self.head["image_pooling"](deep.mean((2, 3), keepdim=True))).expand_as(local)
        fused = F.relu(self.head["concat_projection"](torch.cat([whole, local], 1)))
        return F.interpolate(self.head["logits"](fused), x.shape[-2:], mode="bilinear", align_corners=True)
