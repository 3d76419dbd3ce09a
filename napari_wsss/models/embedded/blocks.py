"""The few layers that the embedded model is made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation, which folds into it for inference."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (He et al., 2016); channels and size stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.relu(x + self.second(F.relu(self.first(x))))
        return out


class Attention(nn.Module):
    """Every token looks at every other one, then a two-layer perceptron (Vaswani et al., 2017).

    Without positions: the convolutions around it know them, and so any grid fits.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(channels)
        self.mixed = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, channels, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.mixed(self.before(tokens)).reshape(n, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        looked = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, channels)
        tokens = tokens + self.out(looked)
        tokens = tokens + self.perceptron(tokens)
        out: Tensor = tokens.transpose(1, 2).reshape(n, channels, h, w)
        return out


def enlarge(x: Tensor, times: int) -> Tensor:
    """Bilinear, so that token (i, j) stays centred on its pixels."""
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
