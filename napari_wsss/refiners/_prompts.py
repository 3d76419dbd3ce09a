"""From one object of a pseudo-label to a prompt: box, adaptive points and mask logits (methods.md C.0, C.3).

Points after APS of GPRN (Tong et al.), with a disc suppressed at each point instead of one pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.models.prompts import Prompt, to_lowres
from napari_wsss.types import Bool, Box4, Float, Labels, Point

POINTS = 3
"""Most points of either sign that the builder adds to what a person clicked."""

_THINNEST = 1.5
_SUPPRESSED = 0.5
_MARGIN, _LEAST_MARGIN = 0.05, 2
_SURE = 0.98
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False, slots=True)
class Object:
    """One connected component of one class of a pseudo-label.

    ``mask`` (h, w) bool is cut out at ``box``; ``clicks`` are (n, 2) pixels (y, x) of the whole image:
    ``inside`` a person's points of the class on the object, ``outside`` those of other classes within
    the expanded box.
    """

    class_id: int
    box: Box4
    mask: Bool
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def centre(self) -> tuple[int, int]:
        """A pixel for messages: the middle of the box."""
        return (self.box[0] + self.box[2]) // 2, (self.box[1] + self.box[3]) // 2

    def window(self) -> tuple[slice, slice]:
        return slice(self.box[0], self.box[2]), slice(self.box[1], self.box[3])


def aps_points(mask: Bool, weight: Float, n: int, radius: float = _SUPPRESSED) -> NDArray[np.int64]:
    """Points deep inside a region, each in a part that the earlier ones do not serve.

    Repeatedly the maximum of (distance to the border) x weight is taken and a disc of ``radius`` times
    that distance is suppressed. The image's border counts as background, so that an object cut by it
    gets no point on it. Ends early where less than 1.5 pixels of depth are left.

    Parameters
    ----------
    mask : bool (h, w)
    weight : float32 (h, w)
        How sure each pixel is; not negative.
    n : int
        Most points.

    Returns
    -------
    int64 (k, 2)
        (y, x), k <= n; ties go to the first pixel in reading order.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    score = np.where(depth >= _THINNEST, depth * weight, 0.0)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    found: list[tuple[int, int]] = []
    while len(found) < n and score.max(initial=0.0) > 0:
        y, x = divmod(int(score.argmax()), mask.shape[1])
        found.append((y, x))
        score[(rows - y) ** 2 + (columns - x) ** 2 <= (radius * depth[y, x]) ** 2] = 0.0
    return np.array(found, np.int64).reshape(-1, 2)


def expanded(box: Box4, shape: tuple[int, int]) -> Box4:
    """The box with 5 % more on each side, at least 2 pixels, within the image."""
    y0, x0, y1, x1 = box
    dy = max(_LEAST_MARGIN, math.ceil(_MARGIN * (y1 - y0)))
    dx = max(_LEAST_MARGIN, math.ceil(_MARGIN * (x1 - x0)))
    return max(0, y0 - dy), max(0, x0 - dx), min(shape[0], y1 + dy), min(shape[1], x1 + dx)


def objects(labels: Labels, classes: tuple[int, ...], points: tuple[Point, ...], min_area: int) -> list[Object]:
    """Every connected component (8 neighbours) of these classes with at least ``min_area`` pixels."""
    shape = (labels.shape[0], labels.shape[1])
    clicked = np.array([(p.y, p.x) for p in points], np.int64).reshape(-1, 2)
    of = np.array([p.class_id for p in points], np.int64)
    found = []
    for class_id in classes:
        numbered, _ = ndimage.label(labels == class_id, _EIGHT)
        for number, window in enumerate(ndimage.find_objects(numbered), start=1):
            mask = numbered[window] == number
            if mask.sum() < min_area:
                continue
            box = (window[0].start, window[1].start, window[0].stop, window[1].stop)
            on = numbered[clicked[:, 0], clicked[:, 1]] == number if len(clicked) else of > 0
            y0, x0, y1, x1 = expanded(box, shape)
            near = (clicked >= (y0, x0)).all(1) & (clicked < (y1, x1)).all(1)
            ours = clicked[on & (of == class_id)]
            found.append(Object(class_id, box, mask, ours, clicked[near & (of != class_id)]))
    return found


def prompts_for(thing: Object, probability: Float, labels: Labels, side: int) -> tuple[Prompt, ...]:
    """Prompts of one object: expanded box, clicks and adaptive points of both signs, mask logits.

    The second prompt lacks the negative points that nobody clicked: where the pseudo-label bit a piece
    off the object, such a point lies on the object, and only the answer shows which of the two is right.

    Parameters
    ----------
    thing : Object
    probability : float32 (h, w) in [0, 1]
        Of the object's class.
    labels : uint16 (h, w)
        The pseudo-label; other classes within the box give negative points.
    side : int
        Side of the predictor's low-resolution frame.

    Returns
    -------
    tuple of Prompt
        Two, or one where there are no such negative points.
    """
    box = expanded(thing.box, (labels.shape[0], labels.shape[1]))
    wanted = max(0, POINTS - len(thing.inside))
    more = aps_points(thing.mask, probability[thing.window()], wanted) + thing.box[:2]
    around = labels[box[0] : box[2], box[1] : box[3]]
    others = (around != 0) & (around != thing.class_id)
    unlike = 1 - probability[box[0] : box[2], box[1] : box[3]]
    against = aps_points(others, unlike, max(0, POINTS - len(thing.outside))) + box[:2]
    logits = mask_logits(thing, probability, side)
    positive = np.concatenate([thing.inside, more])
    clicked = np.concatenate([positive, thing.outside])
    every = np.concatenate([clicked, against])
    asked = (every, clicked) if len(against) else (clicked,)
    return tuple(Prompt(points, np.arange(len(points)) < len(positive), box, logits) for points in asked)


def mask_logits(thing: Object, probability: Float, side: int) -> Float:
    """Logits of the class within the slightly dilated object, in the predictor's low-resolution frame."""
    y0, x0, y1, x1 = expanded(thing.box, (probability.shape[0], probability.shape[1]))
    near = np.zeros((y1 - y0, x1 - x0), bool)
    inner = (slice(thing.box[0] - y0, thing.box[2] - y0), slice(thing.box[1] - x0, thing.box[3] - x0))
    near[inner] = thing.mask
    near = ndimage.binary_dilation(near, _EIGHT, iterations=_LEAST_MARGIN)
    q = np.full(probability.shape, 1 - _SURE, np.float32)
    q[y0:y1, x0:x1] = np.clip(probability[y0:y1, x0:x1] * near, 1 - _SURE, _SURE)
    return to_lowres(np.log(q / (1 - q)).astype(np.float32), side)
