"""The objects that a person pointed at or boxed, as the embedded model sees them; shared by two stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss.models.embedded.many import Cutout, predict_many
from napari_wsss.models.embedded.predictor import EmbeddedPredictor
from napari_wsss.models.prompts import Prompt
from napari_wsss.models.recent import Recent
from napari_wsss.types import Classes, Image, Point, Progress, WeakLabels, no_progress

IMAGES_KEPT = 128
"""Of so many images the answers are remembered."""

MANY = 12
"""More objects than these in one image are small, and looked for in the finest frame alone."""

_OTHERS, _REACH = 6, 64  # clicks of other classes that go along with a prompt, and how near in pixels they are
_answers = Recent[list[Cutout]](IMAGES_KEPT)


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """An object's class, and what the model made of the click or the box."""

    class_id: int
    cutout: Cutout


def asked(
    predictor: EmbeddedPredictor, image: Image, labels: WeakLabels, classes: Classes, progress: Progress = no_progress
) -> list[Asked]:
    """Each point and each unfilled box outside the class ``background``, answered by the model.

    A click is asked together with the nearest clicks of other classes, as negative ones. In a project without a
    class ``background`` a click names a surface as often as an object, so nothing is asked there.

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
    if not named:
        return []
    prompts = [prompt for _, prompt in named]
    return [Asked(c, cutout) for (c, _), cutout in zip(named, _answered(predictor, image, prompts, progress))]


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
