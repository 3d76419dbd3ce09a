"""The pictures of one image, in the order of the work: hints, maps, pseudo-labels, mask, what changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_wsss.pictures import (
    RGB,
    class_heat,
    colours_of,
    difference,
    draw_hints,
    errors,
    overlay,
    resized,
    resized_labels,
    resized_scores,
    scale_to,
)
from napari_wsss.report.contents import ReportImage
from napari_wsss.types import Cam, Classes, Labels, Mask

LONGEST = 512  # pixels of a picture's longer side


class Shown(NamedTuple):
    """A picture, its caption and one sentence on how to read it."""

    caption: str
    meaning: str
    picture: RGB


class Row(NamedTuple):
    """An image's pictures, and the pixels of every class id 0..K in its finished mask (None = no mask)."""

    pictures: tuple[Shown, ...]
    pixels: tuple[int, ...] | None


def row_of(image: ReportImage, classes: Classes, longest: int = LONGEST) -> Row:
    """Load one image's results and draw them; nothing is kept."""
    colours = colours_of(classes)
    rgb = image.rgb()
    factor = scale_to((rgb.shape[0], rgb.shape[1]), longest)
    small = resized(rgb, factor)
    hinted = draw_hints(small, image.hints, colours, factor)
    shown = [Shown("Image and hints" if image.hints.marks else "Image", "points, strokes and boxes as given", hinted)]
    if (cam := image.cam()) is not None and cam.classes:
        shown.append(_cam(small, cam, classes, factor))
    pseudo, mask, truth = image.pseudo(), image.mask(), image.truth()
    if pseudo is not None:
        picture = overlay(small, resized_labels(pseudo, factor), colours, faint=classes.background)
        shown.append(Shown("Pseudo-labels", "untinted = the label model does not answer", picture))
    if mask is not None:
        ids = None if mask.instances is None else resized_labels(mask.instances, factor)
        picture = overlay(small, resized_labels(mask.labels, factor), colours, 0.45, ids, classes.background)
        shown.append(Shown("Refined mask", "white lines part touching objects", picture))
    if (change := _change(small, pseudo, mask, truth, factor)) is not None:
        shown.append(change)
    return Row(tuple(shown), None if mask is None else _pixels(mask.labels, len(classes)))


def _cam(small: RGB, cam: Cam, classes: Classes, factor: float) -> Shown:
    scores = resized_scores(cam.scores, factor)
    names = ", ".join(classes[k].name for k in cam.classes)
    meaning = f"brighter = more like {names}" if len(cam.classes) == 1 else "colour of the strongest class"
    return Shown("Activation maps", meaning, class_heat(small, scores, cam.classes, colours_of(classes)))


def _change(small: RGB, pseudo: Labels | None, mask: Mask | None, truth: Labels | None, factor: float) -> Shown | None:
    answer = mask.labels if mask is not None else pseudo
    if truth is not None and answer is not None:
        known = max(int(np.count_nonzero(truth)), 1)
        wrong = int(np.count_nonzero((truth > 0) & (answer != truth))) / known
        picture = errors(small, resized_labels(truth, factor), resized_labels(answer, factor))
        return Shown("Against the truth", f"red = wrong, amber = no answer; {wrong:.1%} of the known pixels", picture)
    if pseudo is None or mask is None:
        return None
    share = np.count_nonzero(pseudo != mask.labels) / max(pseudo.size, 1)
    picture = difference(small, resized_labels(pseudo, factor), resized_labels(mask.labels, factor))
    meaning = f"green = gained, red = lost, amber = another class; {share:.1%} of the pixels"
    return Shown("Changed by refinement", meaning, picture)


def _pixels(labels: Labels, classes: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.bincount(labels.ravel(), minlength=classes + 1))
