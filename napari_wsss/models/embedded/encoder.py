"""The image encoder: a convolutional pyramid with attention at its top, one packed embedding for the decoder."""

from __future__ import annotations

from torch import Tensor, cat, nn, split
from torch.nn import functional as F

from napari_wsss.models.embedded.blocks import Attention, Residual, convolution, enlarge

TOKENS, QUARTER, HALF = 128, 32, 12
"""Channels of the tokens (stride 8) and of the two skip paths (stride 4 and 2)."""

STRIDE = 8
MULTIPLE = 32
"""Rows and columns of a frame are multiples of it."""

MIDDLE, SPREAD = 0.5, 0.25
"""What a channel in [0, 1] is shifted by and divided by before the first layer."""

WIDTHS = (24, 48, TOKENS, 192)
"""Channels of :meth:`ImageEncoder.pyramid`."""

PACKED = TOKENS + QUARTER * 4 + HALF * 16


class ImageEncoder(nn.Module):
    """Frame float32 (n, 3, h, w) in [0, 1] to a packed embedding (n, PACKED, h / 8, w / 8).

    The packed embedding holds the tokens and, folded into channels, features at stride 4 and 2 for the
    edges of small objects. ``unpack`` takes it apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 24, 3, 2), nn.ReLU(), convolution(24, 24), nn.ReLU())
        self.quarter = nn.Sequential(convolution(24, 48, 3, 2), nn.ReLU(), Residual(48), Residual(48))
        self.eighth = nn.Sequential(convolution(48, 96, 3, 2), nn.ReLU(), *(Residual(96) for _ in range(3)))
        self.sixteenth = nn.Sequential(convolution(96, 192, 3, 2), nn.ReLU(), *(Residual(192) for _ in range(3)))
        self.top = nn.Sequential(
            convolution(192, 192, 3, 2), nn.ReLU(), Residual(192), Attention(192, 6), Residual(192)
        )
        self.from_top = convolution(192, 192, 1)
        self.smooth = nn.Sequential(nn.ReLU(), Residual(192))
        self.from_sixteenth = convolution(192, TOKENS, 1)
        self.from_eighth = convolution(96, TOKENS, 1)
        self.tokens = nn.Sequential(nn.ReLU(), Residual(TOKENS))
        self.down_to_quarter = convolution(TOKENS, QUARTER, 1)
        self.from_quarter = convolution(48, QUARTER, 1)
        self.from_half = convolution(24, HALF, 1)

    def pyramid(self, scaled: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features at strides 2, 4, 8 (the tokens) and 16; the frame was shifted by MIDDLE and divided by SPREAD."""
        half = self.stem(scaled)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        sixteenth = self.smooth(sixteenth + enlarge(self.from_top(self.top(sixteenth)), 2))
        tokens = self.tokens(self.from_eighth(eighth) + enlarge(self.from_sixteenth(sixteenth), 2))
        return half, quarter, tokens, sixteenth

    def forward(self, frame: Tensor) -> Tensor:
        half, quarter, tokens, _ = self.pyramid((frame - MIDDLE) / SPREAD)
        fine = F.relu(self.from_quarter(quarter) + enlarge(self.down_to_quarter(tokens), 2))
        finest = F.relu(self.from_half(half))
        return cat([tokens, F.pixel_unshuffle(fine, 2), F.pixel_unshuffle(finest, 4)], 1)


def unpack(embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens (n, 128, h, w), features at stride 4 (n, 32, 2h, 2w) and at stride 2 (n, 12, 4h, 4w)."""
    tokens, quarter, half = split(embedding, [TOKENS, QUARTER * 4, HALF * 16], 1)
    return tokens, F.pixel_shuffle(quarter, 2), F.pixel_shuffle(half, 4)
