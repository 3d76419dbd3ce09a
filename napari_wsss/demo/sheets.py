"""The pictures of a theme on one sheet with captions, for the overview and the README."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from napari_wsss.pictures import RGB, Colour, montage
from napari_wsss.report import Report, ReportImage
from napari_wsss.report.row import row_of
from napari_wsss.types import Classes

_WIDTH = 300  # pixels of a picture
_LINE = 30
_INK: Colour = (40, 46, 54)
_PAPER: Colour = (255, 255, 255)
_COLUMNS = {
    "Image and hints": "image and hints",
    "Image": "image and hints",
    "Activation maps": "activation maps",
    "Pseudo-labels": "pseudo-labels",
    "Refined mask": "refined mask",
}


def sheet(report: Report, names: Sequence[str]) -> RGB:
    """Hints, maps, pseudo-labels and refined masks of some images, one image a row.

    Parameters
    ----------
    names : sequence of str
        Images by stem. What an image lacks is left grey; what all lack has no column.
    """
    images = [next(i for i in report.images if i.name.rpartition(".")[0] == name) for name in names]
    rows = [_cells(image, report.classes) for image in images]
    columns = [c for c in dict.fromkeys(_COLUMNS.values()) if any(c in row for row in rows)]
    return montage([[_text(c) for c in columns], *(_complete(row, columns) for row in rows)])


def _cells(image: ReportImage, classes: Classes) -> dict[str, RGB]:
    """Pictures of one image by column, all of one width; its tags are written into the first."""
    cells = {_COLUMNS[s.caption]: _fitted(s.picture) for s in row_of(image, classes).pictures if s.caption in _COLUMNS}
    if image.hints.tags and not image.hints.marks:
        tags = ", ".join(classes[k].name for k in sorted(image.hints.tags.present)) or "none"
        first = next(iter(cells))
        # below the picture in every column, so that the row keeps one height
        below = {c: _text(f"tags: {tags}" if c == first else "") for c in cells}
        cells = {c: np.concatenate([cells[c], below[c]]) for c in cells}
    return cells


def _fitted(picture: RGB) -> RGB:
    h, w = picture.shape[:2]
    size = (_WIDTH, round(h * _WIDTH / w))
    return np.asarray(Picture.fromarray(picture).resize(size, Picture.Resampling.LANCZOS))


def _complete(row: dict[str, RGB], columns: Sequence[str]) -> list[RGB]:
    nothing = np.full_like(next(iter(row.values())), 235)
    return [row.get(c, nothing) for c in columns]


def _text(text: str) -> RGB:
    strip = Picture.new("RGB", (_WIDTH, _LINE), _PAPER)
    ImageDraw.Draw(strip).text((2, 5), text, fill=_INK, font=ImageFont.load_default(17))
    return np.asarray(strip)
