"""A simulated annotator: clicks on one object until its mask is good enough, and the figures of that.

The first click is the deepest pixel of the object, every next one the deepest pixel of the largest connected
error, as in the evaluation of interactive segmentation since Xu et al., "Deep Interactive Object Selection",
CVPR 2016. Placing clicks at random inside the error instead follows Antonov et al., "RClicks", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_wsss.types import Bool

CAP = 20
"""The most clicks that an object gets."""

GOALS = (0.85, 0.90)
"""IoU that ends the count of clicks."""

AT = (1, 3, 5)
"""Numbers of clicks after which the IoU is looked at."""


class Click(NamedTuple):
    """One click: pixel (y, x), and whether it is on the object."""

    y: int
    x: int
    positive: bool


Place = Callable[[NDArray[np.float64]], tuple[int, int]]
"""Chooses a pixel, given each pixel's distance to what is outside the error (0 = may not be clicked)."""

Answer = Callable[[Sequence[Click]], Bool]
"""The mask bool (h, w) of a method after these clicks, oldest first."""


def iou(answer: Bool, truth: Bool, scored: Bool) -> float:
    """Intersection over union on the scored pixels; 1 where both are empty there."""
    union = int(((answer | truth) & scored).sum())
    return int((answer & truth & scored).sum()) / union if union else 1.0


def deepest(depth: NDArray[np.float64]) -> tuple[int, int]:
    """The pixel farthest from everything else; the first in raster order among equals."""
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y), int(x)


def jittered(seed: int | Sequence[int]) -> Place:
    """An annotator who clicks somewhere in the error, the likelier the deeper: probability in proportion to depth."""
    rng = np.random.default_rng(seed)

    def place(depth: NDArray[np.float64]) -> tuple[int, int]:
        shares = depth.ravel() / depth.sum()
        y, x = np.unravel_index(int(rng.choice(shares.size, p=shares)), depth.shape)
        return int(y), int(x)

    return place


def next_click(
    answer: Bool, truth: Bool, scored: Bool, given: Sequence[Click] = (), place: Place = deepest
) -> Click | None:
    """Where the annotator clicks next: in the largest connected error, of missed and of wrong pixels alike.

    Regions are of 4-neighbours. Of equally large ones the missed goes before the wrong one, then raster order
    decides. What is outside the image or not scored is no error and counts as the error's surroundings.

    Parameters
    ----------
    answer, truth : bool (h, w)
        With an empty answer this is the first click: the centre of the object's largest part.
    scored : bool (h, w)
        False = nobody knows whether this pixel is the object's.
    given : sequence of Click
        No pixel is clicked twice.
    place : callable

    Returns
    -------
    Click or None
        None where no error is left to click on.
    """
    clicked = np.zeros(truth.shape, bool)
    for click in given:
        clicked[click.y, click.x] = True
    found: list[tuple[int, bool, tuple[slice, slice], Bool]] = []
    for positive, wrong in ((True, truth & ~answer & scored), (False, answer & ~truth & scored)):
        numbered, _ = ndimage.label(wrong)
        sizes = np.bincount(numbered.ravel())
        for number, window in enumerate(ndimage.find_objects(numbered), 1):
            found.append((int(sizes[number]), positive, window, numbered[window] == number))
    for _, positive, window, region in sorted(found, key=lambda f: -f[0]):  # stable: missed first, raster order
        depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
        depth[clicked[window]] = 0
        if depth.any():
            y, x = place(depth)
            return Click(window[0].start + y, window[1].start + x, positive)
    return None


def simulate(
    truth: Bool,
    scored: Bool,
    answer: Answer,
    *,
    place: Place = deepest,
    cap: int = CAP,
    enough: float = max(GOALS),
    least: int = max(AT),
) -> tuple[float, ...]:
    """IoU after click 1, 2, ... of one object.

    It ends with the ``cap``-th click, with ``least`` clicks and an IoU of ``enough``, or where no error is left.
    Every simulation starts from an empty mask.

    Parameters
    ----------
    truth : bool (h, w)
        The object; not empty on the scored pixels.
    scored : bool (h, w)
    answer : callable
    """
    clicks: list[Click] = []
    ious: list[float] = []
    mask: Bool = np.zeros(truth.shape, bool)
    while len(ious) < cap and not (len(ious) >= least and max(ious) >= enough):
        click = next_click(mask, truth, scored, clicks, place)
        if click is None:
            break
        clicks.append(click)
        mask = answer(tuple(clicks))
        ious.append(iou(mask, truth, scored))
    return tuple(ious)


def iou_at(ious: Sequence[float], clicks: int) -> float:
    """IoU after so many clicks; where the simulation ended before, its last; 0 where nothing was clicked."""
    return ious[min(clicks, len(ious)) - 1] if ious else 0.0


def clicks_to(ious: Sequence[float], goal: float, cap: int = CAP) -> int | None:
    """NoC of one object: the number of clicks after which ``goal`` is first reached; None = not within ``cap``."""
    return next((n for n, value in enumerate(ious[:cap], 1) if value >= goal), None)


@dataclass(frozen=True, slots=True)
class ClickFigures:
    """Figures of one method over the objects of a set.

    Attributes
    ----------
    objects : int
    iou : dict of int to float
        Mean IoU after 1, 3 and 5 clicks.
    noc : dict of float to float
        Mean number of clicks to each goal; an object that does not reach it counts as ``CAP``.
    failures : dict of float to int
        Objects that do not reach the goal.
    """

    objects: int
    iou: dict[int, float]
    noc: dict[float, float]
    failures: dict[float, int]


def figures(simulations: Sequence[Sequence[float]]) -> ClickFigures:
    """Means over simulations, one an object, each as :func:`simulate` gives it.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not simulations:
        raise ValueError("no object was clicked")
    needed = {goal: [clicks_to(ious, goal) for ious in simulations] for goal in GOALS}
    return ClickFigures(
        len(simulations),
        {k: float(np.mean([iou_at(ious, k) for ious in simulations])) for k in AT},
        {goal: float(np.mean([CAP if n is None else n for n in counts])) for goal, counts in needed.items()},
        {goal: sum(n is None for n in counts) for goal, counts in needed.items()},
    )
