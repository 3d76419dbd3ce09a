"""The walker's mask, with every clicked or boxed object as the model that ships with the product sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_wsss.models.embedded.asked import Asked, asked
from napari_wsss.models.embedded.predictor import load_embedded
from napari_wsss.protocols import Context
from napari_wsss.refiners.walker import Walker
from napari_wsss.types import Bool, Labels, Mask, Sample, State


@dataclass(frozen=True)
class EmbeddedRefinerParams(Walker.Params):
    """Settings; see `EmbeddedRefiner`. The walker's are its own."""

    weights: str = "embedded"
    trust: float = 0.75

    def __post_init__(self) -> None:
        Walker.Params.__post_init__(self)
        if not 0 <= self.trust <= 1:
            raise ValueError("trust must be between 0 and 1")


class EmbeddedRefiner:
    """Refines pseudo-labels with a random walker, then asks the embedded model for each object that a person named.

    A point or a box names an object. The model's mask is painted where the model itself expects it to be
    good; smaller objects lie on top. Everything else is the walker's answer. In a project without a class
    ``background`` a click names a surface as often as an object, so nothing is asked there.

    Parameters
    ----------
    params : EmbeddedRefinerParams
        weights : ``embedded``, or a file that the model's own program wrote.
        edge, prior, alone, iterations, levels : of the walker.
        trust : estimated IoU below which a mask is not painted.
    context : Context
    """

    Params = EmbeddedRefinerParams
    parallel: ClassVar[bool] = True  # calls share only what is locked

    def __init__(self, params: EmbeddedRefinerParams, context: Context) -> None:
        self.params, self.context = params, context
        self._walker = Walker(params, context)
        self._predictor = load_embedded(params.weights, context.device)

    @property
    def model(self) -> str:
        return self._predictor.model

    def __call__(self, sample: Sample, state: State) -> Mask:
        """The finished mask of one image.

        Raises
        ------
        CannotFeed
            Where the image has no pseudo-labels.
        """
        base = self._walker(sample, state)
        if sample.image.is_flat:
            return base
        objects = asked(self._predictor, sample.image, sample.labels, self.context.classes, self.context.progress)
        trusted = [thing for thing in objects if thing.cutout.iou >= self.params.trust]
        target, valid = sample.target, sample.image.valid
        labels = _painted(base.labels, trusted, target.allow)
        labels = np.where(valid, np.where(target.seed > 0, target.seed, labels), 0).astype(np.uint16)
        left = len(objects) - len(trusted)
        notes = (f"embedded: {left} of {len(objects)} objects not painted, estimated IoU too low",) if left else ()
        return Mask(labels, base.instances, base.notes + notes)


def _painted(labels: Labels, objects: Sequence[Asked], allow: Bool) -> Labels:
    """Objects over the labels, large ones first, so that small ones lie on top."""
    out = labels.copy()
    for thing in sorted(objects, key=lambda thing: -int(thing.cutout.mask.sum())):
        y0, x0, y1, x1 = thing.cutout.box
        allowed = allow[thing.class_id - 1, y0:y1, x0:x1]
        out[y0:y1, x0:x1][thing.cutout.mask & allowed] = thing.class_id
    return out


METHOD = EmbeddedRefiner
