"""CLIP for dense work: any picture size, text by templates, and tokens in the space of the text.

The networks are open_clip's own. Maps from published CLIP weights were not measured here: no such
checkpoint could be had. What is tested is equality with open_clip's own forward pass on small random networks,
and meaning on a CLIP with weights written by hand (:mod:`napari_wsss.models.clip_toy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.errors import UsageError
from napari_wsss.models.clip_attention import Proxy, Switches, dense_tokens
from napari_wsss.models.clip_checkpoint import Architecture, build
from napari_wsss.models.store import resolve
from napari_wsss.types import Float

_TEXTS_AT_ONCE = 128
_WINDOWS_AT_ONCE = 4


def load_clip(weights: str, architecture: str, device: str) -> Clip:
    """The CLIP of a weights file or catalogue name, loaded once and shared by all who ask.

    Parameters
    ----------
    weights : str
        Path, or name in the catalogue.
    architecture : str
        Name of an open_clip model, or ``auto``.
    device : str

    Raises
    ------
    UsageError
        No weights named; no such file or model; an architecture that cannot serve.
    MissingModel
        The catalogue's file is not on this machine.
    WsssError
        The file holds no weights that fit.
    """
    path, digest = find_clip(weights)
    return _loaded(path, digest, architecture, device)


def find_clip(weights: str) -> tuple[Path, str]:
    """File and SHA-256 of CLIP weights, without loading them; raises as `load_clip` where there are none."""
    if not weights:
        raise UsageError(
            "CLIP weights are needed: set the parameter weights to a file (open_clip .safetensors or .pt) "
            "or to a name that `napari-wsss models list` shows"
        )
    return resolve(weights)


def clip_name(weights: str) -> str:
    """``ViT-B-16@0123abcd``, the file's stem and hash: what provenance records. Loads nothing."""
    path, digest = find_clip(weights)
    return f"{path.stem}@{digest[:8]}"


@lru_cache(maxsize=2)
def _loaded(path: Path, digest: str, architecture: str, device: str) -> Clip:
    model, found = build(path, architecture)
    return Clip(model.to(torch.device(device)), found, digest)


@dataclass(frozen=True, eq=False)
class Clip:
    """A CLIP on its device.

    Attributes
    ----------
    network : open_clip.CLIP or CustomTextCLIP
    architecture : Architecture
    digest : str
        SHA-256 of the weights file.
    """

    network: Any
    architecture: Architecture
    digest: str

    @property
    def device(self) -> torch.device:
        device: torch.device = self.network.logit_scale.device
        return device

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.network.visual.patch_size[0])

    @property
    def blocks(self) -> Sequence[Any]:
        blocks: Sequence[Any] = self.network.visual.transformer.resblocks
        return blocks

    @property
    def scale(self) -> float:
        """What cosines are multiplied by before a softmax: exp(logit_scale)."""
        return float(self.network.logit_scale.exp())

    @cached_property
    def tokenizer(self) -> Any:
        text = self.architecture.config["text_cfg"]
        return open_clip.tokenizer.SimpleTokenizer(
            context_length=text.get("context_length", 77), **text.get("tokenizer_kwargs", {})
        )

    # ------------------------------------------------------------------ pictures

    def prepared(self, rgb: Float, grid: tuple[int, int]) -> Tensor:
        """A picture (3, h, w) in [0, 1] as the network's input (3, grid · patch), resized and normalised."""
        picture = torch.from_numpy(rgb)[None].to(self.device)
        size = (grid[0] * self.patch, grid[1] * self.patch)
        if tuple(picture.shape[-2:]) != size:
            picture = F.interpolate(picture, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        mean = torch.tensor(self.architecture.mean, device=self.device)[:, None, None]
        std = torch.tensor(self.architecture.std, device=self.device)[:, None, None]
        return ((picture - mean) / std)[0]

    def embedded(self, pictures: Tensor) -> Tensor:
        """Tokens (b, 1 + n, c) before the first block, for pictures (b, 3, H, W) whose sides the patch divides."""
        visual = self.network.visual
        patches = visual.conv1(pictures)
        places = self.positions((patches.shape[2], patches.shape[3]))
        patches = patches.flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        tokens: Tensor = visual.ln_pre(torch.cat([first, patches], 1) + places)
        return tokens

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings (1 + n, c) of a grid: bicubic on the two-dimensional one of the weights."""
        visual = self.network.visual
        learnt: Tensor = visual.positional_embedding
        if grid == tuple(visual.grid_size):
            return learnt
        plane = torch.unflatten(learnt[1:].T, 1, tuple(visual.grid_size))[None]
        plane = F.interpolate(plane, size=grid, mode="bicubic", align_corners=False)
        return torch.cat([learnt[:1], plane[0].flatten(1).T])

    def projected(self, tokens: Tensor) -> Tensor:
        """Tokens (..., c) of the last block in the space of the text (..., d), not normalised."""
        visual = self.network.visual
        out: Tensor = visual.ln_post(tokens) @ visual.proj
        return out

    def pooled(self, tokens: Tensor) -> Tensor:
        """The picture's vector (b, d), as open_clip's ``encode_image``, from tokens (b, 1 + n, c) of the last block."""
        visual = self.network.visual
        if not visual.final_ln_after_pool:
            tokens = visual.ln_post(tokens)
        vector = tokens[:, 1:].mean(1) if visual.pool_type == "avg" else tokens[:, 0]
        if visual.final_ln_after_pool:
            vector = visual.ln_post(vector)
        out: Tensor = vector @ visual.proj
        return out

    def pooled_of(self, pictures: Tensor) -> Tensor:
        """Pictures (b, 3, H, W) to their vectors (b, d): ``encode_image`` for any size that the patch divides."""
        x = self.embedded(pictures)
        for block in self.blocks:
            x = block(x)
        return self.pooled(x)

    def dense(self, picture: Tensor, switches: Switches, proxy: Proxy | None = None) -> tuple[Tensor, Tensor]:
        """The picture's vector (b, d) and its patches (b, d, h, w), for pictures (b, 3, H, W); not normalised."""
        grid = picture.shape[2] // self.patch, picture.shape[3] // self.patch
        tokens, patches = dense_tokens(self.blocks, self.embedded(picture), grid, switches, proxy)
        place = grid if proxy is None else tuple(proxy.features.shape[-2:])
        return self.pooled(tokens), torch.unflatten(self.projected(patches).transpose(1, 2), 2, place)

    @torch.no_grad()
    def dense_features(
        self, picture: Tensor, switches: Switches, window: int, step: int, proxy: Proxy | None = None
    ) -> Tensor:
        """Patches (d, h, w) of one picture (3, H, W), each L2-normalised.

        A picture larger than ``window`` tokens in a direction is seen through windows that overlap, ``step``
        tokens apart, and the mean of what they say is taken; ``window`` 0: always seen whole.
        """
        rows, columns = picture.shape[1] // self.patch, picture.shape[2] // self.patch
        if not window or (rows <= window and columns <= window):
            return F.normalize(self.dense(picture[None], switches, proxy)[1][0], dim=0)
        if proxy is not None:
            raise UsageError("proxyclip sees a picture whole; set window=0 or a smaller scale")
        high, wide = min(window, rows), min(window, columns)
        corners = [(y, x) for y in starts(rows, high, step) for x in starts(columns, wide, step)]
        total = torch.zeros(self.network.visual.output_dim, rows, columns, device=self.device)
        seen = torch.zeros(rows, columns, device=self.device)
        p = self.patch
        for at in range(0, len(corners), _WINDOWS_AT_ONCE):
            some = corners[at : at + _WINDOWS_AT_ONCE]
            cuts = torch.stack([picture[:, y * p : (y + high) * p, x * p : (x + wide) * p] for y, x in some])
            for (y, x), patches in zip(some, F.normalize(self.dense(cuts, switches)[1], dim=1), strict=True):
                total[:, y : y + high, x : x + wide] += patches
                seen[y : y + high, x : x + wide] += 1
        return F.normalize(total / seen, dim=0)

    # ------------------------------------------------------------------ text

    @torch.no_grad()
    def encode_text(self, phrases: Sequence[str], templates: Sequence[str] = ("{}",)) -> Tensor:
        """Phrases (n, d), L2-normalised: each the normalised mean of its normalised vectors in all templates."""
        if not phrases:
            return torch.zeros(0, self.network.visual.output_dim, device=self.device)
        texts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
        vectors = []
        for at in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self.tokenizer(texts[at : at + _TEXTS_AT_ONCE]).to(self.device)
            vectors.append(F.normalize(self.network.encode_text(tokens), dim=-1))
        grouped = torch.unflatten(torch.cat(vectors), 0, (len(phrases), len(templates)))
        return F.normalize(grouped.mean(1), dim=-1)


def starts(length: int, window: int, step: int) -> list[int]:
    """First places of windows that cover ``length``: ``step`` apart, the last one flush with the end."""
    return [*range(0, length - window, max(step, 1)), length - window]


def token_grid(shape: tuple[int, int], patch: int, scale: float = 1.0, longest: int = 0) -> tuple[int, int]:
    """Rows and columns of patches for an image: its sides, scaled, at the next multiple of the patch.

    ``longest`` > 0 shrinks what would be longer, in pixels.
    """
    factor = scale if not longest else min(scale, longest / max(shape))
    return tuple(max(1, -(-round(side * factor) // patch)) for side in shape)  # type: ignore[return-value]


def templates_of(name: str) -> tuple[str, ...]:
    """Sentences with ``{}`` for a phrase: ``imagenet`` (80), ``simple`` (7), or one's own sentence.

    Raises
    ------
    UsageError
        For a sentence without ``{}``.
    """
    published = {
        "imagenet": open_clip.OPENAI_IMAGENET_TEMPLATES,
        "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES,
    }
    if name in published:
        return tuple(template("{}") for template in published[name])
    if "{}" not in name:
        raise UsageError(f"template {name!r}: neither imagenet nor simple, and no {{}} for the phrase in it")
    return (name,)
