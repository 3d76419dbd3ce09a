"""Maps from class names: CLIP's gradients against competing words, spread along its attention (CLIP-ES)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.cams._caa import affinity, min_max, spread
from napari_wsss.cams._text_cam import Raw, TextCam, TextCamParams
from napari_wsss.errors import UsageError
from napari_wsss.models.clip import Clip
from napari_wsss.models.clip_attention import patch_attention


class ClipEs(TextCam):
    """Softmax Grad-CAM of CLIP with class-aware attention affinity (methods.md A.3, G.1, G.2).

    The classes that an image is said to hold compete, in a softmax, with each other and with background words;
    the gradient of a class's probability on the tokens before the last block gives its map, and the affinity of the
    last layers' attention spreads it. ``raw_max`` is the probability; a class that gets less than half of an even
    share is reported in the log, for its tag may be wrong. Maps from published CLIP weights were not measured here, for
    no such checkpoint could be had.

    References
    ----------
    Lin et al., "CLIP is Also an Efficient Segmenter: A Text-Driven Approach for Weakly Supervised Semantic
    Segmentation", CVPR 2023.

    Parameters
    ----------
    weights : str
        File of CLIP weights, or a name in the catalogue; see the encoder ``open_clip``.
    architecture : str
        open_clip's name of the model; ``auto``: from the file.
    template : str
        Sentence with ``{}`` for a phrase, or ``imagenet`` or ``simple``.
    background : str
        Competing words, with commas; '' = the knowledge base's for these classes' domains.
    longest : int
        Shrink larger images to this many pixels on their longer side; 0: never.
    batch : int
        Images of equal size on the device at once.
    t_hi, t_lo : float
        Thresholds of the seeds: class above the first, background below the second.
    reject : float
        A class whose ``raw_max`` is below this keeps its map and gives no seeds.
    layers : int
        How many last layers' attention makes the affinity; 0: no affinity step.
    box : float
        Only tokens in the boxes of what reaches this share of the maximum give (0.4 for photographs, 0.7 for
        cluttered scenes).
    """

    @dataclass(frozen=True)
    class Params(TextCamParams):
        layers: int = 8
        box: float = 0.4

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.layers < 0 or not 0 < self.box <= 1:
                raise ValueError(f"layers {self.layers} is at least 0, box {self.box} above 0 and at most 1")

    params: Params

    def maps(self, pictures: Tensor, known: Tensor, present: Sequence[tuple[int, ...]]) -> list[Raw]:
        """Grad-CAM for each class present, then the affinity step."""
        if not self.background_words:
            raise UsageError(
                "clip_es: no background word is left to compete with the classes; set background=word,word"
            )
        tokens, attention = self._before_last(pictures)
        texts = torch.cat([self.class_texts, self.background_texts])
        competes = self._competitors(present, len(texts))
        raws = []
        ranks = max(len(p) for p in present)
        found = [
            self._rank(tokens, known, texts, competes, [p[min(r, len(p) - 1)] for p in present]) for r in range(ranks)
        ]
        for number, classes in enumerate(present):
            likeness = affinity(attention[number]) if self.params.layers else None
            cams, weak = [], []
            for rank in range(len(classes)):
                cam = min_max(found[rank][0][number], known[number])
                if likeness is not None:
                    cam = min_max(spread(likeness, cam, self.params.box), known[number])
                cams.append(cam)
                weak.append(float(found[rank][1][number]) < 0.5 / int(competes[number].sum()))
            probabilities = tuple(float(found[rank][1][number]) for rank in range(len(classes)))
            raws.append(Raw(torch.stack(cams), probabilities, tuple(weak)))
        return raws

    def _competitors(self, present: Sequence[tuple[int, ...]], texts: int) -> Tensor:
        """bool (b, texts): the classes present in each picture, and all background words."""
        competes = torch.zeros(len(present), texts, dtype=torch.bool, device=self.clip.device)
        competes[:, len(self.foreground) :] = True
        for row, classes in zip(competes, present, strict=True):
            row[list(classes)] = True
        return competes

    def _rank(
        self, tokens: Tensor, known: Tensor, texts: Tensor, competes: Tensor, classes: list[int]
    ) -> tuple[Tensor, Tensor]:
        return softmax_gradcam(self.clip, tokens, known, texts, competes, torch.tensor(classes, device=tokens.device))

    @torch.no_grad()
    def _before_last(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, 1 + n, c) before the last block, and the mean (b, n, n) of the last layers' patch attention."""
        x = self.clip.embedded(pictures)
        first = len(self.clip.blocks) - min(self.params.layers, len(self.clip.blocks))
        total = torch.zeros(())
        for number, block in enumerate(self.clip.blocks):
            if number >= first:
                total = total.to(x.device) + patch_attention(block, x)
            if number < len(self.clip.blocks) - 1:
                x = block(x)
        return x, total / max(len(self.clip.blocks) - first, 1)


def softmax_gradcam(
    clip: Clip, tokens: Tensor, known: Tensor, texts: Tensor, competes: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor]:
    """Grad-CAM of one class a picture, on the normalised tokens that enter the last block (methods.md G.2).

    Parameters
    ----------
    clip : Clip
    tokens : (b, 1 + n, c)
        Before the last block.
    known : bool (b, h, w)
        False: nodata; these patches enter no mean.
    texts : (t, d)
        Normalised.
    competes : bool (b, t)
        Which texts are in the picture's softmax.
    classes : int (b,)
        Which text each picture's map is of.

    Returns
    -------
    cams : (b, h, w), at least 0, not normalised
    probabilities : (b,)
    """
    block = clip.blocks[-1]
    inside = known.flatten(1)[..., None].to(tokens.dtype)
    count = inside.sum(1).clamp(min=1)
    normal = block.ln_1(tokens).detach().requires_grad_(True)
    with torch.enable_grad():
        x = tokens + block.ls_1(block.attn(normal, normal, normal, need_weights=False)[0])
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        patches = clip.network.visual.ln_post(x[:, 1:])
        vector = F.normalize((patches * inside).sum(1) / count @ clip.network.visual.proj, dim=-1)
        logits = (clip.scale * vector @ texts.T).masked_fill(~competes, -torch.inf)
        probability = logits.softmax(-1).gather(1, classes[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(probability.sum(), normal)
    weights = (gradient[:, 1:] * inside).sum(1) / count
    cams = (normal[:, 1:].detach() @ weights[..., None])[..., 0].relu()
    return cams.unflatten(1, known.shape[1:]), probability.detach()


METHOD = ClipEs
