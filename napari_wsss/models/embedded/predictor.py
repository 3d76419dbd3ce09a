"""The embedded model as a predictor: an image embedded once, then masks by clicks, boxes and first guesses."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.errors import WsssError
from napari_wsss.models.checkpoint import fit_weights, load_weights
from napari_wsss.models.embedded.encoder import STRIDE
from napari_wsss.models.embedded.frames import CELL, SIDE, Frame, comfortable, frames, levels
from napari_wsss.models.embedded.network import EmbeddedNetwork, fold
from napari_wsss.models.embedded.pixels import at_pixels
from napari_wsss.models.embedded.window import Window, window_around
from napari_wsss.models.prompts import LOWEST_LOGIT, Embedding, Prediction, Prompt, SecondLook, lowres_extent
from napari_wsss.models.recent import Recent
from napari_wsss.models.store import resolve
from napari_wsss.types import Bool, Float, Image

NAME = "embedded"

EMBEDDINGS_KEPT = 8
"""How many images' embeddings a loaded model remembers (9 MiB each, up to 37 of a large image)."""

TOKENS_AROUND = 16
"""A prompt is first decoded in a window of so many tokens a side."""

_MARK = "mask_decoder.like_tokens.project.weight"


class EmbeddedPredictor:
    """The embedded model as a `PromptPredictor`.

    It looks at an image in a coarse and a fine frame (and a finer one, where the image is large). A prompt
    that says how large the object is, by a first guess or a box, is answered in the frame that suits that size;
    any other in all of them.

    Parameters
    ----------
    network : EmbeddedNetwork
        With trained weights; it is folded for inference here.
    device : str
    sha256 : str
        Hash of the weights, '' for a network made in memory.
    """

    side = SIDE
    second_look = SecondLook(sure=0.75, doubtful=0.45)

    def __init__(self, network: EmbeddedNetwork, device: str = "cpu", sha256: str = "") -> None:
        fold(network.eval())
        self.network = network.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.requires_grad_(False)
        self.device = torch.device(device)
        self._sha256 = sha256
        self._kept = Recent[Embedding](EMBEDDINGS_KEPT)

    @property
    def model(self) -> str:
        return f"{NAME}@{self._sha256[:8]}" if self._sha256 else NAME

    def embed(self, image: Image) -> Embedding:
        """The packed embeddings of an image's RGB view; the latest are remembered by the image's key."""
        if not image.key:
            return self._embedded(image, frames(image.shape))
        return self._kept.made(image.key, lambda: self._embedded(image, frames(image.shape)))

    def embed_finest(self, image: Image) -> Embedding:
        """As `embed`, but with the finest frame alone where the whole is not remembered; not remembered itself."""
        return self._kept.get(image.key) or self._embedded(image, frames(image.shape)[:1])

    def _embedded(self, image: Image, seen: tuple[Frame, ...]) -> Embedding:
        rgb = torch.from_numpy(np.ascontiguousarray(image.rgb, np.float32)).to(self.device)
        finest, *coarser = (self._encoded(rgb, frame) for frame in seen)
        return Embedding(finest, image.shape, tuple(coarser))

    @torch.inference_mode()
    def _encoded(self, rgb: Tensor, frame: Frame) -> Float:
        size, (below, right) = (frame.rows, frame.columns), frame.padding
        smaller = frame.rows < rgb.shape[1]
        picture = F.interpolate(rgb[None], size, mode="bilinear", align_corners=False, antialias=smaller)
        padded = F.pad(picture, (0, right, 0, below)).contiguous(memory_format=torch.channels_last)
        out: Float = self.network.image_encoder(padded)[0].cpu().numpy()
        return out

    @torch.inference_mode()
    def predict(self, embedding: Embedding, prompt: Prompt) -> Prediction:
        """Four masks a frame: the one that suits prompts without doubt, then three of different extent.

        Decoded in a window around the prompts; again in a larger one while the best mask reaches its edge.
        """
        seen = levels(embedding)
        chosen = comfortable(embedding.shape, prompt)
        answers = []
        for frame, data in seen if chosen is None else [seen[min(chosen, len(seen) - 1)]]:
            answers.append(_prediction(*self.decoded(frame, data, prompt), frame))
        return Prediction(*(np.concatenate([getattr(a, part) for a in answers]) for part in ("masks", "iou", "lowres")))

    def decoded(self, frame: Frame, data: NDArray[np.float32], prompt: Prompt) -> tuple[Tensor, Tensor, Window]:
        """Logits (4, 4h, 4w) and estimated IoU (4,) in the smallest window that the best mask does not leave."""
        sparse, former = frame.sparse(prompt).to(self.device), frame.guess(prompt)
        tokens = torch.from_numpy(data).to(self.device)[None]
        said, least = places(sparse, former), TOKENS_AROUND
        while True:
            window = window_around(said, frame.grid, least)
            logits, iou = self.decode(*window.of(tokens, sparse, None if former is None else former.to(self.device)))
            best = int(iou[0].argmax())
            if window.is_whole(frame.grid) or not window.cut((logits[0, best] > 0).cpu().numpy(), frame.grid):
                return logits[0], iou[0], window
            least = 2 * max(window.height, window.width)

    def decode(self, cut: Tensor, sparse: Tensor, guess: Tensor | None) -> tuple[Tensor, Tensor]:
        """Masks (b, 4, 4h, 4w) and their estimated IoU (b, 4) of b prompts, each in its own window (or all in one).

        Parameters
        ----------
        cut : (1 or b, channels, h, w)
            Windows of the embedding.
        sparse : (b, m, 3)
            x, y, kind in pixels of the window.
        guess : (b, 1, 4h, 4w) or None
            Logits of a first guess.
        """
        grid = (cut.shape[2], cut.shape[3])
        _, dense = self.network.prompt_encoder(None, None, guess, grid)
        dense = dense.to(self.device).expand(len(sparse), -1, -1, -1)
        logits, iou = self.network.mask_decoder.decode(cut, sparse, dense)
        return logits.float(), iou.float()


def _prediction(logits: Tensor, iou: Tensor, window: Window, frame: Frame) -> Prediction:
    """Masks at the image's size, and logits in the low-resolution frame; nothing is found outside the window."""
    (y0, x0, y1, x1), pixels = at_pixels(logits, window, frame)
    masks: Bool = np.zeros((len(iou), *frame.shape), bool)
    masks[:, y0:y1, x0:x1] = (pixels > 0).cpu().numpy()
    h, w = frame.grid
    full = torch.full((1, len(iou), h * STRIDE // CELL, w * STRIDE // CELL), LOWEST_LOGIT, device=logits.device)
    full[0, :, window.y * 4 : window.bottom * 4, window.x * 4 : window.right * 4] = logits
    seen, inner = full[:, :, : -(-frame.rows // CELL), : -(-frame.columns // CELL)], lowres_extent(frame.shape, SIDE)
    low: Float = np.full((len(iou), SIDE, SIDE), LOWEST_LOGIT, np.float32)
    low[:, : inner[0], : inner[1]] = F.interpolate(seen, inner, mode="bilinear", align_corners=False)[0].cpu().numpy()
    return Prediction(masks, iou.cpu().numpy(), low)


def places(sparse: Tensor, former: Tensor | None) -> NDArray[np.float64]:
    """(n, 2) rows and columns in tokens that a window of one prompt has to hold."""
    found = sparse[0, sparse[0, :, 2] >= 0][:, [1, 0]].cpu().numpy() / STRIDE
    if former is not None:
        inside = np.argwhere((former[0, 0] > 0).cpu().numpy()) * (CELL / STRIDE)
        if len(inside):
            found = np.concatenate([found, inside.min(0)[None], inside.max(0)[None]])
    return np.asarray(found, np.float64)


def load_embedded(name_or_path: str = NAME, device: str = "cpu") -> EmbeddedPredictor:
    """The model that ships with the product, or one of its shape trained by its program; once a device.

    Raises
    ------
    WsssError
        If the file is damaged or holds something else.
    """
    path, sha256 = resolve(name_or_path)
    return _loaded(str(path), sha256, str(torch.device(device)))


def is_embedded(file: Path) -> bool:
    """Whether a file holds weights of this architecture, as ``napari_wsss.pretraining`` exports them."""
    if file.suffix != ".safetensors" or not file.is_file():
        return False
    try:
        with safe_open(file, "pt") as weights:
            return _MARK in weights.keys()  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise WsssError(f"{file}: is damaged or no safetensors file: {error}") from error


@lru_cache(maxsize=2)
def _loaded(path: str, sha256: str, device: str) -> EmbeddedPredictor:
    return EmbeddedPredictor(read_network(Path(path)), device, sha256)


def read_network(file: Path) -> EmbeddedNetwork:
    """The network with the weights of an exported file, in single precision."""
    network = EmbeddedNetwork()
    weights = {k: v.float() for k, v in load_weights(file).items()}
    counters = {k: v for k, v in network.state_dict().items() if not v.is_floating_point()}
    fit_weights(network, {**weights, **counters}, file.name)
    return network
