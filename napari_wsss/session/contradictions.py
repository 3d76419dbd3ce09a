"""Where what a person said and what the pseudo-labels say do not agree."""

from __future__ import annotations

import numpy as np

from napari_wsss.types import Bool, Classes, Point, PseudoLabels, WeakLabels
from napari_wsss.weak_labels import compile_target

_AROUND = 4  # pixels around a click in which the pseudo-labels are asked, and by which a contradiction is shown
_OTHERS = 0.75  # share of other classes around a click from which it stands alone


def contradictions(labels: WeakLabels, classes: Classes, pseudo: PseudoLabels, point_radius: float) -> Bool:
    """Pixels that a person and the pseudo-labels see differently, bool (h, w).

    Three kinds: pixels that were given another class since the pseudo-labels were computed; clicks around which
    they answer other classes (a label model never answers against a click itself); and pairs of marks that look
    alike but are of different classes.
    """
    shape = pseudo.labels.shape[0], pseudo.labels.shape[1]
    given = compile_target(labels, classes, shape, point_radius=point_radius).seed
    found: Bool = (given > 0) & (pseudo.labels > 0) & (given != pseudo.labels)
    for point in labels.points:
        if _alone(point, pseudo, point_radius):
            _mark(found, point.y, point.x)
    for pair in pseudo.contradictions:
        for y, x in (pair.first, pair.second):
            _mark(found, y, x)
    return found


def _alone(point: Point, pseudo: PseudoLabels, point_radius: float) -> bool:
    """Whether the answers in a ring around the click's disc are of other classes."""
    reach = int(np.ceil(point_radius)) + _AROUND
    y0, x0 = max(point.y - reach, 0), max(point.x - reach, 0)
    part = pseudo.labels[y0 : point.y + reach + 1, x0 : point.x + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    away = np.hypot(rows + y0 - point.y, columns + x0 - point.x)
    ring = part[(away > point_radius + 0.5) & (away <= reach)]
    answered = ring[ring > 0]
    return len(answered) * 2 >= len(ring) > 0 and float((answered != point.class_id).mean()) >= _OTHERS


def _mark(found: Bool, y: int, x: int) -> None:
    y0, x0 = max(y - _AROUND, 0), max(x - _AROUND, 0)
    part = found[y0 : y + _AROUND + 1, x0 : x + _AROUND + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    part[np.hypot(rows + y0 - y, columns + x0 - x) <= _AROUND] = True
