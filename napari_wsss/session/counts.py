"""Counts and areas of an accepted mask, class by class, and its objects one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from napari_wsss.objects import Object, objects
from napari_wsss.types import BACKGROUND, Class, Instances, Labels, PixelSize


@dataclass(frozen=True, slots=True)
class Row:
    """One class: objects (instance ids, or connected regions where there are none), pixels, area and share."""

    name: str
    colour: str
    objects: int
    pixels: int
    area: float
    share: float


@dataclass(frozen=True, slots=True)
class Item:
    """One object: class, number (0 = a connected region without one), area in the image's unit, a pixel of it."""

    class_id: int
    instance: int
    area: float
    place: tuple[int, int]


def unit(size: PixelSize | None) -> str:
    """Unit of areas."""
    return "px" if size is None else {"um": "µm²", "m": "m²"}[size.unit]


def count(labels: Labels, instances: Instances | None, classes: Iterable[Class], size: PixelSize | None) -> list[Row]:
    """A row a class; areas in the image's unit, shares of the whole image."""
    pixel = 1.0 if size is None else size.y * size.x
    listed = list(classes)
    pixels = np.bincount(labels.ravel(), minlength=len(listed) + 1)
    things = {c.id: 0 for c in listed}
    for thing in objects(labels, instances, [c.id for c in listed]):
        things[thing.class_id] += 1
    return [
        Row(c.name, c.colour, things[c.id], int(pixels[c.id]), float(pixels[c.id] * pixel), pixels[c.id] / labels.size)
        for c in listed
    ]


def listed(
    labels: Labels, instances: Instances | None, classes: Iterable[Class], size: PixelSize | None, most: int = 2000
) -> list[Item]:
    """The first objects of a mask, without the background's regions."""
    pixel = 1.0 if size is None else size.y * size.x
    wanted = [c.id for c in classes if c.name != BACKGROUND]
    return [
        Item(thing.class_id, thing.instance, round(thing.area * pixel, 4), _pixel(thing))
        for thing in islice(objects(labels, instances, wanted), most)
    ]


def _pixel(thing: Object) -> tuple[int, int]:
    """A pixel of the object, near the middle of its box."""
    pixels = np.argwhere(thing.pixels)
    middle = np.array(thing.pixels.shape) / 2
    y, x = pixels[((pixels - middle) ** 2).sum(1).argmin()]
    return thing.box[0] + int(y), thing.box[1] + int(x)


def to_csv(image: str, rows: Sequence[Row], size: PixelSize | None) -> str:
    """The table as CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "class", "objects", "pixels", f"area [{unit(size)}]", "share"])
    for row in rows:
        writer.writerow([image, row.name, row.objects, row.pixels, f"{row.area:g}", f"{row.share:.6f}"])
    return out.getvalue()
