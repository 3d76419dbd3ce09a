"""Maps from class names and visual attributes: training-free ExCEL (text enrichment, calibrated attention)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.cams._caa import affinity, min_max, spread
from napari_wsss.cams._enrichment import class_weights, clusters, enriched, surgery_likeness
from napari_wsss.cams._text_cam import Raw, TextCam, TextCamParams
from napari_wsss.models.clip_attention import PUBLISHED, dense_tokens, patch_attention


class Excel(TextCam):
    """The training-free part of ExCEL (methods.md A.5).

    Class texts are enriched by clusters of visual attributes from the knowledge base; a second path through CLIP's last
    five blocks mixes values by q-q, k-k and v-v likeness; likeness to a class is what it does not share with all
    others. ``raw_max`` is that likeness before normalisation: a class that is nowhere above the mean of all classes
    and background words has one below 0. Maps from published CLIP weights were not measured here,
    for no such checkpoint could be had.

    References
    ----------
    Yang et al., "Exploring CLIP's Dense Knowledge for Weakly Supervised Semantic Segmentation", CVPR 2025.

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
    enrich : bool
        Use the knowledge base's attributes; off: the class names alone.
    clusters : int
        Clusters of all classes' attributes; fewer where there are fewer: five a class at most.
    kept : float
        Share of the clusters that may enrich a class.
    normalise : str
        Features are normalised over the ``channels`` of a token, or, as the published code does, each channel over
        all ``tokens``.
    layers : int
        How many last layers' attention makes the affinity; 0: no affinity step.
    box : float
        Only tokens in the boxes of what reaches this share of the maximum give.
    """

    @dataclass(frozen=True)
    class Params(TextCamParams):
        enrich: bool = True
        clusters: int = 112
        kept: float = 0.9
        normalise: Literal["channels", "tokens"] = "channels"
        layers: int = 6
        box: float = 0.79

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.clusters < 1 or not 0 < self.kept <= 1:
                raise ValueError(f"clusters {self.clusters} is at least 1, kept {self.kept} above 0 and at most 1")
            if self.layers < 0 or not 0 < self.box <= 1:
                raise ValueError(f"layers {self.layers} is at least 0, box {self.box} above 0 and at most 1")

    params: Params

    @cached_property
    def texts(self) -> Tensor:
        """(K + background words, d): enriched class texts, then the background's as they are."""
        classes = self.class_texts
        sentences = [
            f"{words[0]}. it has {phrase}"
            for words, attributes in zip(self.words, self.attributes, strict=True)
            for phrase in attributes.phrases
        ]
        if self.params.enrich and sentences:
            n = min(self.params.clusters, 5 * len(self.foreground), len(sentences))
            centres = clusters(self._text(sentences), n, self.context.seed).to(classes.device)
            classes = enriched(classes, centres, self.params.kept)
        return torch.cat([classes, self.background_texts])

    @torch.no_grad()
    def maps(self, pictures: Tensor, known: Tensor, present: Sequence[tuple[int, ...]]) -> list[Raw]:
        """Likeness of calibrated features to the texts, then the affinity step."""
        blocks, first = self.clip.blocks, max(len(self.clip.blocks) - self.params.layers, 0)
        attention = torch.zeros((), device=pictures.device)

        def watch(number: int, x: Tensor) -> None:
            nonlocal attention
            if number >= first:
                attention = attention + patch_attention(blocks[number], x) / (len(blocks) - first)

        x, grid = self.clip.embedded(pictures), (known.shape[1], known.shape[2])
        tokens, patches = dense_tokens(blocks, x, grid, PUBLISHED["excel"], watch=watch)
        vectors, features = self.clip.pooled(tokens), self.clip.projected(patches)
        return [
            self._of_one(vectors[i], features[i], attention[i] if self.params.layers else None, known[i], classes)
            for i, classes in enumerate(present)
        ]

    def _of_one(
        self, vector: Tensor, features: Tensor, attention: Tensor | None, known: Tensor, classes: tuple[int, ...]
    ) -> Raw:
        inside = known.flatten()
        features = torch.where(inside[:, None], features, torch.zeros_like(features))
        features = F.normalize(features, dim=1 if self.params.normalise == "channels" else 0)
        likeness = surgery_likeness(features, self.texts, class_weights(vector, self.texts))
        spreading = affinity(attention) if attention is not None else None
        cams, heights = [], []
        for c in classes:
            plane = likeness[:, c].reshape(known.shape)
            heights.append(float(plane[known].max()) if bool(known.any()) else 0.0)
            cam = min_max(plane, known)
            cams.append(cam if spreading is None else min_max(spread(spreading, cam, self.params.box), known))
        return Raw(torch.stack(cams), tuple(heights), tuple(height <= 0 for height in heights))


METHOD = Excel
