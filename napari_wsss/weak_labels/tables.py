"""Tags, points and boxes from CSV files (contract.md, "Input files")."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from napari_wsss.errors import WsssError
from napari_wsss.types import Box, Classes, ImportedLabels, Mark, Point, Tags
from napari_wsss.weak_labels.reading import (
    FoundImage,
    ImageFinder,
    ReadLabels,
    WrongRow,
    WrongRows,
    class_id,
    digest_of,
    read_bytes,
)

Row = dict[str, str]
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_tags(path: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``tags.csv``: header ``image,tag``; ``!name`` is an absent class, ``!*`` a complete list.

    Raises
    ------
    WsssError
        Naming file, line and reason of the first wrong row, unless ``skip_bad_rows``.
    """
    found: dict[str, Tags] = {}
    find = cache(images.find)

    def take(row: Row) -> None:
        name = find(row["image"]).name
        found[name] = _with_tag(found.get(name, Tags()), row["tag"], classes)

    left_out, digest = _read(path, "tags", ("image", "tag"), (), take, skip_bad_rows)
    return ReadLabels({name: ImportedLabels(tags=tags) for name, tags in found.items()}, digest, left_out)


def read_points(path: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``points.csv``: header ``image,y,x,class[,z][,t]``; z and t choose the plane of a stack.

    Coordinates are pixels, row first; a fraction counts for the nearest pixel. Errors as
    :func:`read_tags`.
    """
    marks: dict[str, list[Mark]] = {}
    find = cache(images.find)

    def take(row: Row) -> None:
        image = find(_plane_name(row))
        point = Point(_pixel(row, "y"), _pixel(row, "x"), class_id(classes, row["class"]))
        if not (0 <= point.y < image.shape[0] and 0 <= point.x < image.shape[1]):
            raise WrongRow(f"({row['y']}, {row['x']}) lies outside {_size(image)}")
        marks.setdefault(image.name, []).append(point)

    left_out, digest = _read(path, "points", ("image", "y", "x", "class"), ("z", "t"), take, skip_bad_rows)
    return ReadLabels(_imported(marks), digest, left_out)


def read_boxes(path: Path, images: ImageFinder, classes: Classes, *, skip_bad_rows: bool = False) -> ReadLabels:
    """``boxes.csv``: header ``image,y0,x0,y1,x1,class[,fill]``, half open. Errors as :func:`read_tags`."""
    marks: dict[str, list[Mark]] = {}
    find = cache(images.find)

    def take(row: Row) -> None:
        image = find(row["image"])
        y0, x0, y1, x1 = (_pixel(row, side) for side in ("y0", "x0", "y1", "x1"))
        if y1 <= y0 or x1 <= x0:
            raise WrongRow(f"box {y0},{x0},{y1},{x1} is empty: y1 and x1 must be larger than y0 and x0")
        if y0 < 0 or x0 < 0 or y1 > image.shape[0] or x1 > image.shape[1]:
            raise WrongRow(f"box {y0},{x0},{y1},{x1} reaches outside {_size(image)}")
        fill = row.get("fill", "")
        if fill not in ("", "0", "1"):
            raise WrongRow(f"fill {fill!r} is neither 0 nor 1")
        box = Box(y0, x0, y1, x1, class_id(classes, row["class"]), fill == "1")
        marks.setdefault(image.name, []).append(box)

    header = ("image", "y0", "x0", "y1", "x1", "class")
    left_out, digest = _read(path, "boxes", header, ("fill",), take, skip_bad_rows)
    return ReadLabels(_imported(marks), digest, left_out)


def _imported(marks: dict[str, list[Mark]]) -> dict[str, ImportedLabels]:
    return {name: ImportedLabels(marks=tuple(of_image)) for name, of_image in marks.items()}


def _size(image: FoundImage) -> str:
    return f"{image.name!r} ({image.shape[0]} rows, {image.shape[1]} columns)"


def _with_tag(tags: Tags, tag: str, classes: Classes) -> Tags:
    if tag == "!*":
        return Tags(tags.present, tags.absent, True)
    k = class_id(classes, tag[1:] if tag.startswith("!") else tag)
    if k in (tags.present if tag.startswith("!") else tags.absent):
        raise WrongRow(f"class {classes[k].name!r} is said to be both present and absent")
    if tag.startswith("!"):
        return Tags(tags.present, tags.absent | {k}, tags.complete)
    return Tags(tags.present | {k}, tags.absent, tags.complete)


def _pixel(row: Row, column: str) -> int:
    text = row[column]
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise WrongRow(f"{column} {text[:40]!r} is not a number")
    return math.floor(value + 0.5)


def _plane_name(row: Row) -> str:
    plane = "".join(f"{axis}{_index(row, axis)}" for axis in ("t", "z") if row.get(axis))
    return f"{row['image']}@{plane}" if plane else row["image"]


def _index(row: Row, column: str) -> int:
    if not re.fullmatch(r"\d{1,9}", row[column], re.ASCII):
        raise WrongRow(f"{column} {row[column][:40]!r} is not a plane's number")
    return int(row[column])


def _read(
    path: Path,
    kind: str,
    header: tuple[str, ...],
    optional: tuple[str, ...],
    take: Callable[[Row], None],
    skip: bool,
) -> tuple[int, str]:
    """Give every row to ``take``; how many rows were left out, and the file's digest."""
    data = read_bytes(path)
    lines = _rows(path, data)
    columns = [c.strip() for c in next(lines, (1, []))[1]]
    known = set(header) | set(optional)
    if not set(header) <= set(columns) or not set(columns) <= known or len(set(columns)) < len(columns):
        wanted = ",".join(header) + "".join(f"[,{c}]" for c in optional)
        raise WsssError(f"{path.name} line 1: the header is {','.join(columns)[:80]!r}, it must be {wanted}")
    wrong = WrongRows(skip)
    for number, cells in lines:
        wrong.attempt(f"{path.name} line {number}", partial(_take, take, columns, cells))
    return wrong.finish(), digest_of(kind, [("", data)])


def _take(take: Callable[[Row], None], columns: list[str], cells: list[str]) -> None:
    take(_row(columns, cells))


def _row(columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        raise WrongRow(f"{len(cells)} cells where the header has {len(columns)}")
    return {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise WsssError(f"{path.name} line {number}: not UTF-8; save the file as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise WsssError(f"{path.name} line {reader.line_num}: not CSV ({error})") from error
