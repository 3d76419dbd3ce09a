"""One pixel classifier for the whole project, fitted to every image's hints. The default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.errors import CannotFeed
from napari_wsss.label_models._automatic_seeds import box_seeds, cam_seeds
from napari_wsss.label_models._class_trust import class_trust
from napari_wsss.label_models._feature_grid import FeatureGrid
from napari_wsss.label_models._object_seeds import object_seeds, possible
from napari_wsss.label_models._pixel_head import (
    HeadSettings,
    LabelledPixels,
    fit_head,
    from_state,
    log_loss,
    probabilities,
    to_state,
)
from napari_wsss.models.embedded.asked import asked
from napari_wsss.models.embedded.predictor import EmbeddedPredictor, load_embedded
from napari_wsss.models.placed import PLANES, places
from napari_wsss.protocols import Context
from napari_wsss.side_by_side import side_by_side, workers
from napari_wsss.types import Bool, Labels, PseudoLabels, Sample, State
from napari_wsss.upright import has_an_up

_PROBE = 6000  # labelled pixels on which position and size are decided
_MANY = 20_000  # labelled pixels, objects that were asked for not counted, from which a large head is considered
_WIDTH = 16  # of the hidden layers, for each class
_CREDIBLE = 0.05  # chance of background below which the surroundings of an asked object teach nothing
_AS_LIKELY = 0.5  # the same where nobody hinted background, so that its own guesses are judged
_CELL = 32  # image pixels: those of one class that lie so near each other count as one
_ANYWHERE = 500  # pixels of each image that tell what pixels look like in general


class Pooled:
    """A small network on frozen features, fitted to all labelled pixels of the project together.

    Every image profits from the hints on all others, also one without any. Where nobody drew anything
    in the whole project, the seeds of the activation maps stand in. Whether a pixel's position helps is
    decided by the hints themselves, never assumed.

    Parameters of ``Params``
    ------------------------
    size : str
        ``small`` fits a narrow head for a short time, which points need; ``large`` a wider one for
        longer, which many strokes repay; ``auto`` takes ``small`` below 20,000 labelled pixels and
        lets the log loss on held-out images decide above.
    position : str
        ``auto`` uses it where classes lie at different heights (a photograph has an up, a section has
        none) and held-out images agree; ``yes`` and ``no`` do not ask.
    pixels : int
        Most labelled pixels taken from an image.
    objects : str
        ``auto`` asks the embedded model for the object of each click and box, in a project with a class
        ``background``, and learns from what it is sure of as well; ``no`` learns from given pixels only.
    balance : float
        How far rare classes are raised: 0 = as often as they were hinted, 1 = all equally often.
    margin : float
        A pixel is answered where the best class leads the second by so much.
    """

    @dataclass(frozen=True)
    class Params:
        size: Literal["auto", "small", "large"] = "auto"
        position: Literal["auto", "yes", "no"] = "auto"
        pixels: int = 3000
        objects: Literal["auto", "no"] = "auto"
        balance: float = 1.0
        margin: float = 0.1

    parallel: ClassVar[bool] = True  # calls share nothing that changes

    def __init__(self, params: Any, context: Context) -> None:
        self.params: Pooled.Params = params
        self.context = context
        self.device = torch.device(context.device)
        width = min(max(2 * _WIDTH, _WIDTH * len(context.classes)), 4 * _WIDTH)
        self.sizes = {
            "small": HeadSettings(hidden=width, steps=150, balance=params.balance),
            "large": HeadSettings(hidden=4 * _WIDTH, steps=400, balance=params.balance),
        }

    @property
    def model(self) -> str:
        """The embedded model where it is asked, else ''."""
        return self._predictor.model if self._predictor is not None else ""

    @property
    def _ground(self) -> int | None:
        return self.context.classes.background

    @cached_property
    def _predictor(self) -> EmbeddedPredictor | None:
        asks = self.params.objects == "auto" and self.context.classes.background is not None
        return load_embedded(device=self.context.device) if asks else None

    def fit(self, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
        """Fit the head to the labelled pixels of all samples.

        Raises
        ------
        CannotFeed
            Where the samples hold labels of fewer than two classes.
        """
        pixels = self._labelled_pixels(samples)
        if len(torch.unique(pixels.classes)) < 2:
            raise CannotFeed("labels of at least two classes are needed somewhere in the project")
        n = len(self.context.classes)
        position, size = self._decide(pixels)
        pixels = self._credible(pixels if position else pixels.without_last(PLANES), n, size)
        head = fit_head(pixels, n, self.sizes[size], self.context.seed, self.context.progress)
        seen = np.bincount(pixels.classes.cpu().numpy(), minlength=n).astype(np.int64)
        # Which regions were answered says nothing of how well a class is told elsewhere: the hardest are asked first.
        drawn = pixels.part(~pixels.dense)
        trust = class_trust(drawn, n, self.sizes[size], self.context.seed, self.context.progress)
        return {**to_state(head), "position": np.array([position]), "seen": seen, "trust": trust}

    def __call__(self, sample: Sample, state: State) -> PseudoLabels:
        """Pseudo-labels of one image, answered wherever the head is sure enough."""
        image, target = sample.image, sample.target
        k = len(self.context.classes)
        if image.is_flat:
            return _only_given(target.seed, image.valid, k)
        features = self._with_position(sample) if state["position"][0] else self._plain(sample)
        p = probabilities(from_state(state, self.device), features)
        if p.shape[-2:] != image.shape:
            p = F.interpolate(p[None], image.shape, mode="bilinear", align_corners=False)[0]
        answer = self._answer(p, sample, np.asarray(state["seen"]) > 0)
        return replace(answer, trust=tuple(np.asarray(state["trust"]).tolist()))

    def _answer(self, p: Tensor, sample: Sample, seen: NDArray[np.bool_]) -> PseudoLabels:
        target, valid = sample.target, sample.image.valid
        possible = torch.as_tensor(np.ascontiguousarray(target.allow) & seen[:, None, None], device=self.device)
        # Where no seen class is allowed (a tag of a class that nobody ever hinted) every allowed one is left equal.
        silent = ~possible.any(0)
        p = torch.where(silent, torch.as_tensor(np.ascontiguousarray(target.allow), device=self.device), p * possible)
        p = p / p.sum(0).clamp(min=1e-6)
        given = torch.as_tensor(target.seed.astype(np.int64), device=self.device)
        p = torch.where(given > 0, F.one_hot(given, len(p) + 1).movedim(-1, 0)[1:].float(), p)
        p = p * torch.as_tensor(valid, device=self.device)
        best = p.topk(min(2, len(p)), dim=0)
        lead = best.values[0] - (best.values[1] if len(p) > 1 else 0)
        labels = torch.where(lead >= self.params.margin, best.indices[0] + 1, 0).cpu().numpy().astype(np.uint16)
        typicality = np.where(valid, 1, 0).astype(np.float16)
        return PseudoLabels(p.half().cpu().numpy(), np.where(valid, labels, np.uint16(0)), typicality)

    def _labelled_pixels(self, samples: Sequence[Sample]) -> LabelledPixels:
        rng = np.random.default_rng(self.context.seed)
        features, classes, images, weights, guessed, own, dense, anywhere, plain = [], [], [], [], [], [], [], [], 0
        elsewhere = _Elsewhere(self._ground if self._predictor is not None else None, self.context.seed)
        stand_in = not any(sample.labels.marks or sample.labels.mask is not None for sample in samples)
        abreast = workers() if self.device.type == "cpu" else 1
        for i, (sample, said) in enumerate(side_by_side(self._said, samples, abreast)):
            self.context.progress(i, len(samples), "reading labelled pixels")
            label = self._seeds(sample, stand_in)
            plain += min(int((label > 0).sum()), self.params.pixels)
            given, label = label, np.where((label == 0) & (said > 0), said, label)
            if label.any():
                grid = FeatureGrid(self._with_position(sample), sample.features.stride)
                rows, columns = _drawn(label > 0, self.params.pixels, rng)
                features.append(grid.at(rows, columns))
                classes.append(torch.as_tensor(label[rows, columns].astype(np.int64) - 1))
                images.append(torch.full((len(rows),), i))
                weights.append(torch.as_tensor(_weights(label, rows, columns)))
                around = (given == 0) & (label == self._ground)
                guessed.append(torch.as_tensor(around[rows, columns]))
                own.append(torch.as_tensor(given[rows, columns] > 0))
                mask = sample.labels.mask
                dense.append(torch.as_tensor(np.zeros(len(rows), bool) if mask is None else mask[rows, columns] > 0))
                anywhere.append(grid.at(*_drawn(sample.image.valid, _ANYWHERE, rng)))
                elsewhere.see(i, sample, given, label, grid, self.params.pixels)
            sample.forget()
        if not features:
            raise CannotFeed("no image of the project has labels yet")
        look = torch.cat(anywhere)
        for place, found in elsewhere.pixels:
            features.append(found)
            classes.append(torch.full((len(found),), elsewhere.ground - 1))
            images.append(torch.full((len(found),), place))
            weights.append(torch.ones(len(found)))
            guessed.append(torch.ones(len(found), dtype=torch.bool))
            own.append(torch.zeros(len(found), dtype=torch.bool))
            dense.append(torch.zeros(len(found), dtype=torch.bool))
        return LabelledPixels(
            torch.cat(features),
            torch.cat(classes).to(self.device),
            torch.cat(images).to(self.device),
            torch.cat(weights).to(self.device),
            look,
            look.mean(0),
            look.std(0, correction=0).clamp(min=1e-4),
            torch.cat(guessed).to(self.device),
            torch.cat(own).to(self.device),
            torch.cat(dense).to(self.device),
            plain,
        )

    def _said(self, sample: Sample) -> Labels:
        """What clicks and boxes say about the rest of their objects: class ids uint16 (h, w), 0 = nothing."""
        ground, predictor = self.context.classes.background, self._predictor
        if predictor is None or ground is None or sample.image.is_flat:
            return np.zeros(sample.target.shape, np.uint16)
        found = asked(predictor, sample.image, sample.labels, self.context.classes)
        said = object_seeds(found, sample.image.shape, ground)
        allowed = possible(said, sample.target.allow) & sample.image.valid
        return np.where(allowed, said, np.uint16(0)).astype(np.uint16)

    def _seeds(self, sample: Sample, stand_in: bool) -> Labels:
        """Class ids of pixels to learn from: human-given ones, what boxes say, or maps as stand-ins."""
        target, valid, labels = sample.target, sample.image.valid, sample.labels
        boxes = [b for b in labels.boxes if not b.fill]
        given = np.where(valid, target.seed, np.uint16(0))
        classes = self.context.classes
        guesses = np.zeros_like(given)
        if stand_in and sample.cam is not None:
            guesses = cam_seeds(sample.cam, target, labels.tags, classes)
        if boxes:
            features = sample.features
            grid = FeatureGrid(torch.as_tensor(features.data, device=self.device), features.stride)
            boxed = box_seeds(boxes, grid, valid, target, sample.cam, classes, self.context.seed)
            guesses = np.where(boxed > 0, boxed, guesses)
        return np.where(given > 0, given, np.where(valid, guesses, np.uint16(0)))

    def _with_position(self, sample: Sample) -> Tensor:
        """Features (d + 3, h, w): the encoder's, then where each token lies in the image."""
        data = self._plain(sample)
        h, w = data.shape[-2:]
        return torch.cat([data, torch.as_tensor(places((h, w), (0, 0, h, w)), device=self.device)])

    def _plain(self, sample: Sample) -> Tensor:
        return torch.as_tensor(np.asarray(sample.features.data, np.float32), device=self.device)

    def _credible(self, pixels: LabelledPixels, n: int, size: str) -> LabelledPixels:
        """Without guessed background that looks like an object: a clicked nucleus has neighbours that nobody clicked.

        Who judges is a head that was not told of the guesses. Where nobody hinted background there is no such head:
        then one judges that was told of all guesses, objects among them. As classes weigh the same to it, it still
        finds an object's pixel likelier to be one than not (Elkan and Noto, KDD 2008).
        """
        if not pixels.guessed.any() or self._ground is None:
            return pixels
        told = pixels.part(~pixels.guessed)
        unsaid = not bool((told.classes == self._ground - 1).any())
        first = fit_head(pixels if unsaid else told, n, self.sizes[size], self.context.seed, self.context.progress)
        with torch.inference_mode():
            chance = first(pixels.features).softmax(1)[:, self._ground - 1]
        return pixels.part(~pixels.guessed | (chance >= (_AS_LIKELY if unsaid else _CREDIBLE)))

    def _decide(self, pixels: LabelledPixels) -> tuple[bool, str]:
        """Whether position helps, and which size of head, by the log loss on held-out images."""
        position, size = self.params.position, self.params.size
        enough = len(torch.unique(pixels.images)) >= 3
        probe = _probe(pixels, self.context.seed)
        if position == "auto":
            said = pixels.part(pixels.given)
            heights = said.features[:, -PLANES]
            helps = has_an_up(*(t.cpu().numpy() for t in (heights, said.classes, said.images)))
            helps = helps and self._loss(probe, "small") < self._loss(probe.without_last(PLANES), "small")
            position = "yes" if helps else "no"
        if size == "auto":
            probe = probe if position == "yes" else probe.without_last(PLANES)
            many = enough and pixels.plain >= _MANY
            size = "large" if many and self._loss(probe, "large") < self._loss(probe, "small") else "small"
        return position == "yes", size

    def _loss(self, probe: LabelledPixels, size: str) -> float:
        return log_loss(probe, len(self.context.classes), self.sizes[size], self.context.seed)


class _Elsewhere:
    """Pixels that nobody labelled, as guesses at the background, for a project where nobody hinted any.

    Without them the far ground, unlike objects and unlike their surroundings too, could become either.
    """

    def __init__(self, ground: int | None, seed: int) -> None:
        self.ground = ground or 0
        self._wanted = ground is not None
        self._rng = np.random.default_rng(seed)
        self.pixels: list[tuple[int, Tensor]] = []

    def see(self, place: int, sample: Sample, given: Labels, label: Labels, grid: FeatureGrid, most: int) -> None:
        """Draw from one image, and forget everything as soon as somebody hinted background."""
        self._wanted = self._wanted and not bool((given == self.ground).any())
        if not self._wanted:
            self.pixels.clear()
            return
        free = sample.image.valid & (label == 0) & sample.target.allow[self.ground - 1]
        if free.any():
            self.pixels.append((place, grid.at(*_drawn(free, most, self._rng))))


def _probe(pixels: LabelledPixels, seed: int) -> LabelledPixels:
    order = torch.randperm(len(pixels.classes), generator=torch.Generator().manual_seed(seed))
    return pixels.part(order[:_PROBE].to(pixels.classes.device))


def _drawn(where: Bool, most: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of at most so many of the True pixels."""
    flat = np.flatnonzero(where)
    if len(flat) > most:
        flat = rng.choice(flat, most, replace=False)
    rows, columns = np.unravel_index(flat, where.shape)
    return rows, columns


def _weights(label: Labels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Of pixels: those of a class in one cell together count as much as a single click elsewhere.

    They look alike: a region of a thousand pixels in one place does not tell a thousand times what a click tells.
    """
    across = -(-label.shape[1] // _CELL)
    cells = (rows // _CELL * across + columns // _CELL) * (int(label.max()) + 1) + label[rows, columns]
    _, where, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return (1.0 / counts[where]).astype(np.float32)


def _only_given(seed: Labels, valid: NDArray[np.bool_], k: int) -> PseudoLabels:
    """No answer but the human-given pixels: nothing is to be seen."""
    p = np.where(valid, np.float16(1 / k), np.float16(0))[None].repeat(k, 0)
    given = (seed > 0) & valid
    for c in range(k):
        p[c][given] = seed[given] == c + 1
    return PseudoLabels(p, np.where(given, seed, np.uint16(0)), given.astype(np.float16))


METHOD = Pooled
