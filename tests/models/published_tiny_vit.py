"""MobileSAM's image encoder written a second time, straight from tensors under their published names."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

DIMS, DEPTHS, HEADS, WINDOWS = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)


def tensors(seed: int = 0) -> dict[str, Tensor]:
    """Random weights with the published names and shapes, the unused head included."""
    generator = torch.Generator().manual_seed(seed)
    out: dict[str, Tensor] = {}

    def put(name: str, *shape: int, around: float = 0.0, spread: float = 0.1) -> None:
        out[name] = around + spread * torch.randn(*shape, generator=generator)

    def conv(name: str, cin: int, cout: int, size: int) -> None:
        put(f"{name}.c.weight", cout, cin, size, size, spread=(cin * size * size) ** -0.5)
        for part, around in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0)):
            put(f"{name}.bn.{part}", cout, around=around)
        out[f"{name}.bn.running_var"] = 0.5 + torch.rand(cout, generator=generator)
        out[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)

    def pair(name: str, cin: int, cout: int) -> None:
        put(f"{name}.weight", cout, cin, spread=cin**-0.5)
        put(f"{name}.bias", cout)

    def norm(name: str, dim: int) -> None:
        put(f"{name}.weight", dim, around=1.0)
        put(f"{name}.bias", dim)

    conv("patch_embed.seq.0", 3, 32, 3)
    conv("patch_embed.seq.2", 32, 64, 3)
    for i, (dim, depth) in enumerate(zip(DIMS, DEPTHS)):
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            if i == 0:
                conv(f"{block}.conv1", dim, 4 * dim, 1)
                conv(f"{block}.conv2", 1, 4 * dim, 3)
                conv(f"{block}.conv3", 4 * dim, dim, 1)
                continue
            norm(f"{block}.attn.norm", dim)
            pair(f"{block}.attn.qkv", dim, 3 * dim)
            pair(f"{block}.attn.proj", dim, dim)
            put(f"{block}.attn.attention_biases", HEADS[i], WINDOWS[i] ** 2, spread=1.0)
            norm(f"{block}.mlp.norm", dim)
            pair(f"{block}.mlp.fc1", dim, 4 * dim)
            pair(f"{block}.mlp.fc2", 4 * dim, dim)
            conv(f"{block}.local_conv", 1, dim, 3)
        if i < 3:
            conv(f"layers.{i}.downsample.conv1", dim, DIMS[i + 1], 1)
            conv(f"layers.{i}.downsample.conv2", 1, DIMS[i + 1], 3)
            conv(f"layers.{i}.downsample.conv3", DIMS[i + 1], DIMS[i + 1], 1)
    norm("norm_head", 320)
    pair("head", 320, 1000)
    put("neck.0.weight", 256, 320, 1, 1, spread=320**-0.5)
    norm("neck.1", 256)
    put("neck.2.weight", 256, 256, 3, 3, spread=48**-1.0)
    norm("neck.3", 256)
    return out


def forward(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Embedding (1, 256, h / 16, w / 16) of a frame (1, 3, h, w)."""
    x = F.gelu(_conv(w, "patch_embed.seq.0", x, stride=2))
    x = _conv(w, "patch_embed.seq.2", x, stride=2)
    for i, depth in enumerate(DEPTHS):
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            x = _inverted(w, block, x) if i == 0 else _attending(w, block, x, HEADS[i], WINDOWS[i])
        if i < 3:
            name = f"layers.{i}.downsample"
            x = F.gelu(_conv(w, f"{name}.conv1", x))
            x = F.gelu(_conv(w, f"{name}.conv2", x, stride=1 if i == 2 else 2, groups=DIMS[i + 1]))
            x = _conv(w, f"{name}.conv3", x)
    x = _norm2d(F.conv2d(x, w["neck.0.weight"]), w, "neck.1")
    return _norm2d(F.conv2d(x, w["neck.2.weight"], padding=1), w, "neck.3")


def _conv(w: dict[str, Tensor], name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    weight = w[f"{name}.c.weight"]
    x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
    bn = [w[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *bn)


def _inverted(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    y = F.gelu(_conv(w, f"{name}.conv1", x))
    y = F.gelu(_conv(w, f"{name}.conv2", y, groups=y.shape[1]))
    return F.gelu(_conv(w, f"{name}.conv3", y) + x)


def _attending(w: dict[str, Tensor], name: str, x: Tensor, heads: int, window: int) -> Tensor:
    """Attention within windows, a depthwise convolution, an MLP; (1, c, h, w) to the same."""
    _, c, h, wide = x.shape
    rows, columns = -h % window, -wide % window
    padded = F.pad(x, (0, columns, 0, rows))
    out = torch.zeros_like(padded)
    for y0, x0 in itertools.product(range(0, h + rows, window), range(0, wide + columns, window)):
        piece = padded[0, :, y0 : y0 + window, x0 : x0 + window].reshape(c, -1).T
        attended = _attention(w, f"{name}.attn", piece, heads, window)
        out[0, :, y0 : y0 + window, x0 : x0 + window] = attended.T.reshape(c, window, window)
    x = x + out[:, :, :h, :wide]
    x = _conv(w, f"{name}.local_conv", x, groups=c)
    tokens = x[0].reshape(c, -1).T
    y = F.layer_norm(tokens, (c,), w[f"{name}.mlp.norm.weight"], w[f"{name}.mlp.norm.bias"])
    y = F.gelu(F.linear(y, w[f"{name}.mlp.fc1.weight"], w[f"{name}.mlp.fc1.bias"]))
    y = F.linear(y, w[f"{name}.mlp.fc2.weight"], w[f"{name}.mlp.fc2.bias"])
    return (tokens + y).T.reshape(1, c, h, wide)


def _attention(w: dict[str, Tensor], name: str, x: Tensor, heads: int, window: int) -> Tensor:
    n, c = x.shape
    d = c // heads
    x = F.layer_norm(x, (c,), w[f"{name}.norm.weight"], w[f"{name}.norm.bias"])
    q, k, v = F.linear(x, w[f"{name}.qkv.weight"], w[f"{name}.qkv.bias"]).reshape(n, heads, 3, d).permute(2, 1, 0, 3)
    row, column = torch.arange(n) // window, torch.arange(n) % window
    apart = (row[:, None] - row).abs() * window + (column[:, None] - column).abs()
    scores = q @ k.transpose(1, 2) / d**0.5 + w[f"{name}.attention_biases"][:, apart]
    joined = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, c)
    return F.linear(joined, w[f"{name}.proj.weight"], w[f"{name}.proj.bias"])


def _norm2d(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    mean = x.mean(1, keepdim=True)
    scaled = (x - mean) / ((x - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()
    return scaled * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]
