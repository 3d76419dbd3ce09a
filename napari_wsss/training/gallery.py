"""The project's images and labels as the trainer sees them: a snapshot of what is labelled now, loaded when needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.project import ImageRecord, Project
from napari_wsss.trained import Feed
from napari_wsss.types import Bool, Float, Labels, Mask, PseudoLabels, digest
from napari_wsss.weak_labels import compile_target

_HELD_BYTES = 1 << 30


@dataclass(frozen=True, eq=False, slots=True)
class Shown:
    """One image as the trainer holds it.

    Attributes
    ----------
    x : float16 or float32 (c, h', w')
        Input of the network, not normalised; ``step`` image pixels a cell.
    valid : bool (h, w)
    seed : uint16 (h, w)
        What a person gave; 0 = nothing.
    allow : bool (K, h, w) or None
        Classes that are still possible; None = all everywhere.
    noisy : uint16 (h, w) or None
        Pseudo-labels that nobody reviewed.
    sureness : float16 (h, w)
        Of ``noisy``, in [0, 1].
    """

    name: str
    x: NDArray[np.floating]
    step: int
    valid: Bool
    seed: Labels
    allow: Bool | None
    noisy: Labels | None
    sureness: NDArray[np.float16] | None

    @property
    def bytes(self) -> int:
        arrays = (self.x, self.valid, self.seed, self.noisy, self.sureness)
        return sum(a.nbytes for a in arrays if a is not None) + (0 if self.allow is None else self.allow.size)


@dataclass(frozen=True)
class Snapshot:
    """Who is labelled at one moment.

    Attributes
    ----------
    taught : names of images with labels to learn from
    held_out : names of images that choose the weights, never trained on
    bare : names of all other images
    labels : name to digest of its labels and pseudo-labels
    shapes : name to (h, w)
    """

    taught: tuple[str, ...]
    held_out: tuple[str, ...]
    bare: tuple[str, ...]
    labels: dict[str, str]
    shapes: dict[str, tuple[int, int]]

    @property
    def everyone(self) -> tuple[str, ...]:
        """Whose pixels may be looked at without their labels: all but the held-out images."""
        return (*self.taught, *self.bare)


def snapshot(project: Project, share: float, seed: int, noisy: bool) -> Snapshot:
    """What there is to learn from now."""
    records = [r for r in project.records() if r.state != "skipped"]
    keys = project.result_keys("refined") if noisy else {}
    kept_out = held_out(records, share, seed)
    taught = tuple(r.name for r in records if r.name not in kept_out and (r.labels_digest or r.name in keys))
    told = {r.name: digest(r.key, r.labels_digest, keys.get(r.name, "")) for r in records}
    bare = tuple(r.name for r in records if r.name not in kept_out and r.name not in taught)
    return Snapshot(taught, tuple(sorted(kept_out)), bare, told, {r.name: r.shape for r in records})


def held_out(records: Sequence[ImageRecord], share: float, seed: int) -> frozenset[str]:
    """Accepted images that are kept from training: those whose own seeded number lies below the share.

    The number depends on the image alone, so that accepting more never moves an image that was trained on
    to the other side. Where four or more are accepted and none is drawn, the lowest of them stands in.
    """
    accepted = [r for r in records if r.state == "accepted"]
    if share <= 0 or len(accepted) < 4:
        return frozenset()
    number = {r.name: int(digest(str(seed), r.sha256, r.plane)[:12], 16) / 16**12 for r in accepted}
    chosen = frozenset(name for name, n in number.items() if n < share)
    return chosen or frozenset({min(number, key=number.__getitem__)})


class Gallery:
    """Loads images for the trainer and keeps the last used, bounded in bytes."""

    def __init__(self, project: Project, feed: Feed, noisy: bool) -> None:
        self.project, self.feed, self.noisy = project, feed, noisy
        self._held: OrderedDict[str, tuple[str, Shown]] = OrderedDict()
        self.unreadable: dict[str, str] = {}

    def __call__(self, name: str, told: str) -> Shown | None:
        """The image with the labels of this digest; None (and a line in ``unreadable``) if it cannot be read."""
        held = self._held.get(name)
        if held is not None and held[0] == told:
            self._held.move_to_end(name)
            return held[1]
        try:
            shown = self._load(name)
        except (UnreadableImage, UsageError) as reason:
            self.unreadable[name] = str(reason)
            return None
        self._held[name] = told, shown
        while len(self._held) > 1 and sum(s.bytes for _, s in self._held.values()) > _HELD_BYTES:
            self._held.popitem(last=False)
        return shown

    def fed(self, feed: Feed) -> Gallery:
        """The same images through another feed; what is held already and has its channels is not loaded again."""
        other = Gallery(self.project, feed, self.noisy)
        kept = ((name, held) for name, held in self._held.items() if len(held[1].x) == feed.recipe.channels)
        other._held = OrderedDict(kept)
        return other

    def _load(self, name: str) -> Shown:
        image = self.project.image(name)
        x, step = self.feed(image)
        labels = self.project.labels(name)
        radius = self.project.settings.point_radius
        target = compile_target(labels, self.project.classes, image.shape, image.valid, point_radius=radius)
        allow = None if target.allow[:, image.valid].all() else np.ascontiguousarray(target.allow)
        seed = target.seed
        if int(seed.max(initial=0)) > len(self.project.classes):  # a class that was added after the run began
            seed = np.where(seed > len(self.project.classes), 0, seed).astype(np.uint16)
        noisy, sureness = self._pseudo(name) if self.noisy else (None, None)
        kept: Float | NDArray[np.float16] = x.astype(np.float16) if step > 1 else x
        return Shown(name, kept, step, image.valid, seed, allow, noisy, sureness)

    def _pseudo(self, name: str) -> tuple[Labels | None, NDArray[np.float16] | None]:
        """The refined mask, as sure as the label model was of it."""
        refined, pseudo = self.project.result(name, "refined"), self.project.result(name, "pseudo")
        if not isinstance(refined, Mask):
            return None, None
        if not isinstance(pseudo, PseudoLabels):
            return refined.labels, np.ones(refined.labels.shape, np.float16)
        index = np.maximum(refined.labels.astype(np.intp) - 1, 0)[None]
        own = np.take_along_axis(pseudo.probabilities, index, 0)[0]
        return refined.labels, own
