"""A multi-label head on frozen dense features, trained over the project's images from tags alone.

Shared by `head` (its class activation maps) and `gradcam` (its gradients). Only the average-pooled
features of each image take part in training, so that a thousand images fit in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_wsss.cams._seeds import dual_threshold_seeds
from napari_wsss.cams._views import View, views_of_all
from napari_wsss.errors import CannotFeed
from napari_wsss.protocols import Context
from napari_wsss.types import Cam, Classes, Float, Sample, State

_STATISTICS_IMAGES = 64  # so many images, evenly spread, give each feature's mean and deviation
_TOGETHER = 8  # images that training reads at once on a GPU
_CLIP = 5.0  # standard deviations: one glaring pixel must not decide an image's average


@dataclass(frozen=True)
class Tokens:
    """Standardised features (d, h, w) of one view and how much of each token is valid, (h, w), summing to 1."""

    data: Tensor
    share: Tensor

    def pooled(self) -> Tensor:
        """Average over the valid part of the image, (d,)."""
        return (self.data * self.share).sum((1, 2))


@dataclass(frozen=True)
class _Asked:
    """Classes whose maps an image needs, places among them that the head fills, and the head's rows for these."""

    shown: tuple[int, ...]
    places: tuple[int, ...]
    rows: tuple[int, ...]


def known_tags(sample: Sample, classes: Classes, untagged: str = "absent") -> dict[int, float]:
    """What the head is taught of each foreground class in the image: 1 present, 0 absent; the rest is left out.

    A class that a person drew is present, whether or not it was tagged. Of an image whose list is not
    said to be complete, ``untagged`` decides whether classes that it does not name teach "absent": people
    rarely say so, and without counter-examples tags teach nothing. Only training assumes it; no map is
    forbidden by it.
    """
    tags = sample.labels.tags
    seen = set(tags.present) | set(np.unique(sample.target.seed).tolist())
    known: dict[int, float] = {}
    for class_id in classes.foreground:
        if class_id in seen:
            known[class_id] = 1.0
        elif tags.complete or class_id in tags.absent or (tags.present and untagged == "absent"):
            known[class_id] = 0.0
    return known


class MultiLabelCam(ABC):
    """What both methods share: pooling, training, views, normalisation and seeds."""

    def __init__(self, params: Any, context: Context) -> None:
        self.params, self.context = params, context
        self._device = torch.device(context.device)
        self.together = 1 if context.device == "cpu" else _TOGETHER

    @property
    def model(self) -> str:
        """Weights of the encoder whose features the head reads."""
        return "" if self.context.encoder is None else self.context.encoder.model

    # ------------------------------------------------------------------ what the two methods differ in

    @abstractmethod
    def network(self, d: int, k: int) -> nn.Module:
        """The head: pooled features (n, d) to logits (n, k)."""

    @abstractmethod
    def activation(self, tokens: Tokens, head: nn.Module, rows: Sequence[int]) -> Tensor:
        """Raw maps (len(rows), h, w) of some of the head's classes, without the bias."""

    # ------------------------------------------------------------------ training

    def fit(self, samples: Sequence[Sample]) -> State:
        """Train the head on every image with tags.

        Returns
        -------
        State
            ``classes`` (int64, k), ``mean`` and ``scale`` (float32, d), and the head's own arrays.

        Raises
        ------
        CannotFeed
            If no class is both present in one image and known to be absent from another.
        """
        classes = self.context.classes
        known = {s.name: known_tags(s, classes, self.params.untagged) for s in samples}
        learnt = tuple(k for k in classes.foreground if {t.get(k) for t in known.values()} >= {0.0, 1.0})
        if not learnt:
            raise CannotFeed(
                "tags alone teach nothing: no class is present in one image and known to be absent from another; "
                "tag images without the class, as '!name' or with a complete list ('!*')"
            )
        useful = [s for s in samples if any(k in known[s.name] for k in learnt)]
        mean, scale = self._statistics(useful)
        pooled, targets = self._pool(useful, mean, scale, known, learnt)
        head = self._train(pooled, targets)
        arrays = {name: value.detach().cpu().numpy() for name, value in head.state_dict().items()}
        return {"classes": np.array(learnt, np.int64), "mean": mean.cpu().numpy(), "scale": scale.cpu().numpy()} | {
            f"head.{name}": value for name, value in arrays.items()
        }

    def _statistics(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each feature over valid tokens of images spread over the project."""
        step = -(-len(samples) // _STATISTICS_IMAGES)
        first = second = torch.zeros((), dtype=torch.float64, device=self._device)
        weight = 0.0
        for chunk in self._chunks(samples[::step]):
            for _, view in views_of_all(chunk, self.context, "1", flip=False):
                tokens = self._raw(view)
                area = tokens.data.shape[1] * tokens.data.shape[2]
                data = tokens.data.double()
                first = first + area * (data * tokens.share).sum((1, 2))
                second = second + area * (data.square() * tokens.share).sum((1, 2))
                weight += area * float(tokens.share.sum())
            for sample in chunk:
                sample.forget()
        if weight == 0:
            raise CannotFeed("no image with tags has a valid pixel")
        mean = first / weight
        deviation = (second / weight - mean.square()).clamp_min(0).sqrt()
        return mean.float(), deviation.clamp_min(1e-6).float()

    def _pool(
        self,
        samples: Sequence[Sample],
        mean: Tensor,
        scale: Tensor,
        known: dict[str, dict[int, float]],
        learnt: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        """Pooled features (n, d) of every view of every image, and its tags (n, k), NaN where unknown."""
        pooled, targets, done = [], [], 0
        for chunk in self._chunks(samples):
            self.context.progress(done, len(samples), f"reading features of {chunk[0].name}")
            own: list[list[Tensor]] = [[] for _ in chunk]
            for i, view in views_of_all(chunk, self.context, self.params.scales, flip=False):
                own[i].append(self._standardised(view, mean, scale).pooled())
            for sample, vectors in zip(chunk, own, strict=True):
                tags = [known[sample.name].get(k, float("nan")) for k in learnt]
                pooled += vectors
                targets += [torch.tensor(tags, device=self._device)] * len(vectors)
                sample.forget()
            done += len(chunk)
        self.context.progress(len(samples), len(samples), "reading features")
        return torch.stack(pooled), torch.stack(targets)

    def _chunks(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        return (samples[i : i + self.together] for i in range(0, len(samples), self.together))

    def _train(self, pooled: Tensor, targets: Tensor) -> nn.Module:
        """Multi-label soft margin over the known tags; all images at once, so that nothing is drawn at random."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.context.seed)
            head = self.network(pooled.shape[1], targets.shape[1]).to(self._device)
        optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=self.params.weight_decay)
        known = ~targets.isnan()
        for step in range(self.params.steps):
            if step % 50 == 0:
                self.context.progress(step, self.params.steps, "training the head")
            loss = F.binary_cross_entropy_with_logits(head(pooled)[known], targets[known])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        self.context.progress(self.params.steps, self.params.steps, "training the head")
        return head

    # ------------------------------------------------------------------ maps

    def __call__(self, sample: Sample, state: State) -> Cam:
        """Maps of the classes that are in the image.

        Raises
        ------
        CannotFeed
            If no class is known to be in the image, or none of them could be learnt.
        """
        (cam,) = self.call_batch([sample], state)
        if isinstance(cam, CannotFeed):
            raise cam
        return cam

    def call_batch(self, samples: Sequence[Sample], state: State) -> list[Cam | CannotFeed]:
        """What single calls give, or would raise; images of one shape go through the encoder together, view by view."""
        asked: dict[int, _Asked] = {}
        results: dict[int, Cam | CannotFeed] = {}
        for number, sample in enumerate(samples):
            try:
                asked[number] = self._asked(sample, state)
            except CannotFeed as reason:
                results[number] = reason
        busy = [n for n, one in asked.items() if one.rows and not samples[n].image.is_flat]
        means = self._raw_maps([samples[n] for n in busy], state, [asked[n].rows for n in busy])
        found = dict(zip(busy, means, strict=True))
        for number, one in asked.items():
            raw = torch.zeros(len(one.shown), *samples[number].image.shape, device=self._device)
            if number in found:
                raw[list(one.places)] = found.pop(number)
            results[number] = self._finish(samples[number], one.shown, raw)
        return [results[n] for n in range(len(samples))]

    def _asked(self, sample: Sample, state: State) -> _Asked:
        """Which maps the image needs; raises CannotFeed where its tags do not say, or nothing was learnt of them."""
        known = known_tags(sample, self.context.classes)
        present = tuple(k for k, there in known.items() if there)
        if not present and not sample.labels.tags.complete:
            raise CannotFeed(f"{sample.name}: no tag says which classes are in it; give it tags")
        order = state["classes"].tolist()
        learnt = tuple(k for k in present if k in order)
        if present and not learnt:
            names = ", ".join(self.context.classes[k].name for k in present)
            raise CannotFeed(f"{sample.name}: no other image is known to lack {names}, so its place cannot be learnt")
        # Without a background each pixel goes to the strongest present class, one that is everywhere included:
        # its map stays at the level of an average token.
        shown = learnt if self.context.classes.background is not None else present
        return _Asked(shown, tuple(shown.index(k) for k in learnt), tuple(order.index(k) for k in learnt))

    def _raw_maps(self, samples: Sequence[Sample], state: State, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """For each image the mean over its views of the raw maps at image size, (its rows, h, w)."""
        if not samples:
            return []
        head = self._head(state)
        mean, scale = (torch.tensor(state[name], device=self._device) for name in ("mean", "scale"))
        totals = [torch.zeros(len(r), *s.image.shape, device=self._device) for s, r in zip(samples, rows, strict=True)]
        counts = [0] * len(samples)
        for i, view in views_of_all(samples, self.context, self.params.scales, self.params.flip):
            part = self.activation(self._standardised(view, mean, scale), head, rows[i])
            part = part.flip(2) if view.flipped else part
            totals[i] += F.interpolate(part[None], totals[i].shape[1:], mode="bilinear", align_corners=False)[0]
            counts[i] += 1
        return [total / count for total, count in zip(totals, counts, strict=True)]

    def _head(self, state: State) -> nn.Module:
        head = self.network(len(state["mean"]), len(state["classes"]))
        arrays = {n.removeprefix("head."): torch.tensor(a) for n, a in state.items() if n.startswith("head.")}
        head.load_state_dict(arrays)
        return head.to(self._device).eval()

    def _finish(self, sample: Sample, shown: tuple[int, ...], raw: Tensor) -> Cam:
        background = self.context.classes.background
        valid = torch.tensor(sample.image.valid, device=self._device)
        scores = normalised(raw, valid, together=background is None)
        allow = torch.tensor(sample.target.allow[[k - 1 for k in shown]], device=self._device)
        scores = scores * allow
        best = torch.where(valid, raw, -torch.inf).flatten(1).amax(1) if valid.any() else raw.flatten(1).amax(1)
        maps: Float = scores.cpu().numpy()
        seeds = dual_threshold_seeds(
            maps,
            shown,
            sample.image.rgb,
            background,
            self.params.t_hi,
            self.params.t_lo,
            sample.image.valid,
            self.context.device,
        )
        if not shown and background is not None:
            seeds[sample.image.valid] = background  # the complete list names nothing else
        return Cam(maps, shown, best.clamp_min(0).cpu().numpy().astype(np.float32), seeds)

    # ------------------------------------------------------------------ tokens

    def _raw(self, view: View) -> Tokens:
        data = torch.tensor(view.features.data, dtype=torch.float32, device=self._device)
        valid = torch.tensor(view.valid, dtype=torch.float32, device=self._device)
        share = F.adaptive_avg_pool2d(valid[None, None], (data.shape[1], data.shape[2]))[0, 0]
        return Tokens(data, share / share.sum().clamp_min(1e-9))

    def _standardised(self, view: View, mean: Tensor, scale: Tensor) -> Tokens:
        """Features in standard deviations.

        With a background class zero stays the encoder's own zero, "nothing seen", for a map says how much of
        the class there is; without one, maps compete and zero is the project's average token.
        """
        tokens = self._raw(view)
        mean, scale = mean.view(-1, 1, 1), scale.view(-1, 1, 1)
        data = tokens.data.sub_(mean).div_(scale).clamp_(-_CLIP, _CLIP)
        if self.context.classes.background is not None:
            data += mean / scale
        return Tokens(data, tokens.share)


def normalised(raw: Tensor, valid: Tensor, together: bool) -> Tensor:
    """Raw maps (k, h, w) to [0, 1], 0 outside ``valid``.

    Each map on its own: negative values are cut off and the maximum becomes 1. ``together``: one shift and
    one factor for all, so that the strongest class of a pixel stays the strongest.
    """
    if raw.shape[0] == 0 or not bool(valid.any()):
        return torch.zeros_like(raw)
    inside = raw[:, valid]
    if together:
        low, high = inside.min(), inside.max()
        if float(high - low) <= 1e-9:
            return torch.zeros_like(raw)
        return ((raw - low) / (high - low)).clamp(0, 1) * valid
    high = inside.amax(1).view(-1, 1, 1)
    return torch.where(high > 1e-9, raw / high.clamp_min(1e-9), 0).clamp(0, 1) * valid
