"""Seeds of activation maps by the thresholds that a person set for a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_wsss.types import Bool, Cam, Classes, Labels

USUAL = (0.25, 0.5)
"""Lower and upper threshold of a class without its own, where another class has some."""


def has_thresholds(classes: Classes) -> bool:
    """Whether any class has thresholds of its own."""
    return any(c.thresholds is not None for c in classes)


def seeds(cam: Cam, classes: Classes, valid: Bool | None = None) -> Labels:
    """Seeds, uint16 (h, w): the method's own, or by the classes' thresholds where any class has some.

    A pixel is of the class whose map is strongest there, if that reaches the class's upper threshold. It is
    background where every map is at most at its class's lower threshold. The thresholds apply to the stored maps
    as they are seen, without the edge alignment by which a method makes its own seeds.

    Parameters
    ----------
    valid : bool (h, w), optional
        False = nodata, seed 0.
    """
    if not has_thresholds(classes) or not cam.classes:
        return cam.seeds
    given = [classes[k].thresholds or USUAL for k in cam.classes]
    low, high = (np.array(values, np.float32)[:, None, None] for values in zip(*given))
    strongest = cam.scores.argmax(0)
    reaches = np.take_along_axis(cam.scores >= high, strongest[None], 0)[0]
    found = np.where(reaches, np.array(cam.classes, np.uint16)[strongest], np.uint16(0))
    if classes.background is not None and cam.scores.max(initial=0) > 0:
        found[(cam.scores <= low).all(0) & ~reaches] = classes.background
    if valid is not None:
        found[~valid] = 0
    return found.astype(np.uint16)


def with_thresholds(cam: Cam, classes: Classes, valid: Bool | None = None) -> Cam:
    """The maps with the seeds that the classes' thresholds give."""
    return replace(cam, seeds=seeds(cam, classes, valid)) if has_thresholds(classes) else cam
