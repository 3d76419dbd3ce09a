"""What the text-driven CAMs share: which classes, which words, same-sized pictures in batches, finished maps."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_wsss.cams._seeds import dual_threshold_seeds
from napari_wsss.errors import CannotFeed
from napari_wsss.models.clip import Clip, clip_name, load_clip, templates_of, token_grid
from napari_wsss.models.knowledge import Attributes, Knowledge, load_knowledge
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Cam, Class, Image, Sample, State, WeakLabels

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextCamParams:
    """Parameters that all text-driven CAMs have; each method's docstring explains them."""

    weights: str = ""
    architecture: str = "auto"
    template: str = "a clean origami {}."
    background: str = ""
    longest: int = 512
    batch: int = 4
    t_hi: float = 0.5
    t_lo: float = 0.25
    reject: float = 0.0

    def __post_init__(self) -> None:
        if self.longest < 0 or self.batch < 1:
            raise ValueError(f"longest {self.longest} is at least 0, batch {self.batch} at least 1")
        if not 0 <= self.t_lo <= self.t_hi <= 1:
            raise ValueError(f"thresholds t_lo {self.t_lo} and t_hi {self.t_hi}: 0 <= t_lo <= t_hi <= 1")


@dataclass(frozen=True, eq=False, slots=True)
class Raw:
    """Maps of one image on the token grid: (k, h, w) in [0, 1], maxima (k,), and which classes are too weak."""

    maps: Tensor
    raw_max: tuple[float, ...]
    weak: tuple[bool, ...]


class TextCam(ABC):
    """A CAM method whose classes are words. ``call_batch`` gives what single calls give."""

    def __init__(self, params: TextCamParams, context: Context) -> None:
        self.params = params
        self.context = context
        self._name = clip_name(params.weights)
        self.knowledge: Knowledge = load_knowledge(context.knowledge)
        self._templates = templates_of(params.template)

    @property
    def model(self) -> str:
        return self._name

    @cached_property
    def clip(self) -> Clip:
        """The network, loaded when it is first needed: a run that has nothing to do loads none."""
        return load_clip(self.params.weights, self.params.architecture, self.context.device)

    @cached_property
    def foreground(self) -> tuple[Class, ...]:
        """Every class but background, in id order."""
        return tuple(c for c in self.context.classes if c.id in self.context.classes.foreground)

    @cached_property
    def attributes(self) -> tuple[Attributes, ...]:
        """What the knowledge base says of each foreground class; what it does not know is logged once."""
        found = tuple(self.knowledge.of(c.name) for c in self.foreground)
        for attributes in found:
            if attributes.note:
                _log.warning(attributes.note)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: one line for each class that the knowledge base has nothing about."""
        return tuple(a.note for a in self.attributes if a.note)

    @cached_property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """Phrases of each foreground class: the project's own, else its name and the synonyms known."""
        return tuple(
            c.phrases or (c.name, *(s for s in a.synonyms if s != c.name))
            for c, a in zip(self.foreground, self.attributes, strict=True)
        )

    @cached_property
    def background_words(self) -> tuple[str, ...]:
        """Words that compete with the classes; none that names a class of the project."""
        own = next((c.phrases for c in self.context.classes if c.id == self.context.classes.background), ())
        given = tuple(w.strip() for w in self.params.background.split(",") if w.strip())
        domains = {a.domain for a in self.attributes if a.domain}
        taken = [w for words in self.words for w in words]
        confused = [w for a in self.attributes for w in a.confused_with]
        return self.knowledge.background(domains, given, own, taken, confused)

    @cached_property
    def class_texts(self) -> Tensor:
        """(K, d): each foreground class as the normalised mean of its phrases."""
        return torch.stack([F.normalize(self._text(words).mean(0), dim=0) for words in self.words])

    @cached_property
    def background_texts(self) -> Tensor:
        """(number of background words, d), normalised."""
        return self._text(self.background_words)

    def _text(self, phrases: Sequence[str]) -> Tensor:
        return self.clip.encode_text(phrases, self._templates)

    # ------------------------------------------------------------------ calls

    def __call__(self, sample: Sample, state: State) -> Cam:
        return self.call_batch([sample], state)[0]

    def call_batch(self, samples: Sequence[Sample], state: State) -> list[Cam]:
        """CAMs of several images, those of equal size together on the device.

        Raises
        ------
        CannotFeed
            If one of them has no class to look for; names it.
        """
        present = [self.present(s) for s in samples]
        cams: dict[int, Cam] = {}
        by_grid: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, sample in enumerate(samples):
            by_grid[token_grid(sample.image.shape, self.clip.patch, longest=self.params.longest)].append(number)
        for grid, members in by_grid.items():
            for at in range(0, len(members), self.params.batch):
                chunk = members[at : at + self.params.batch]
                images = [samples[i].image for i in chunk]
                pictures = torch.stack([self.clip.prepared(image.rgb, grid) for image in images])
                known = torch.stack([known_tokens(image.valid, grid, self.clip.device) for image in images])
                raws = self.maps(pictures, known, [present[i] for i in chunk])
                for i, image, raw in zip(chunk, images, raws, strict=True):
                    cams[i] = self._finished(image, present[i], raw)
                if len(samples) > 1:
                    self.context.progress(len(cams), len(samples), "maps from words")
        return [cams[i] for i in range(len(samples))]

    @abstractmethod
    def maps(self, pictures: Tensor, known: Tensor, present: Sequence[tuple[int, ...]]) -> list[Raw]:
        """Maps of pictures (b, 3, H, W); ``known`` (b, h, w) is False on tokens without data.

        ``present``: for each picture, which foreground classes, as positions in `foreground`.
        """

    def present(self, sample: Sample) -> tuple[int, ...]:
        """Positions in `foreground` of the classes that the labels say are there.

        Raises
        ------
        CannotFeed
            If no foreground class is said to be there.
        """
        said = classes_present(sample.labels)
        positions = tuple(i for i, c in enumerate(self.foreground) if c.id in said)
        if not positions:
            raise CannotFeed(f"{sample.name}: maps from words need a tag or mark of a class other than background")
        return positions

    def _finished(self, image: Image, present: tuple[int, ...], raw: Raw) -> Cam:
        maps = F.interpolate(raw.maps[None], size=image.shape, mode="bilinear", align_corners=False)[0]
        scores = maps.clamp(0, 1).cpu().numpy().astype(np.float32)
        scores[:, ~image.valid] = 0
        ids = tuple(self.foreground[i].id for i in present)
        seeds = dual_threshold_seeds(
            scores,
            ids,
            image.rgb,
            self.context.classes.background,
            self.params.t_hi,
            self.params.t_lo,
            image.valid,
            self.context.device,
        )
        for class_id, height in zip(ids, raw.raw_max, strict=True):
            name = self.context.classes[class_id].name
            if height < self.params.reject:
                seeds[seeds == class_id] = 0
                _log.warning("%s: %s has a response of only %.3g; its map gives no seeds", image.name, name, height)
        for class_id, is_weak in zip(ids, raw.weak, strict=True):
            if is_weak:
                name = self.context.classes[class_id].name
                _log.warning("%s: the model hardly sees %s; is the tag right?", image.name, name)
        return Cam(scores, ids, np.asarray(raw.raw_max, np.float32), seeds)


def classes_present(labels: WeakLabels) -> frozenset[int]:
    """Class ids that a person said are in the image: tags, marks and accepted pixels, less absent tags."""
    marked = {p.class_id for p in labels.points} | {b.class_id for b in labels.boxes}
    for raster in (*(s.raster for s in labels.strokes), labels.mask):
        if raster is not None:
            marked.update(int(c) for c in np.unique(raster))
    return frozenset((labels.tags.present | marked) - labels.tags.absent)


def known_tokens(valid: Bool, grid: tuple[int, int], device: torch.device) -> Tensor:
    """bool (h, w): tokens of which at least half is not nodata."""
    share = F.interpolate(torch.from_numpy(valid)[None, None].float(), size=grid, mode="area")[0, 0]
    known: Tensor = (share >= 0.5).to(device)
    return known
