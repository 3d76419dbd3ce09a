"""Dense CLIP features in the space of text, by a training-free switch of the last attention blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_wsss import registry
from napari_wsss.errors import UsageError
from napari_wsss.models.clip import Clip, clip_name, load_clip, templates_of, token_grid
from napari_wsss.models.clip_attention import PUBLISHED, Proxy, Switches
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import Features, Image

_PROXY_TOKENS = 64  # a side: the proxy's likeness is a square of all its places


class OpenClip:
    """Any open_clip model with an open_clip vision transformer (ViT-S to ViT-bigG).

    ResNets, CoCa and the towers that open_clip takes from timm (SigLIP, EVA, ViTamin, ConvNeXt, MobileCLIP, PE) give
    no dense tokens in the space of the text, and models whose text is tokenised by Hugging Face's files would need
    the network: each is refused in one line. Weights come from a file or the catalogue, never from the network.
    What published CLIP weights give was not measured here, for no such checkpoint could be had.

    Parameters
    ----------
    weights : str
        File (``.safetensors`` or a plain state dict; OpenAI's ``.pt`` are programs and are not run), or a name in
        the catalogue.
    architecture : str
        open_clip's name of the model; ``auto``: ``open_clip_config.json`` beside the file, else the weights' shapes.
    attention : str
        ``vanilla``, ``maskclip``, ``sclip``, ``clearclip``, ``surgery`` or ``proxyclip`` (methods.md A.4).
    residual, ffn : str
        Whether the last block keeps its residual and its feed-forward; ``published``: as the chosen method does.
    last_n : int
        How many last blocks are switched; 0: as the chosen method does.
    scale : float
        Resize the image by this before encoding: 2 gives a grid twice as fine and sees half as far.
    window, step : int
        A larger image is seen through windows of this many pixels, ``step`` apart; window 0: always whole.
    template : str
        ``imagenet`` (80 sentences), ``simple`` (7), or one's own sentence with ``{}``.
    proxy : str
        Encoder whose features guide ``proxyclip``; they are standardised per image and shrunk to 64 a side.
    """

    @dataclass(frozen=True)
    class Params:
        weights: str = ""
        architecture: str = "auto"
        attention: Literal["vanilla", "maskclip", "sclip", "clearclip", "surgery", "proxyclip"] = "clearclip"
        residual: Literal["published", "yes", "no"] = "published"
        ffn: Literal["published", "yes", "no"] = "published"
        last_n: int = 0
        scale: float = 1.0
        window: int = 672
        step: int = 336
        template: str = "imagenet"
        proxy: str = "filters"

        def __post_init__(self) -> None:
            if not 0 < self.scale <= 16:
                raise ValueError(f"scale {self.scale}: from above 0 to 16")
            if self.window < 0 or self.last_n < 0 or (self.window and not 0 < self.step <= self.window):
                raise ValueError(f"window {self.window}, step {self.step}, last_n {self.last_n}: 0 < step <= window")

    def __init__(self, params: Params, context: Context) -> None:
        self.params = params
        self.context = context
        self._name = clip_name(params.weights)
        self._templates = templates_of(params.template)
        self._proxy: Encoder | None = None
        if params.attention == "proxyclip":
            if params.proxy == "open_clip":
                raise UsageError("open_clip.proxy: the features must be another encoder's")
            method = registry.load("encoders", params.proxy)
            self._proxy = method(method.Params(), context)

    @property
    def model(self) -> str:
        return self._name

    @cached_property
    def clip(self) -> Clip:
        """The network, loaded when it is first needed: a run that has nothing to do loads none."""
        return load_clip(self.params.weights, self.params.architecture, self.context.device)

    @property
    def switches(self) -> Switches:
        """The chosen method's switches, with what was set otherwise."""
        published = PUBLISHED[self.params.attention]
        return replace(
            published,
            residual=_chosen(self.params.residual, published.residual),
            ffn=_chosen(self.params.ffn, published.ffn),
            last_n=self.params.last_n or published.last_n,
        )

    def encode(self, image: Image) -> Features:
        """float32 (d, h, w), each place L2-normalised, in the space of `encode_text`."""
        patch = self.clip.patch
        grid = token_grid(image.shape, patch, self.params.scale)
        step = max(self.params.step // patch, 1)
        picture = self.clip.prepared(image.rgb, grid)
        data = self.clip.dense_features(picture, self.switches, self._window, step, self._proxied(image))
        return _features(data, image.shape)

    def encode_batch(self, images: Sequence[Image]) -> list[Features]:
        """Features of images of one shape, as `encode` of each.

        They go through the network together where they are seen whole; an image that needs windows or a proxy goes
        alone, its windows together.
        """
        grid = token_grid(images[0].shape, self.clip.patch, self.params.scale)
        if self._proxy is not None or (self._window and max(grid) > self._window):
            return [self.encode(image) for image in images]
        pictures = torch.stack([self.clip.prepared(image.rgb, grid) for image in images])
        with torch.no_grad():
            data = F.normalize(self.clip.dense(pictures, self.switches)[1], dim=1)
        return [_features(one, image.shape) for one, image in zip(data, images, strict=True)]

    @property
    def _window(self) -> int:
        """Tokens a side of the windows that a large image is seen through; 0: always whole."""
        return -(-self.params.window // self.clip.patch) if self._proxy is None else 0

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, d), L2-normalised."""
        vectors: NDArray[np.float32] = self.clip.encode_text(phrases, self._templates).cpu().numpy()
        return vectors

    def _proxied(self, image: Image) -> Proxy | None:
        if self._proxy is None:
            return None
        features = torch.from_numpy(self._proxy.encode(image).data).to(self.clip.device)[None]
        size = [min(side, _PROXY_TOKENS) for side in features.shape[-2:]]
        features = F.interpolate(features, size=size, mode="area")
        mean, std = features.mean((2, 3), keepdim=True), features.std((2, 3), keepdim=True, unbiased=False)
        return Proxy((features - mean) / (std + 1e-6))


def _features(data: Tensor, shape: tuple[int, int]) -> Features:
    """Patches (d, h, w) of an image of this shape."""
    stride = float(np.sqrt(shape[0] * shape[1] / (data.shape[1] * data.shape[2])))
    return Features(data.cpu().numpy(), stride)


def _chosen(given: str, published: bool) -> bool:
    return published if given == "published" else given == "yes"


METHOD = OpenClip
