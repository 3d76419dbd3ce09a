"""A drawn picture and the objects in it: what the embedded model is trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_wsss.types import Float, Labels


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A picture and every object that a person could mean by a click in it.

    Attributes
    ----------
    picture : float32 (h, w, 3)
        0 to 1; a grey picture has three equal channels.
    objects : tuple of uint16 (h, w)
        Object ids, 0 = none. Objects of one map do not overlap; a further map holds what they are parts of
        or what is part of them (a cell and its nucleus), or what lies over them.
    """

    picture: Float
    objects: tuple[Labels, ...]

    def __post_init__(self) -> None:
        shape = self.picture.shape[:2]
        if self.picture.ndim != 3 or self.picture.shape[2] != 3 or any(o.shape != shape for o in self.objects):
            raise ValueError(f"a picture {self.picture.shape} with objects {[o.shape for o in self.objects]}")


DrawScene = Callable[[np.random.Generator, tuple[int, int]], Scene]
"""Draws one scene of the given rows and columns; the same generator state gives the same scene."""
