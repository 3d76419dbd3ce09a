"""Segment Anything: prompts made from each object, proposals that vote, or one phrase for the whole folder.

Weights are the user's: published Segment Anything or MobileSAM checkpoints, or fine-tuned ones of their
shapes. What masks from real weights are worth was not measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_wsss.errors import CannotFeed
from napari_wsss.models.prompts import PromptPredictor
from napari_wsss.models.sam import load_sam
from napari_wsss.protocols import Context, TextEncoder
from napari_wsss.refiners._acceptance import judge, together
from napari_wsss.refiners._gensam import phrase_heat, progressive
from napari_wsss.refiners._prompts import Object, objects, prompts_for
from napari_wsss.refiners._voting import propose, vote_faithful, vote_joint
from napari_wsss.types import Bool, Float, Labels, Mask, PseudoLabels, Sample, State


@dataclass(frozen=True)
class SamRefinerParams:
    """Settings; see `SamRefiner`."""

    weights: str = "mobile_sam"
    mode: Literal["prompts", "vote", "phrase"] = "prompts"
    min_area: int = 16
    grid: int = 16
    faithful: bool = False
    phrase: str = ""
    passes: int = 6
    reweight: bool = True

    def __post_init__(self) -> None:
        for name in ("min_area", "grid", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")


class SamRefiner:
    """Refines pseudo-labels with a model of Segment Anything.

    Parameters
    ----------
    params : SamRefinerParams
        weights : name in the catalogue or path of a checkpoint.
        mode : ``prompts`` asks for each object of the pseudo-label and takes the answer only if it passes
        four checks; ``vote`` lets proposals from a grid of points claim classes; ``phrase`` needs no
        pseudo-label but an encoder that knows text.
        min_area : components with fewer pixels are not asked for.
        grid : points along the longer side for ``vote``.
        faithful : ``vote`` as published, which depends on the order of the classes.
        phrase : for ``phrase``: what to look for, in a project with one foreground class; empty = the
        class's own phrases.
        passes, reweight : for ``phrase``: most passes, and whether each weights the image by its mask.
    context : Context
    predictor : PromptPredictor, optional
        In place of the weights.
    """

    Params = SamRefinerParams

    def __init__(self, params: SamRefinerParams, context: Context, predictor: PromptPredictor | None = None) -> None:
        self.params, self.context = params, context
        self._notes: tuple[str, ...] = ()
        if predictor is None:
            predictor = loaded = load_sam(params.weights, context.device)
            self._notes = loaded.notes
        self.predictor = predictor

    @property
    def model(self) -> str:
        return self.predictor.model

    def __call__(self, sample: Sample, state: State) -> Mask:
        """A finished mask of one image.

        Raises
        ------
        CannotFeed
            If there is no pseudo-label, or for ``phrase`` no encoder that knows text.
        """
        if self.params.mode == "phrase":
            labels, notes = self._by_phrase(sample)
        else:
            pseudo = sample.pseudo
            if pseudo is None:
                raise CannotFeed(f"{sample.name}: the refiner sam needs pseudo-labels; run the stage pseudo first")
            refine = self._by_prompts if self.params.mode == "prompts" else self._by_votes
            labels, notes = refine(sample, pseudo)
        return Mask(self._as_a_person_said(labels, sample), None, self._notes + notes)

    def _as_a_person_said(self, labels: Labels, sample: Sample) -> Labels:
        seed = sample.target.seed
        kept: Labels = np.where(seed > 0, seed, labels).astype(np.uint16)
        kept[~sample.image.valid] = 0
        return kept

    # ----------------------------------------------------------------------- prompts

    def _by_prompts(self, sample: Sample, pseudo: PseudoLabels) -> tuple[Labels, tuple[str, ...]]:
        foreground = self.context.classes.foreground
        things = objects(pseudo.labels, foreground, sample.labels.points, self.params.min_area)
        if not things:
            return pseudo.labels, ()
        embedding = self.predictor.embed(sample.image)
        painted: list[tuple[Object, Bool | None]] = []
        notes = []
        for done, thing in enumerate(things):
            self.context.progress(done, len(things), "objects")
            belief = pseudo.probabilities[thing.class_id - 1].astype(np.float32)
            prompts = prompts_for(thing, belief, pseudo.labels, self.predictor.side)
            answers = together([self.predictor.predict(embedding, p) for p in prompts])
            possible = sample.target.allow[thing.class_id - 1] & sample.image.valid
            verdict = judge(thing, answers, sample.target.seed, possible)
            painted.append((thing, verdict.mask if verdict.accepted else None))
            if not verdict.accepted:
                notes.append(self._rejection(thing, verdict.reason))
        return _paint(pseudo.labels, painted, self.context.classes.background or 0), tuple(notes)

    def _rejection(self, thing: Object, reason: str) -> str:
        y, x = thing.centre
        return f"SAM rejected: {self.context.classes[thing.class_id].name} at {y},{x}: {reason}"

    # ----------------------------------------------------------------------- votes

    def _by_votes(self, sample: Sample, pseudo: PseudoLabels) -> tuple[Labels, tuple[str, ...]]:
        embedding = self.predictor.embed(sample.image)
        found = propose(self.predictor, embedding, self.params.grid, self.context.progress)
        classes = self.context.classes
        if self.params.faithful:
            labels = vote_faithful(pseudo.labels, found, classes.foreground, classes.background or 0)
            note = f"SAM proposals: {len(found)}, voted as published"
        else:
            belief = pseudo.probabilities.astype(np.float32)
            labels, owners = vote_joint(pseudo.labels, belief, found, classes.foreground)
            owned = sum(1 for owner in owners if owner)
            unsure = int(((labels == 0) & (pseudo.labels != 0)).sum())
            note = f"SAM proposals: {owned} of {len(found)} claimed; {unsure} pixels are left open"
        return _only_allowed(labels, pseudo.labels, sample), (note,)

    # ----------------------------------------------------------------------- phrase

    def _by_phrase(self, sample: Sample) -> tuple[Labels, tuple[str, ...]]:
        encoder, features = self.context.encoder, self.context.features
        text: object = encoder
        if encoder is None or not isinstance(text, TextEncoder):
            raise CannotFeed(f"{sample.name}: mode phrase needs an encoder that knows text, for example open_clip")
        classes = self.context.classes
        if self.params.phrase and len(classes.foreground) != 1:
            raise CannotFeed(f"{sample.name}: one phrase serves a project with one class besides the background")
        best: Float = np.full(sample.image.shape, 0.5, np.float32)
        labels: Labels = np.full(sample.image.shape, classes.background or 0, np.uint16)
        notes = []
        for class_id in classes.foreground:
            words, against = self._words(class_id)
            encode = encoder.encode if features is None or self.params.reweight else features
            heat = phrase_heat(text, encode, words, against)
            found = progressive(
                sample.image, heat, self.predictor, self.params.passes, self.params.reweight, self.context.progress
            )
            if found is None:
                notes.append(f"SAM rejected: {classes[class_id].name}: its words say nothing about this image")
                continue
            belief = found.soft[found.chosen]
            here = found.mask & (belief > best) & sample.target.allow[class_id - 1]
            labels[here], best[here] = class_id, belief[here]
        return labels, tuple(notes)

    def _words(self, class_id: int) -> tuple[list[str], list[str]]:
        """Phrases of a class, and those of all others."""
        words = {c.id: list(c.phrases) or [c.name] for c in self.context.classes}
        own = [self.params.phrase] if self.params.phrase else words[class_id]
        return own, [w for other, several in words.items() if other != class_id for w in several]


def _paint(labels: Labels, painted: list[tuple[Object, Bool | None]], rest: int) -> Labels:
    """Exchange accepted objects; the smaller lies on top. Kept objects are painted as they were."""
    out = labels.copy()
    for thing, mask in painted:
        if mask is not None:
            out[thing.window()][thing.mask] = rest
    areas = [int(mask.sum()) if mask is not None else thing.area for thing, mask in painted]
    for index in sorted(range(len(painted)), key=lambda i: -areas[i]):
        thing, mask = painted[index]
        if mask is not None:
            out[mask] = thing.class_id
        else:
            out[thing.window()][thing.mask] = thing.class_id
    return out


def _only_allowed(labels: Labels, before: Labels, sample: Sample) -> Labels:
    """Where the vote gave a class that cannot be there, the pseudo-label stays."""
    ids = np.arange(1, len(sample.target.allow) + 1)[:, None, None]
    wrong = ((labels == ids) & ~sample.target.allow).any(0)
    return np.where(wrong, before, labels).astype(np.uint16)


METHOD = SamRefiner
