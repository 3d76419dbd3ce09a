"""Training-free dense CLIP: what the last attention blocks do instead of what they were trained to do.

One function, :func:`dense_tokens`, with the switches of methods.md A.4 and A.5. It works on open_clip's
own blocks, changes none of them, and in ``vanilla`` gives what open_clip gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["vanilla", "maskclip", "sclip", "clearclip", "surgery", "proxyclip", "excel"]
"""Whose attention: CLIP's own (Radford et al. 2021), MaskCLIP (Zhou et al. 2022), SCLIP (Wang et al. 2024),
ClearCLIP (Lan et al. 2024), CLIP Surgery (Li et al. 2023), ProxyCLIP (Lan et al. 2024), ExCEL (Yang et al. 2025)."""

PARALLEL = ("surgery", "excel")
"""Kinds whose path runs beside the untouched one: it reads the untouched tokens, adds up, and has no feed-forward."""


@dataclass(frozen=True, slots=True)
class Switches:
    """What the last ``last_n`` blocks do.

    ``residual`` and ``ffn`` hold for the last block; the ones before it keep both. The `PARALLEL` kinds
    have a residual path of their own and never a feed-forward, so both switches mean nothing to them.
    """

    kind: Kind
    residual: bool = True
    ffn: bool = True
    last_n: int = 1


PUBLISHED: dict[Kind, Switches] = {
    "vanilla": Switches("vanilla"),
    "maskclip": Switches("maskclip", residual=False, ffn=False),
    "sclip": Switches("sclip"),
    "clearclip": Switches("clearclip", residual=False, ffn=False),
    "surgery": Switches("surgery", ffn=False, last_n=6),
    "proxyclip": Switches("proxyclip", residual=False, ffn=False),
    "excel": Switches("excel", ffn=False, last_n=5),
}


@dataclass(frozen=True, eq=False, slots=True)
class Proxy:
    """Another model's features (b, d, h, w), on whose grid and by whose likeness ``proxyclip`` mixes values."""

    features: Tensor
    beta: float = 1.2
    gamma: float = 3.0


def dense_tokens(
    blocks: Sequence[Any],
    x: Tensor,
    grid: tuple[int, int],
    switches: Switches,
    proxy: Proxy | None = None,
    watch: Callable[[int, Tensor], None] = lambda number, x: None,
) -> tuple[Tensor, Tensor]:
    """Run all blocks: the untouched tokens, and the patch tokens of the switched path.

    Parameters
    ----------
    blocks : sequence of open_clip ResidualAttentionBlock
    x : (b, 1 + n, c)
        Tokens before the first block, class token first.
    grid : (h, w)
        Rows and columns of the n patches.
    switches : Switches
    proxy : Proxy, only for ``proxyclip``
    watch : callable
        Called before each block with its number and its untouched tokens.

    Returns
    -------
    untouched : (b, 1 + n, c)
        As open_clip computes them; the class token is always this one.
    patches : (b, n, c)
        On the proxy's grid for ``proxyclip``.
    """
    first = max(len(blocks) - switches.last_n, 0)
    for number, block in enumerate(blocks[:first]):
        watch(number, x)
        x = block(x)
    own = x
    for number, block in enumerate(blocks[first:], first):
        watch(number, x)
        last = number == len(blocks) - 1
        if switches.kind in PARALLEL:
            own = own + mixed(block, x, switches.kind)
        elif switches.kind == "proxyclip":
            own = _proxy_block(block, own, grid, switches, proxy) if last else block(own)
        else:
            own = _block(block, own, switches.kind, switches.residual or not last, switches.ffn or not last)
        x = block(x)
    return x, own if switches.kind == "proxyclip" else own[:, 1:]


def attend(q: Tensor, k: Tensor, v: Tensor, kind: Kind, proxy: Proxy | None = None) -> Tensor:
    """Values mixed by the attention weights of a kind (methods.md A.4, table).

    Parameters
    ----------
    q, k, v : (b, heads, n, d)
    kind : Kind
    proxy : Proxy, only for ``proxyclip``; its grid has n places

    Returns
    -------
    (b, heads, n, d)

    Notes
    -----
    ``sclip`` is the SUM of two attentions, so its rows sum to 2. ``excel`` adds its weights over the heads and
    gives all heads the sum.
    """
    if kind == "maskclip":
        return v
    if kind == "proxyclip":
        if proxy is None:
            raise ValueError("proxyclip needs another model's features")
        return proxy_weights(proxy)[:, None] @ v
    heads = list(zip(q.unbind(1), k.unbind(1), v.unbind(1), strict=True))
    # One head at a time: b · n² floats in memory, not heads times as many.
    if kind == "excel":
        shared = torch.zeros((), device=q.device)
        for qh, kh, vh in heads:
            shared = shared + _likeness(qh, qh) + _likeness(kh, kh) + _likeness(vh, vh)
        return (shared / 3)[:, None] @ v
    return torch.stack([_own_weights(qh, kh, kind) @ vh for qh, kh, vh in heads], 1)


def _own_weights(q: Tensor, k: Tensor, kind: Kind) -> Tensor:
    if kind == "sclip":
        return _likeness(q, q) + _likeness(k, k)
    first, second = {"vanilla": (q, k), "clearclip": (q, q), "surgery": (k, k)}[kind]
    return _likeness(first, second)


def proxy_weights(proxy: Proxy) -> Tensor:
    """ProxyCLIP's attention (b, n, n): likeness above average, sharpened; what is unlike gets exactly 0."""
    x = F.normalize(proxy.features.flatten(2).transpose(1, 2), dim=-1)
    likeness = x @ x.transpose(1, 2)
    likeness = proxy.gamma * (likeness - proxy.beta * likeness.mean((1, 2), keepdim=True))
    # A token is always like itself, so that no row is empty even where everything looks the same.
    own = torch.eye(likeness.shape[1], dtype=torch.bool, device=likeness.device)
    return likeness.masked_fill((likeness < 0) & ~own, -torch.inf).softmax(-1)


def mixed(block: Any, x: Tensor, kind: Kind) -> Tensor:
    """The attention branch of a block (b, n, c), by a kind's weights, without the residual."""
    q, k, v = projections(block, x)
    return _out(block, attend(q, k, v, kind))


def projections(block: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v (b, heads, n, d) of the block's normalised tokens."""
    attention = block.attn
    qkv = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = torch.unflatten(qkv, -1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def patch_attention(block: Any, x: Tensor) -> Tensor:
    """The block's own attention (b, n, n) among patches, mean over heads, class token left out."""
    q, k, _ = projections(block, x)
    total = torch.zeros(x.shape[0], x.shape[1] - 1, x.shape[1] - 1, device=x.device)
    for head in range(q.shape[1]):  # one head at a time: n² floats, not heads · n²
        total += _likeness(q[:, head], k[:, head])[:, 1:, 1:]
    mean: Tensor = total / q.shape[1]
    return mean


def _likeness(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.transpose(-1, -2) / math.sqrt(a.shape[-1])).softmax(-1)


def _out(block: Any, heads: Tensor) -> Tensor:
    out: Tensor = block.ls_1(block.attn.out_proj(heads.transpose(1, 2).flatten(2)))
    return out


def _block(block: Any, x: Tensor, kind: Kind, residual: bool, ffn: bool) -> Tensor:
    y = mixed(block, x, kind)
    return _after(block, x + y if residual else y, ffn)


def _after(block: Any, y: Tensor, ffn: bool) -> Tensor:
    out: Tensor = y + block.ls_2(block.mlp(block.ln_2(y))) if ffn else y
    return out


def _proxy_block(block: Any, x: Tensor, grid: tuple[int, int], switches: Switches, proxy: Proxy | None) -> Tensor:
    """Patches (b, n', c) on the proxy's grid: values (and the residual, if kept) are resized to it."""
    if proxy is None:
        raise ValueError("proxyclip needs another model's features")
    q, k, v = projections(block, x)
    place = proxy.features.shape[-2:]
    values = torch.stack([_resized(v[:, head, 1:], grid, place) for head in range(v.shape[1])], 1)
    y = _out(block, attend(q, k, values, "proxyclip", proxy))
    if switches.residual:
        y = y + _resized(x[:, 1:], grid, place)
    return _after(block, y, switches.ffn)


def _resized(tokens: Tensor, grid: tuple[int, int], place: Sequence[int]) -> Tensor:
    """Tokens (b, n, c) of a grid, bilinearly on another."""
    if grid == tuple(place):
        return tokens
    planes = torch.unflatten(tokens.transpose(1, 2), 2, grid)
    return F.interpolate(planes, size=tuple(place), mode="bilinear").flatten(2).transpose(1, 2)
