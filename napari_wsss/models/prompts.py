"""What a promptable segmenter looks like: an image embedded once, then masks by clicks, a box or a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from napari_wsss.types import Bool, Box4, Float, Image

LOWEST_LOGIT = -10.0
"""Fills the padding of a low-resolution frame: certainly not the object."""


@dataclass(frozen=True, eq=False, slots=True)
class Embedding:
    """What a predictor keeps of an image; made once and reused for every prompt.

    Attributes
    ----------
    data : float32 (d, h, w)
        The predictor's own; another predictor cannot read it.
    shape : tuple of 2 int
        Rows and columns of the image.
    coarser : tuple of float32 (d, h, w)
        The same at coarser scales, of a predictor that looks at several.
    """

    data: Float
    shape: tuple[int, int]
    coarser: tuple[Float, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Prompt:
    """What is said about one object, in pixels of the image, row before column.

    Attributes
    ----------
    points : int (n, 2)
        Clicked pixels (y, x).
    positive : bool (n,)
        True where a click is on the object.
    box : tuple of 4 int, optional
        y0, x0, y1, x1; half open.
    mask_logits : float32 (side, side), optional
        A first guess in the predictor's low-resolution frame (`to_lowres`).
    """

    points: NDArray[np.int64]
    positive: Bool
    box: Box4 | None = None
    mask_logits: Float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """Masks for one prompt, m proposals of different extent.

    Attributes
    ----------
    masks : bool (m, h, w)
        At image size.
    iou : float32 (m,)
        The predictor's own estimate of each mask's overlap with the truth.
    lowres : float32 (m, side, side)
        Logits in the low-resolution frame; fit as the next prompt's ``mask_logits``.
    """

    masks: Bool
    iou: Float
    lowres: Float


@dataclass(frozen=True, slots=True)
class SecondLook:
    """When a predictor is asked again about the same clicks, with its own answer as the first guess.

    It then knows how large the object is.

    Attributes
    ----------
    sure : float
        An answer is kept if its estimated IoU is larger.
    doubtful : float
        If no proposal's estimated IoU is larger, most are parts of the object, and larger ones are preferred; as
        they are of all answers that had a first guess.
    """

    sure: float
    doubtful: float


class PromptPredictor(Protocol):
    """Segments one object of an image by prompts. Deterministic.

    ``side`` is the side of the square low-resolution frame: the image scaled so that its longer side
    fills the frame, padded at the bottom or the right (256 for the models of segment-anything).

    ``second_look`` says when its answer to a first click gets better by asking again; None = never.
    """

    @property
    def second_look(self) -> SecondLook | None: ...

    @property
    def model(self) -> str:
        """Name and hash of the weights, e.g. ``vit_b@3acafc4b``; the bare name where there are none."""
        ...

    @property
    def side(self) -> int: ...

    def embed(self, image: Image) -> Embedding: ...

    def predict(self, embedding: Embedding, prompt: Prompt) -> Prediction: ...


def lowres_extent(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Rows and columns of the low-resolution frame that the image covers; the rest is padding."""
    longest = max(shape)
    return max(1, round(shape[0] * side / longest)), max(1, round(shape[1] * side / longest))


def to_lowres(logits: Float, side: int) -> Float:
    """Bring logits of image size into the low-resolution frame.

    Parameters
    ----------
    logits : float32 (h, w)
    side : int
        Side of the frame; the image's longer side is scaled to it (bilinear, antialiased).

    Returns
    -------
    float32 (side, side)
        ``LOWEST_LOGIT`` in the padding.
    """
    rows, columns = lowres_extent((logits.shape[0], logits.shape[1]), side)
    small = Pillow.fromarray(logits.astype(np.float32)).resize((columns, rows), Pillow.Resampling.BILINEAR)
    frame: Float = np.full((side, side), LOWEST_LOGIT, np.float32)
    frame[:rows, :columns] = np.asarray(small)
    return frame


def stability(lowres: Float, shape: tuple[int, int], offset: float = 1.0) -> Float:
    """How little each mask depends on its threshold: IoU of its cuts at +offset and -offset logits.

    The cuts are nested, so their IoU is a ratio of areas. Padding does not count; an empty mask has 0.

    Parameters
    ----------
    lowres : float32 (m, side, side)
    shape : tuple of 2 int
        Rows and columns of the image.
    offset : float

    Returns
    -------
    float32 (m,)
    """
    rows, columns = lowres_extent(shape, lowres.shape[-1])
    inside = lowres[:, :rows, :columns]
    tight = (inside > offset).sum((1, 2))
    loose = (inside > -offset).sum((1, 2))
    share: Float = (tight / np.maximum(loose, 1)).astype(np.float32)
    return share
