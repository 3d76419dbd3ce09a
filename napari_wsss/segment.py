"""One object of one image by clicks: what ``napari-wsss segment`` and a click in the window do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image as Picture

from napari_wsss import close_up, images
from napari_wsss.close_up import CloseUp, Read
from napari_wsss.device import choose
from napari_wsss.errors import UsageError
from napari_wsss.models.prompts import Embedding, Prompt, PromptPredictor, SecondLook
from napari_wsss.types import Bool, Box4, Float, Image, digest

FORGET = 0.25
"""A click on the object that lies farther off the last mask than this share of its size: the mask was only a part."""

LARGER = 0.2
"""Estimated IoU that a proposal gains with each factor of e in area, where the estimate alone chooses too small."""


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """The mask bool (h, w) after some clicks, its low-resolution logits (the first guess for the next click), and the
    predictor's own estimate of its IoU."""

    mask: Bool
    logits: Float
    iou: float


def next_answer(
    predictor: PromptPredictor,
    embedding: Embedding,
    points: Sequence[tuple[int, int, bool]],
    box: Box4 | None = None,
    before: Answer | None = None,
) -> Answer:
    """What the predictor makes of these clicks.

    Of its proposals that contain every positive click and no negative one, the one that it finds best; if none obeys
    them all, the one that obeys most. The answer to one click less goes along as a first guess, as in
    segment-anything's own demonstration, unless the newest click says that it was only a part. Without one the
    predictor's own answer is its first guess, if it is not sure of it and gets better by a `second_look`.

    Parameters
    ----------
    predictor : PromptPredictor
    embedding : Embedding
    points : sequence of (y, x, positive)
        Oldest first.
    box : (y0, x0, y1, x1), optional
    before : Answer, optional
        The answer to the same clicks without the newest.
    """
    guess = None if before is None or (points and _far_off(points[-1], before.mask)) else before.logits
    pixels = np.array([p[:2] for p in points], np.int64).reshape(-1, 2)
    positive = np.array([p[2] for p in points], bool)
    look = predictor.second_look if box is None else None
    answer = _best(predictor, embedding, Prompt(pixels, positive, box, guess), look)
    if look is not None and guess is None and answer.iou <= look.sure and answer.mask.any():
        answer = _best(predictor, embedding, Prompt(pixels, positive, box, answer.logits), look)
    return answer


def _best(predictor: PromptPredictor, embedding: Embedding, prompt: Prompt, look: SecondLook | None) -> Answer:
    """Of the proposals that obey most clicks the one that the predictor finds best, or a larger one."""
    prediction = predictor.predict(embedding, prompt)
    obeyed = (prediction.masks[:, prompt.points[:, 0], prompt.points[:, 1]] == prompt.positive).sum(1)
    believed = prediction.iou
    if look is not None and (prompt.mask_logits is not None or believed[obeyed == obeyed.max()].max() <= look.doubtful):
        believed = believed + LARGER * np.log(np.maximum(prediction.masks.sum((1, 2)), 1))
    best = max(range(len(prediction.masks)), key=lambda i: (obeyed[i], believed[i], -i))
    # copies: a view would keep all proposals for as long as the answer is remembered
    return Answer(prediction.masks[best].copy(), prediction.lowres[best].copy(), float(prediction.iou[best]))


def _far_off(point: tuple[int, int, bool], mask: Bool) -> bool:
    y, x, positive = point
    if not positive or mask[y, x] or not mask.any():
        return False
    rows, columns = np.nonzero(mask)
    nearest = float(np.sqrt(((rows - y) ** 2 + (columns - x) ** 2).min()))
    return nearest > FORGET * math.sqrt(len(rows))


Memory = dict[tuple[object, ...], Answer]
"""The latest answers to clicks of one image, so that a further click costs one more and not all again."""

REMEMBERED = 64
"""Answers that a memory holds at most."""


def segment(
    image: Image,
    points: Sequence[tuple[int, int, bool]],
    boxes: Sequence[Box4],
    predictor: PromptPredictor,
    embedding: Embedding | None = None,
    memory: Memory | None = None,
) -> Bool:
    """Pixels of one object.

    The clicks are answered one after the other (`next_answer`), in the order in which they were made. Each box is a
    part of the object of its own: the answer is the union over the boxes.

    Parameters
    ----------
    image : Image
    points : sequence of (y, x, positive)
        Oldest first.
    boxes : sequence of (y0, x0, y1, x1)
        Half open.
    predictor : PromptPredictor
    embedding : Embedding, optional
        The image's, where it has been made before.
    memory : dict, optional
        Keeps the answers of this image and predictor between calls.

    Returns
    -------
    bool (h, w)
        False where the image has no data.

    Raises
    ------
    UsageError
        If there is neither a positive point nor a box, or one of them is outside the image.
    """
    _check(image.shape, points, boxes)
    embedding = predictor.embed(image) if embedding is None else embedding
    known = {} if memory is None else memory
    out: Bool = np.zeros(image.shape, bool)
    for box in boxes or (None,):
        out |= _answered(predictor, embedding, _near(points, box, alone=len(boxes) < 2), box, known).mask
    while len(known) > REMEMBERED:
        del known[next(iter(known))]
    return out & image.valid


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """An image or a part of one, what the predictor made of it, and the answers so far."""

    image: Image
    embedding: Embedding
    memory: Memory = field(default_factory=dict)


def segment_large(
    shape: tuple[int, int],
    points: Sequence[tuple[int, int, bool]],
    boxes: Sequence[Box4],
    predictor: PromptPredictor,
    see: Callable[[CloseUp], Seen],
) -> tuple[tuple[int, int], Bool]:
    """As `segment`, in an image that is looked at in parts (`napari_wsss.close_up`): cost follows the object.

    Parameters
    ----------
    see : callable
        Looks at a part of the image; may remember it.

    Returns
    -------
    (y0, x0), bool (h, w)
        A mask and where its first pixel lies; the object has no pixel outside it.
    """
    _check(shape, points, boxes)
    found = [_in_part(shape, _near(points, box, alone=len(boxes) < 2), box, predictor, see) for box in boxes or (None,)]
    y0, x0 = min(part.box[0] for part, _ in found), min(part.box[1] for part, _ in found)
    y1, x1 = max(part.box[2] for part, _ in found), max(part.box[3] for part, _ in found)
    out: Bool = np.zeros((y1 - y0, x1 - x0), bool)
    for part, mask in found:
        top, left, bottom, right = part.box
        out[top - y0 : bottom - y0, left - x0 : right - x0] |= mask
    return (y0, x0), out


def _in_part(
    shape: tuple[int, int],
    points: Sequence[tuple[int, int, bool]],
    box: Box4 | None,
    predictor: PromptPredictor,
    see: Callable[[CloseUp], Seen],
) -> tuple[CloseUp, Bool]:
    """The part that holds the whole object, and the object in its pixels. Clicks beside it need not be in the part."""
    places = [(y, x, y + 1, x + 1) for y, x, positive in points if positive] + ([box] if box else [])
    part: CloseUp | None = close_up.closest(shape, places)
    while True:
        assert part is not None
        top, left, bottom, right = part.box
        near = [(*part.inside(y, x), p) for y, x, p in points if p or (top <= y < bottom and left <= x < right)]
        seen = see(part)
        inner = [part.box_inside(box)] if box else []
        mask = segment(seen.image, near, inner, predictor, seen.embedding, seen.memory)
        wider = close_up.larger(shape, part, mask, places)
        if wider is None:
            return part, part.pasted(mask)
        part = wider


def _answered(
    predictor: PromptPredictor,
    embedding: Embedding,
    points: Sequence[tuple[int, int, bool]],
    box: Box4 | None,
    known: Memory,
) -> Answer:
    """The answer to all clicks, by way of those to the first ones; clicks off the object wait for the first on it."""
    first = next((n for n, p in enumerate(points, 1) if p[2]), len(points)) if box is None else min(1, len(points))
    answer: Answer | None = None
    for n in range(first, len(points) + 1):
        key = (box, *points[:n])
        if key not in known:
            known[key] = next_answer(predictor, embedding, points[:n], box, answer)
        answer = known[key]
    assert answer is not None
    return answer


def _near(points: Sequence[tuple[int, int, bool]], box: Box4 | None, alone: bool) -> tuple[tuple[int, int, bool], ...]:
    """The points that concern this box: all of them, if it is the only one."""
    return tuple(
        (y, x, positive)
        for y, x, positive in points
        if alone or box is None or (box[0] <= y < box[2] and box[1] <= x < box[3])
    )


def _check(shape: tuple[int, int], points: Sequence[tuple[int, int, bool]], boxes: Sequence[Box4]) -> None:
    h, w = shape
    if not boxes and not any(positive for _, _, positive in points):
        raise UsageError("give at least one point on the object (y,x) or a box around it (y0,x0,y1,x1)")
    for y, x, _ in points:
        if not (0 <= y < h and 0 <= x < w):
            raise UsageError(f"point {y},{x} is outside the image of {h} rows and {w} columns")
    for y0, x0, y1, x1 in boxes:
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise UsageError(f"box {y0},{x0},{y1},{x1} is empty or outside the image of {h} rows and {w} columns")


DEFAULT_MODEL = "embedded"
"""The predictor that a click gets where nobody chose another: the model that ships with the product."""


def predictor(model: str = DEFAULT_MODEL, device: str = "auto") -> PromptPredictor:
    """The predictor of this name.

    ``embedded`` ships with the product, ``random_walker`` needs neither weights nor torch; else a file of the embedded
    model's shape (``.safetensors`` of ``python -m napari_wsss.pretraining export``), or a SAM by its name in the
    catalogue or its file. ``device`` as :func:`napari_wsss.device.choose` has it.
    """
    if model == "random_walker":
        from napari_wsss.models.random_walker_prompt import RandomWalkerPrompt

        return RandomWalkerPrompt()
    from napari_wsss.models.embedded.predictor import is_embedded, load_embedded

    if model == DEFAULT_MODEL or is_embedded(Path(model)):
        return load_embedded(model, choose(device))
    from napari_wsss.models.sam import load_sam

    return load_sam(model, choose(device))


def segment_file(
    file: Path,
    plane: str,
    points: Sequence[tuple[int, int, bool]],
    boxes: Sequence[Box4],
    predictor: PromptPredictor,
    out: Path,
) -> int:
    """Segment one object of an image file, write the mask (0 and 1) as PNG or TIFF; its number of pixels.

    Raises
    ------
    UnreadableImage, UsageError
        As :func:`segment`, and where the file or the plane cannot be read.
    """
    source = images.open_source(file)
    plane = plane or source.planes[0]
    if plane not in source.planes:
        raise UsageError(f"{file}: no plane {plane!r}; it has {source.planes[0]} to {source.planes[-1]}")
    limits = images.contrast(source, plane)
    key = digest(images.content_hash(file), plane)

    def read(box: Box4 | None) -> Image:
        return images.load(source, plane, name=file.name, key=key, contrast=limits, rgb_channels=None, box=box)

    mask = _of_file(source.shape, read, points, boxes, predictor)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(out, mask.astype(np.uint8), compression="zlib", photometric="minisblack")
    else:
        Picture.fromarray(mask.astype(np.uint8)).save(out)
    return int(mask.sum())


def _of_file(
    shape: tuple[int, int],
    read: Read,
    points: Sequence[tuple[int, int, bool]],
    boxes: Sequence[Box4],
    predictor: PromptPredictor,
) -> Bool:
    """The mask of the whole image; a large image is read in parts."""
    if not close_up.is_large(shape):
        return segment(read(None), points, boxes, predictor)

    def see(part: CloseUp) -> Seen:
        image = close_up.look(read, part)
        return Seen(image, predictor.embed(image))

    (y0, x0), found = segment_large(shape, points, boxes, predictor, see)
    mask: Bool = np.zeros(shape, bool)
    mask[y0 : y0 + found.shape[0], x0 : x0 + found.shape[1]] = found
    return mask
