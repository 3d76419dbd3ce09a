"""Pictures of the objects that a method of ``bench clicks`` finds hardest: truth, and its answers to the clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from napari_wsss import pictures
from napari_wsss.bench._objects import Target
from napari_wsss.evaluation.clicks import AT, Answer, Click, iou, iou_at, simulate
from napari_wsss.types import Bool, Box4, Image

_HIGH, _STRIP = 200, 18  # pixels: a picture's side, and the words above it
_LEAST = 40  # pixels of an image that are shown at least, so that a small object has surroundings
_COLUMNS = 2  # objects side by side
_COLOURS = {1: pictures.CHANGED}


def hardest(simulations: Sequence[Sequence[float]], count: int) -> list[int]:
    """Indices of the ``count`` simulations with the least mean IoU over the first clicks, the worst first."""
    sums = [sum(iou_at(ious, n) for n in range(1, max(AT) + 1)) for ious in simulations]
    return sorted(range(len(sums)), key=lambda i: sums[i])[:count]


def draw(
    targets: Sequence[Target], load: Callable[[Path], Image], begin: Callable[[Image, Box4], Answer], file: Path
) -> None:
    """Write a sheet of objects as PNG: the truth, the answer to one click, the answer to the last of ``AT``.

    Parameters
    ----------
    targets : sequence of Target
        At least one.
    load, begin : callable
        An image by its file; a method's answers for an object of it.
    file : Path
        Its folder is made.
    """
    shown = [_object(target, load(target.image), begin) for target in targets]
    rows = [
        [picture for object_ in shown[i : i + _COLUMNS] for picture in object_] for i in range(0, len(shown), _COLUMNS)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pictures.encoded(pictures.montage(rows), "PNG"))


def _object(target: Target, image: Image, begin: Callable[[Image, Box4], Answer]) -> list[pictures.RGB]:
    """Three pictures of the surroundings of one object."""
    answer, seen = begin(image, target.box), dict[int, tuple[Bool, tuple[Click, ...]]]()

    def noted(clicks: Sequence[Click]) -> Bool:
        mask = answer(clicks)
        seen[len(clicks)] = mask, tuple(clicks)
        return mask

    simulate(target.truth, target.scored, noted, cap=max(AT), least=max(AT))
    y0, x0, y1, x1 = _around(target.box, image.shape)
    part = np.clip(image.rgb[:, y0:y1, x0:x1].transpose(1, 2, 0) * 255, 0, 255).astype(np.uint8)
    made = [_picture(part, target.truth[y0:y1, x0:x1], (), (y0, x0), f"truth, {target.area} px")]
    for count in (AT[0], max(seen)):
        mask, clicks = seen[count]
        said = f"{count} click{'s' * (count > 1)}: {iou(mask, target.truth, target.scored):.2f}"
        made.append(_picture(part, mask[y0:y1, x0:x1], clicks, (y0, x0), said))
    return made


def _around(box: Box4, shape: tuple[int, int]) -> Box4:
    """A square of twice the object's longer side, moved into the image and no larger than it."""
    y0, x0, y1, x1 = box
    side = min(max(2 * (y1 - y0), 2 * (x1 - x0), _LEAST), *shape)
    top, left = (int(np.clip((a + b - side) // 2, 0, n - side)) for a, b, n in ((y0, y1, shape[0]), (x0, x1, shape[1])))
    return top, left, top + side, left + side


def _picture(
    part: pictures.RGB, mask: NDArray[np.bool_], clicks: Sequence[Click], corner: tuple[int, int], words: str
) -> pictures.RGB:
    """A mask over its surroundings with the clicks so far, and words above."""
    factor, size = _HIGH / len(part), (_HIGH, _HIGH)
    large = np.asarray(Picture.fromarray(part).resize(size, Picture.Resampling.BILINEAR))
    labels = np.asarray(Picture.fromarray(mask.astype(np.uint8)).resize(size, Picture.Resampling.NEAREST))
    sheet = Picture.new("RGB", (_HIGH, _HIGH + _STRIP), (255, 255, 255))
    sheet.paste(Picture.fromarray(pictures.overlay(large, labels, _COLOURS, alpha=0.2)), (0, _STRIP))
    pen = ImageDraw.Draw(sheet)
    pen.text((2, 2), words, fill=(0, 0, 0))
    for click in clicks:
        x, y = (click.x - corner[1] + 0.5) * factor, (click.y - corner[0] + 0.5) * factor + _STRIP
        colour = pictures.GAINED if click.positive else pictures.LOST
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline=(255, 255, 255))
    return np.asarray(sheet)
