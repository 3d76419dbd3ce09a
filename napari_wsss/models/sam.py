"""Segment Anything and MobileSAM: checkpoints as published or fine-tuned, read into one predictor.

Kirillov et al., "Segment Anything", 2023. Every size of the image encoder is read off the shapes in
the checkpoint, so that any fine-tuned one of these architectures (micro-sam's, for example) loads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor, nn

from napari_wsss.errors import WsssError
from napari_wsss.models.checkpoint import fit_weights, load_weights
from napari_wsss.models.prompts import Embedding, Prediction, Prompt
from napari_wsss.models.recent import Recent
from napari_wsss.models.store import resolve
from napari_wsss.models.tiny_vit_sam import TinyVitEncoder, from_published, is_tiny_vit
from napari_wsss.types import Image

EMBEDDINGS_KEPT = 64
"""How many images' embeddings a loaded model remembers (4 MiB each), so that encoder and refiner share them."""

_MARK = "mask_decoder.iou_token.weight"
_PUBLISHED = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_HEADS_OF_DECODER = 8


# --------------------------------------------------------------------------- architecture from shapes


@dataclass(frozen=True, slots=True)
class VitShape:
    """The image encoder's sizes, as read off a checkpoint."""

    dim: int
    depth: int
    heads: int
    patch: int
    grid: int
    window: int
    global_blocks: tuple[int, ...]

    @property
    def name(self) -> str:
        return _PUBLISHED.get((self.dim, self.depth), f"vit_{self.dim}x{self.depth}")


def vit_shape(weights: Mapping[str, Tensor]) -> VitShape:
    """Sizes of segment-anything's image encoder from the shapes of its tensors.

    A block attends globally where its table of relative positions spans the whole grid; a head is as
    wide as that table.
    """
    patch_weight = weights["image_encoder.patch_embed.proj.weight"]
    grid = weights["image_encoder.pos_embed"].shape[1]
    tables: list[Tensor] = []
    while (name := f"image_encoder.blocks.{len(tables)}.attn.rel_pos_h") in weights:
        tables.append(weights[name])
    dim, spans = patch_weight.shape[0], [(len(t) + 1) // 2 for t in tables]
    return VitShape(
        dim=dim,
        depth=len(tables),
        heads=dim // tables[0].shape[1],
        patch=patch_weight.shape[-1],
        grid=grid,
        window=min(spans),
        global_blocks=tuple(i for i, span in enumerate(spans) if span == grid),
    )


def build_vit(shape: VitShape, channels: int) -> ImageEncoderViT:
    """An untrained image encoder of these sizes with ``channels`` output channels."""
    return ImageEncoderViT(
        img_size=shape.grid * shape.patch,
        patch_size=shape.patch,
        embed_dim=shape.dim,
        depth=shape.depth,
        num_heads=shape.heads,
        mlp_ratio=4,
        out_chans=channels,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=shape.window,
        global_attn_indexes=shape.global_blocks,
    )


def build_sam(weights: Mapping[str, Tensor]) -> tuple[Sam, str]:
    """An untrained model of the architecture that these tensors have, and the architecture's name.

    Runs on the meta device as well. ``weights`` have segment-anything's names, or MobileSAM's.
    """
    channels = weights[_MARK].shape[1]
    if is_tiny_vit(weights):
        encoder, name, grid, size = TinyVitEncoder(), "vit_t", 64, TinyVitEncoder.img_size
    else:
        shape = vit_shape(weights)
        encoder, name = build_vit(shape, channels), shape.name
        grid, size = shape.grid, shape.grid * shape.patch
    prompts = PromptEncoder(channels, (grid, grid), (size, size), mask_in_chans=16)
    width = weights["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0]
    decoder = MaskDecoder(
        transformer_dim=channels,
        transformer=TwoWayTransformer(depth=2, embedding_dim=channels, num_heads=_HEADS_OF_DECODER, mlp_dim=width),
        iou_head_hidden_dim=weights["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
    )
    return Sam(encoder, prompts, decoder, list(_MEAN), list(_STD)), name


def sam_weights(state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of SAM in a checkpoint, without any prefix, and a note on what was left aside.

    Raises
    ------
    WsssError
        If there is no mask decoder of Segment Anything in it, or no image encoder that we know.
    """
    prefixes = sorted((k[: -len(_MARK)] for k in state if k.endswith(_MARK)), key=len)
    if not prefixes:
        raise WsssError(f"{source}: no checkpoint of Segment Anything (it has no {_MARK})")
    ours, others = {}, Counter[str]()
    for name, tensor in state.items():
        inner = name.removeprefix(prefixes[0])
        if name.startswith(prefixes[0]) and inner.startswith(_PARTS):
            ours[inner] = tensor
        elif inner not in ("pixel_mean", "pixel_std"):
            others[name.split(".")[0]] += 1
    if not is_tiny_vit(ours) and "image_encoder.blocks.0.attn.rel_pos_h" not in ours:
        raise WsssError(f"{source}: its image encoder is none of vit_b, vit_l, vit_h, vit_t")
    listed = ", ".join(f"{group} ({n} tensors)" for group, n in sorted(others.items()))
    return ours, (f"{source}: not part of Segment Anything, left aside: {listed}",) if listed else ()


# --------------------------------------------------------------------------- the predictor


class LoadedSam:
    """A model of Segment Anything as a `PromptPredictor`.

    Parameters
    ----------
    sam : Sam
        In evaluation mode, on its device.
    name : str
        Architecture, e.g. ``vit_b``.
    sha256 : str
        Hash of the checkpoint, or '' for a model made in memory.
    notes : tuple of str
        What of the checkpoint was left aside.
    """

    second_look = None

    def __init__(self, sam: Sam, name: str, sha256: str = "", notes: tuple[str, ...] = ()) -> None:
        self.sam, self.name, self.notes = sam, name, notes
        self._sha256 = sha256
        self._resize = ResizeLongestSide(sam.image_encoder.img_size)
        self._kept = Recent[Embedding](EMBEDDINGS_KEPT)

    @property
    def model(self) -> str:
        return f"{self.name}@{self._sha256[:8]}" if self._sha256 else self.name

    @property
    def side(self) -> int:
        return int(self.sam.prompt_encoder.mask_input_size[0])

    def frame(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of an image of this shape in the encoder's square frame, before padding."""
        rows, columns = self._resize.get_preprocess_shape(*shape, self._resize.target_length)
        return int(rows), int(columns)

    def embed(self, image: Image) -> Embedding:
        """Embedding of an image's RGB view; the latest are remembered by the image's key."""
        if not image.key:
            return self._embedded(image)
        return self._kept.made(image.key, lambda: self._embedded(image))

    def _embedded(self, image: Image) -> Embedding:
        return self.embed_rgb(np.rint(image.rgb.transpose(1, 2, 0) * 255).astype(np.uint8))

    @torch.no_grad()
    def embed_rgb(self, rgb: NDArray[np.uint8]) -> Embedding:
        """Embedding float32 (256, 64, 64) of the padded frame of an RGB picture uint8 (h, w, 3)."""
        resized = torch.from_numpy(self._resize.apply_image(rgb)).to(self.sam.device)
        frame = self.sam.preprocess(resized.permute(2, 0, 1)[None].contiguous())
        data = self.sam.image_encoder(frame)[0].float().cpu().numpy()
        return Embedding(data, (rgb.shape[0], rgb.shape[1]))

    def predict(self, embedding: Embedding, prompt: Prompt) -> Prediction:
        """Three masks (part, whole, larger whole) with their estimated IoU."""
        return self.predict_masks(embedding, prompt, multimask=True)

    @torch.no_grad()
    def predict_masks(self, embedding: Embedding, prompt: Prompt, multimask: bool) -> Prediction:
        """As `predict`; ``multimask=False`` gives the one mask that suits prompts without doubt."""
        device = self.sam.device
        sparse, dense = self.sam.prompt_encoder(**self._prompts(embedding.shape, prompt, device))
        low, iou = self.sam.mask_decoder(
            image_embeddings=torch.from_numpy(embedding.data)[None].to(device),
            image_pe=self.sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        full = self.sam.postprocess_masks(low, self.frame(embedding.shape), embedding.shape)
        masks = (full > self.sam.mask_threshold)[0].cpu().numpy()
        return Prediction(masks, iou[0].float().cpu().numpy(), low[0].float().cpu().numpy())

    def _prompts(
        self, shape: tuple[int, int], prompt: Prompt, device: torch.device
    ) -> dict[str, Tensor | tuple[Tensor, Tensor] | None]:
        """Arguments of the prompt encoder: columns before rows, in the frame's pixels, boxes inclusive."""
        points, boxes, masks = None, None, None
        if len(prompt.points):
            xy = self._resize.apply_coords(prompt.points[:, ::-1].astype(np.float64), shape)
            labels = torch.from_numpy(prompt.positive.astype(np.int32))[None]
            points = (torch.from_numpy(xy).float()[None].to(device), labels.to(device))
        if prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            corners = self._resize.apply_boxes(np.array([[x0, y0, x1 - 1, y1 - 1]], np.float64), shape)
            boxes = torch.from_numpy(corners).float().to(device)
        if prompt.mask_logits is not None:
            masks = torch.from_numpy(prompt.mask_logits.astype(np.float32))[None, None].to(device)
        return {"points": points, "boxes": boxes, "masks": masks}


def load_sam(name_or_path: str, device: str = "cpu") -> LoadedSam:
    """A checkpoint of Segment Anything or MobileSAM, by its name in the catalogue or its path.

    Published ones (vit_b, vit_l, vit_h, MobileSAM's vit_t) and fine-tuned ones of their shapes; the
    architecture is read off the tensors. The same file is loaded once a device.

    Raises
    ------
    MissingModel
        If the weights are not on this machine; the message names the command that gets them.
    UsageError, WsssError
        If the file does not exist, is damaged, or holds something else.
    """
    path, sha256 = resolve(name_or_path)
    return _loaded(str(path), sha256, str(torch.device(device)))


@lru_cache(maxsize=2)
def _loaded(path: str, sha256: str, device: str) -> LoadedSam:
    file = Path(path)
    ours, notes = sam_weights(load_weights(file), file.name)
    if is_tiny_vit(ours):
        sam, name = build_sam(ours)
        ours = from_published(ours)
    else:
        with torch.device("meta"):  # no time spent on random weights that are overwritten
            sam, name = build_sam(ours)
        sam.pixel_mean, sam.pixel_std = (torch.tensor(v).view(-1, 1, 1) for v in (_MEAN, _STD))
    fit_weights(sam, {k: v.float() for k, v in ours.items()}, file.name)
    sam.to(device).eval().requires_grad_(False)
    return LoadedSam(sam, name, sha256, notes)
