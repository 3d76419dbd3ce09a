"""Regions that a person was asked about, in the journal: where, why, and what was answered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from napari_wsss.errors import UsageError
from napari_wsss.types import Answer, Region

_COLUMNS = "regions.id, name, y0, x0, y1, x1, score, impurity, uncertainty, classes, why, strategy, status"


def insert(db: sqlite3.Connection, image: int, region: Region, by: int) -> int:
    """Append a region; its number. ``by`` is a row id."""
    told = (region.score, region.impurity, region.uncertainty, json.dumps([int(k) for k in region.classes]))
    cursor = db.execute(
        "INSERT INTO regions (image, y0, x0, y1, x1, score, impurity, uncertainty, classes, why, strategy, status,"
        " provenance) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (image, *(int(v) for v in region.box), *told, region.why, region.strategy, region.status, by),
    )
    return int(cursor.lastrowid or 0)


def listed(db: sqlite3.Connection, statuses: Sequence[Answer] | None, image: int | None = None) -> list[Region]:
    """Regions in the order in which they were recorded."""
    where = ["1"]
    values: list[str] = []
    if statuses is not None:
        where.append(f"status IN ({','.join('?' * len(statuses))})")
        values += list(statuses)
    if image is not None:
        where.append("image = ?")
        values.append(str(image))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM regions JOIN images ON images.id = image"
        f" WHERE {' AND '.join(where)} ORDER BY regions.id",
        values,
    )
    return [_region(row) for row in rows]


def numbered(db: sqlite3.Connection, number: int) -> Region:
    """One region.

    Raises
    ------
    UsageError
        There is none of this number.
    """
    row = db.execute(
        f"SELECT {_COLUMNS} FROM regions JOIN images ON images.id = image WHERE regions.id = ?", (number,)
    ).fetchone()
    if row is None:
        raise UsageError(f"no region {number}; list them with `napari-wsss next`")
    return _region(row)


def answer(db: sqlite3.Connection, number: int, status: Answer, by: int) -> None:
    """Note what was answered; an answer may be given again."""
    db.execute("UPDATE regions SET status = ?, answered = ? WHERE id = ?", (status, by, number))


def forget_open(db: sqlite3.Connection) -> int:
    """Remove the regions that nobody answered; how many there were."""
    return db.execute("DELETE FROM regions WHERE status = 'asked'").rowcount


def _region(row: tuple[int, str, int, int, int, int, float, float, float, str, str, str, Answer]) -> Region:
    number, name, y0, x0, y1, x1, score, mixed, unsure, classes, why, strategy, status = row
    return Region(
        name, (y0, x0, y1, x1), score, mixed, unsure, tuple(json.loads(classes)), why, strategy, number, status
    )
