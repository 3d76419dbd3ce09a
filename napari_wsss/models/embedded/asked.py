"""The objects that a person pointed at, stroked or boxed, as the embedded model sees them; shared by two stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss.models.embedded.many import Cutout, predict_many
from napari_wsss.models.embedded.predictor import EmbeddedPredictor
from napari_wsss.models.embedded.strokes import believed, pieces, stroked
from napari_wsss.models.prompts import Prompt
from napari_wsss.models.recent import Recent
from napari_wsss.types import Classes, Image, Point, Progress, WeakLabels, no_progress

IMAGES_KEPT, KEPT_BYTES = 128, 2**28
"""Of so many images the answers are remembered, as long as they are no larger together."""

MANY = 12
"""More objects than these in one image are small, and looked for in the finest frame alone."""

_OTHERS, _REACH = 6, 64  # clicks of other classes that go along with a prompt, and how near in pixels they are
_answers = Recent[list[Cutout]](IMAGES_KEPT, lambda cutouts: sum(c.logits.nbytes for c in cutouts), KEPT_BYTES)


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """An object's class, and what the model made of the click or the box."""

    class_id: int
    cutout: Cutout


def asked(
    predictor: EmbeddedPredictor, image: Image, labels: WeakLabels, classes: Classes, progress: Progress = no_progress
) -> list[Asked]:
    """Each point, each stroke and each unfilled box outside the class ``background``, answered by the model.

    A click is asked together with the nearest clicks of other classes, as negative ones. In a project without a
    class ``background`` a click names a surface as often as an object, so nothing is asked there. Of strokes only
    those answers come that the rest of the stroke bears out (:func:`strokes.believed`).

    Parameters
    ----------
    predictor : EmbeddedPredictor
    image : Image
    labels : WeakLabels
    classes : Classes
    progress : callable
        May raise Cancelled.
    """
    ground = classes.background
    if ground is None:
        return []
    nothing = (np.zeros((0, 2), np.int64), np.zeros(0, bool))
    named = [(p.class_id, _prompt(p, labels.points)) for p in labels.points]
    named += [(b.class_id, Prompt(*nothing, (b.y0, b.x0, b.y1, b.x1))) for b in labels.boxes if not b.fill]
    named = [(class_id, prompt) for class_id, prompt in named if class_id != ground]
    raster = stroked(labels, image.shape)
    strokes = list(pieces(raster, ground))
    prompts = [prompt for _, prompt in named] + [stroke.prompt for stroke in strokes]
    if not prompts:
        return []
    cutouts = _answered(predictor, image, prompts, progress)
    pointed, drawn = cutouts[: len(named)], cutouts[len(named) :]
    kept = zip(strokes, drawn, believed(strokes, drawn, raster), strict=True)
    return [
        *(Asked(class_id, cutout) for (class_id, _), cutout in zip(named, pointed, strict=True)),
        *(Asked(stroke.class_id, cutout) for stroke, cutout, is_believed in kept if is_believed),
    ]


def _answered(predictor: EmbeddedPredictor, image: Image, prompts: list[Prompt], progress: Progress) -> list[Cutout]:
    def ask() -> list[Cutout]:
        embed = predictor.embed_finest if len(prompts) > MANY else predictor.embed
        return predict_many(predictor, embed(image), prompts, progress)

    if not image.key:
        return ask()
    said = tuple((p.points.tobytes(), p.positive.tobytes(), p.box) for p in prompts)
    return _answers.made((predictor.model, image.key, said), ask)


def _prompt(point: Point, points: tuple[Point, ...]) -> Prompt:
    """The click, and the nearest ones that name another class."""
    others = [p for p in points if p.class_id != point.class_id]
    distance = np.array([max(abs(p.y - point.y), abs(p.x - point.x)) for p in others])
    near = [others[i] for i in np.argsort(distance, kind="stable")[:_OTHERS] if distance[i] < _REACH]
    places = np.array([(p.y, p.x) for p in (point, *near)], np.int64)
    return Prompt(places, np.arange(len(places)) == 0)
