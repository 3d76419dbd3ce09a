"""Weak labels in the journal: tags and marks as rows, in the order a person gave them.

Nothing is overwritten: a removed mark keeps its row and tells who removed it, an older tag list stays
below the newer one. What is live is digested into ``images.labels_digest``, so that equal labels have
equal digests, whatever way led there.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_wsss.errors import UsageError
from napari_wsss.project.journal import get_provenances
from napari_wsss.types import Box, Labels, Mark, Point, Provenance, Stroke, Tags, digest


@dataclass(frozen=True, eq=False, slots=True)
class RecordedMark:
    """A live mark with its number (unique in the project, rising in time) and its maker."""

    id: int
    mark: Mark
    by: Provenance


def check_mark(mark: Mark, shape: tuple[int, int], n_classes: int) -> None:
    """Refuse a mark outside the image or of an unknown class.

    Raises
    ------
    UsageError
        Names the mark and what is wrong with it.
    """
    y0, x0, y1, x1 = _extent(mark)
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise UsageError(f"{_described(mark)} lies outside the image of {shape[0]} x {shape[1]} pixels or is empty")
    classes = _classes_in(mark)
    if any(not 1 <= k <= n_classes for k in classes):
        raise UsageError(f"{_described(mark)} has class {max(classes)}, but the project's classes are 1 to {n_classes}")


def check_tags(tags: Tags, n_classes: int) -> None:
    """Refuse tags of unknown classes, or a class that is both present and absent."""
    wrong = [k for k in tags.present | tags.absent if not 1 <= k <= n_classes]
    if wrong:
        raise UsageError(f"tag of class {wrong[0]}, but the project's classes are 1 to {n_classes}")
    if tags.present & tags.absent:
        raise UsageError(f"class {min(tags.present & tags.absent)} is tagged both present and absent")


def insert_marks(
    db: sqlite3.Connection, image: int, marks: Iterable[Mark], by: int, imported: int | None = None
) -> tuple[int, ...]:
    """Append marks to an image's; their ids. ``by`` and ``imported`` are row ids."""
    ids = []
    for mark in marks:
        kind, extra, raster = _columns(mark)
        y0, x0, y1, x1 = _extent(mark)
        class_id = 0 if isinstance(mark, Stroke) else mark.class_id
        row = (image, kind, y0, x0, y1, x1, class_id, extra, raster, mark_digest(mark), by, imported)
        cursor = db.execute(
            "INSERT INTO marks (image, kind, y0, x0, y1, x1, class, extra, raster, digest, provenance, import)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            row,
        )
        ids.append(int(cursor.lastrowid or 0))
    return tuple(ids)


def remove_marks(db: sqlite3.Connection, image: int, ids: Sequence[int], by: int) -> None:
    """Take live marks away.

    Raises
    ------
    UsageError
        An id that is no live mark of the image; then none is removed (the transaction is undone).
    """
    for number in ids:
        cursor = db.execute(
            "UPDATE marks SET removed = ? WHERE id = ? AND image = ? AND removed IS NULL", (by, number, image)
        )
        if cursor.rowcount != 1:
            raise UsageError(f"this image has no mark {number} to remove")


def restore_marks(db: sqlite3.Connection, image: int, ids: Sequence[int]) -> None:
    """Give back marks that were taken away, in the place among the others that they had.

    Raises
    ------
    UsageError
        An id that is no removed mark of the image; then none is restored (the transaction is undone).
    """
    for number in ids:
        cursor = db.execute(
            "UPDATE marks SET removed = NULL WHERE id = ? AND image = ? AND removed IS NOT NULL", (number, image)
        )
        if cursor.rowcount != 1:
            raise UsageError(f"this image has no removed mark {number} to restore")


def live_marks(db: sqlite3.Connection, image: int) -> tuple[RecordedMark, ...]:
    """An image's marks, oldest first, each with its maker."""
    rows = db.execute(
        "SELECT id, kind, y0, x0, y1, x1, class, extra, raster, provenance FROM marks"
        " WHERE image = ? AND removed IS NULL ORDER BY id",
        (image,),
    ).fetchall()
    makers = get_provenances(db, {row[-1] for row in rows}) if rows else {}
    return tuple(RecordedMark(row[0], _mark(row[1:9]), makers[row[9]]) for row in rows)


def marks_only(db: sqlite3.Connection, image: int) -> tuple[Mark, ...]:
    """An image's marks, oldest first."""
    rows = db.execute(
        "SELECT kind, y0, x0, y1, x1, class, extra, raster FROM marks WHERE image = ? AND removed IS NULL ORDER BY id",
        (image,),
    )
    return tuple(_mark(row) for row in rows)


def new_to(db: sqlite3.Connection, image: int, marks: Sequence[Mark]) -> list[Mark]:
    """The marks that no earlier import gave this image: a file read again after it grew adds what it gained."""
    rows = db.execute("SELECT digest FROM marks WHERE image = ? AND removed IS NULL AND import IS NOT NULL", (image,))
    known = {row[0] for row in rows}
    return [mark for mark in marks if mark_digest(mark) not in known]


def insert_tags(db: sqlite3.Connection, image: int, tags: Tags, by: int) -> None:
    """Make ``tags`` the image's tags; the earlier ones stay below."""
    db.execute(
        "INSERT INTO tags (image, present, absent, complete, provenance) VALUES (?,?,?,?,?)",
        (image, json.dumps(sorted(tags.present)), json.dumps(sorted(tags.absent)), int(tags.complete), by),
    )


def live_tags(db: sqlite3.Connection, image: int) -> tuple[Tags, Provenance | None]:
    """An image's tags and who gave them (None where nobody did)."""
    row = db.execute(
        "SELECT present, absent, complete, provenance FROM tags WHERE image = ? ORDER BY id DESC LIMIT 1", (image,)
    ).fetchone()
    if row is None:
        return Tags(), None
    tags = Tags(frozenset(json.loads(row[0])), frozenset(json.loads(row[1])), bool(row[2]))
    return tags, get_provenances(db, {row[3]})[row[3]]


def merged(old: Tags, new: Tags) -> Tags:
    """Both tag lists; where they contradict each other, the newer one is believed."""
    present = (old.present - new.absent) | new.present
    absent = (old.absent - new.present) | new.absent
    return Tags(present, absent, old.complete or new.complete)


def current_digest(db: sqlite3.Connection, image: int) -> tuple[str, int]:
    """Content digest of an image's live labels (empty if there are none) and its count of accepted pixels."""
    tags, _ = live_tags(db, image)
    marks = db.execute("SELECT digest FROM marks WHERE image = ? AND removed IS NULL ORDER BY id", (image,)).fetchall()
    chunks = db.execute(
        "SELECT i, j, digest, pixels FROM chunks WHERE image = ? AND digest <> '' ORDER BY i, j", (image,)
    ).fetchall()
    if not (tags or marks or chunks):
        return "", 0
    said = json.dumps([sorted(tags.present), sorted(tags.absent), tags.complete])
    accepted = "".join(f"{i},{j}:{chunk};" for i, j, chunk, _ in chunks)
    return digest(said, "".join(row[0] for row in marks), accepted), sum(row[3] for row in chunks)


def refresh_digest(db: sqlite3.Connection, image: int) -> None:
    """Bring the image's digest and count up to date; belongs into every transaction on labels or masks."""
    row = (*current_digest(db, image), image)
    db.execute("UPDATE images SET labels_digest = ?, accepted_pixels = ? WHERE id = ?", row)


def mark_digest(mark: Mark) -> str:
    """Content digest of a mark."""
    kind, extra, _ = _columns(mark)
    where = json.dumps([kind, *_extent(mark), 0 if isinstance(mark, Stroke) else int(mark.class_id), extra])
    return digest(where, _raster_bytes(mark.raster) if isinstance(mark, Stroke) else b"")


def _columns(mark: Mark) -> tuple[str, int, bytes | None]:
    """Kind, the kind's own number (instance of a point, fill of a box) and the compressed raster."""
    if isinstance(mark, Point):
        return "point", int(mark.instance), None
    if isinstance(mark, Box):
        return "box", int(mark.fill), None
    return "stroke", 0, zlib.compress(_raster_bytes(mark.raster), 1)


def _mark(row: tuple[str, int, int, int, int, int, int, bytes | None]) -> Mark:
    kind, y0, x0, y1, x1, class_id, extra, raster = row
    if kind == "point":
        return Point(y0, x0, class_id, extra)
    if kind == "box":
        return Box(y0, x0, y1, x1, class_id, bool(extra))
    pixels = np.frombuffer(zlib.decompress(raster or b""), "<u2").reshape(y1 - y0, x1 - x0)
    return Stroke(y0, x0, pixels.astype(np.uint16))


def _raster_bytes(raster: Labels) -> bytes:
    return np.ascontiguousarray(raster, "<u2").tobytes()


def _extent(mark: Mark) -> tuple[int, int, int, int]:
    """Half-open box of the mark's pixels, as plain integers."""
    if isinstance(mark, Point):
        return int(mark.y), int(mark.x), int(mark.y) + 1, int(mark.x) + 1
    if isinstance(mark, Box):
        return int(mark.y0), int(mark.x0), int(mark.y1), int(mark.x1)
    y0, x0 = int(mark.y0), int(mark.x0)
    return y0, x0, y0 + mark.raster.shape[0], x0 + mark.raster.shape[1]


def _classes_in(mark: Mark) -> list[int]:
    if isinstance(mark, Stroke):
        return [int(k) for k in np.unique(mark.raster) if k]
    return [mark.class_id]


def _described(mark: Mark) -> str:
    if isinstance(mark, Point):
        return f"point (y {mark.y}, x {mark.x})"
    y0, x0, y1, x1 = _extent(mark)
    return f"{'box' if isinstance(mark, Box) else 'stroke'} (y {y0} to {y1}, x {x0} to {x1})"
