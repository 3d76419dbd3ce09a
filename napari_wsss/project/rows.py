"""A row of the journal's image list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from napari_wsss.types import digest

ImageState = Literal["new", "labelled", "proposed", "accepted", "skipped"]

_COLUMNS = (
    "id, name, plane, sha256, height, width, path, relative, size, mtime_ns, contrast, skipped, labels_digest,"
    " accepted_pixels, EXISTS (SELECT 1 FROM results WHERE image = images.id AND stage = 'refined')"
)


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as the journal knows it; ``path`` is where the file was last seen."""

    id: int
    name: str
    plane: str
    sha256: str
    height: int
    width: int
    path: str
    relative: str
    size: int
    mtime_ns: int
    contrast: str | None
    skipped: int
    labels_digest: str
    accepted_pixels: int
    proposed: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def file_key(self) -> str:
        """Name of the image's files in the project: of its content and plane, whatever it is called."""
        return digest(self.sha256, self.plane)[:32]

    @property
    def state(self) -> ImageState:
        """Where the image stands: the first of skipped, accepted, proposed, labelled that holds, else new."""
        if self.skipped:
            return "skipped"
        if self.accepted_pixels:
            return "accepted"
        if self.proposed:
            return "proposed"
        return "labelled" if self.labels_digest else "new"


def all_rows(db: sqlite3.Connection) -> list[ImageRow]:
    """Every image in name order; one query."""
    return [ImageRow(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM images ORDER BY name")]


def row_named(db: sqlite3.Connection, name: str) -> ImageRow | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM images WHERE name = ?", (name,)).fetchone()
    return ImageRow(*row) if row else None


def row_numbered(db: sqlite3.Connection, number: int) -> ImageRow:
    return ImageRow(*db.execute(f"SELECT {_COLUMNS} FROM images WHERE id = ?", (number,)).fetchone())


def rows_of_content(db: sqlite3.Connection, sha256: str) -> Iterator[ImageRow]:
    """Images (planes) of the file with this content."""
    for row in db.execute(f"SELECT {_COLUMNS} FROM images WHERE sha256 = ? ORDER BY name", (sha256,)).fetchall():
        yield ImageRow(*row)
