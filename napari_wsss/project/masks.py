"""Accepted masks: every edit is a transaction first, then folded into the image's array files.

The journal holds, for each edit, the old and new values of every chunk it changed, and for each chunk
the digest of what it now contains. The array files are therefore never the only copy: a chunk whose
file does not have its digest (the process died before folding, another one is just folding, the disk
lied) is made again from the journal. A reader inside one transaction sees one state of the mask.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_wsss.errors import UsageError
from napari_wsss.project.chunks import ChunkedArray, chunk_shape, chunks_under
from napari_wsss.project.rows import ImageRow
from napari_wsss.types import Box4, Instances, Labels, Mask, digest

Kind = Literal["edit", "accept", "import", "undo"]


@dataclass(eq=False, slots=True)
class Chunk:
    """What one chunk contains, padded to the chunk's full size."""

    labels: Labels
    instances: Instances

    @property
    def digest(self) -> str:
        """Content digest; empty where nothing is accepted."""
        if not self.labels.any():
            return ""
        ids = np.ascontiguousarray(self.instances, "<u4").tobytes() if self.instances.any() else b""
        return digest(np.ascontiguousarray(self.labels, "<u2").tobytes(), ids)


Fresh = dict[tuple[int, int], Chunk]
"""Contents of the chunks that an edit changed, to be folded without reading the journal again."""


class MaskStore:
    """The arrays of a project's accepted masks, below ``folder``; the journal is handed in."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder, self._temporary = folder, temporary

    def edit(self, db: sqlite3.Connection, image: ImageRow, kind: Kind, box: Box4, new: Mask, by: int) -> Fresh:
        """Record that the box now holds ``new`` (arrays of the box's size), inside the caller's transaction.

        Object ids are kept only on labelled pixels. Returns what :meth:`fold` wants.
        """
        number = _insert_edit(db, image.id, kind, box, by)
        ids = np.zeros(new.labels.shape, np.uint32) if new.instances is None else new.instances
        ids = np.where(new.labels > 0, ids, 0).astype(np.uint32)
        fresh: Fresh = {}
        for i, j, part in chunks_under(box, image.shape):
            crop = np.s_[part[0] - box[0] : part[2] - box[0], part[1] - box[1] : part[3] - box[1]]
            chunk = self._patch(db, image, number, (i, j), part, Mask(new.labels[crop], ids[crop]))
            if chunk is not None:
                fresh[i, j] = chunk
        return fresh

    def undo_last(self, db: sqlite3.Connection, image: ImageRow, by: int) -> Fresh | None:
        """Take back the newest edit not yet taken back, inside the caller's transaction; None if there is none."""
        row = db.execute(
            "SELECT id, y0, x0, y1, x1 FROM edits WHERE image = ? AND kind <> 'undo' AND undone_by IS NULL"
            " ORDER BY id DESC LIMIT 1",
            (image.id,),
        ).fetchone()
        if row is None:
            return None
        number = _insert_edit(db, image.id, "undo", row[1:], by)
        height, width = chunk_shape(image.shape)
        fresh: Fresh = {}
        for i, j, y0, x0, y1, x1, labels, ids in db.execute(
            "SELECT i, j, y0, x0, y1, x1, old_labels, old_instances FROM patches WHERE edit = ?", (row[0],)
        ).fetchall():
            part = (y0 + i * height, x0 + j * width, y1 + i * height, x1 + j * width)
            old = Mask(_unpack(labels, "<u2", (y0, x0, y1, x1)), _unpack(ids, "<u4", (y0, x0, y1, x1)))
            chunk = self._patch(db, image, number, (i, j), part, old)
            if chunk is not None:
                fresh[i, j] = chunk
        db.execute("UPDATE edits SET undone_by = ? WHERE id = ?", (number, row[0]))
        return fresh

    def fold(self, db: sqlite3.Connection, image: ImageRow, fresh: Fresh) -> None:
        """Bring the image's array files up to date, inside the caller's write transaction.

        The write lock keeps two processes from folding in the wrong order; doing it twice is harmless.
        """
        labels, instances = self._arrays(image)
        rows = db.execute("SELECT i, j, digest FROM chunks WHERE image = ? AND folded = 0", (image.id,)).fetchall()
        for i, j, expected in rows:
            chunk = fresh.get((i, j))
            if chunk is None or chunk.digest != expected:
                chunk = self._replayed(db, image, i, j)
            labels.write(i, j, chunk.labels, self._temporary)
            instances.write(i, j, chunk.instances, self._temporary)
            db.execute("UPDATE chunks SET folded = 1 WHERE image = ? AND i = ? AND j = ?", (image.id, i, j))

    def read(self, db: sqlite3.Connection, image: ImageRow, box: Box4 | None = None, replay: bool = False) -> Mask:
        """The accepted mask of the image, or of a box of it; ``replay`` trusts only the journal."""
        y0, x0, y1, x1 = box or (0, 0, *image.shape)
        height, width = chunk_shape(image.shape)
        labels = np.zeros((y1 - y0, x1 - x0), np.uint16)
        ids = np.zeros(labels.shape, np.uint32)
        known = self._digests(db, image)
        for i, j, part in chunks_under((y0, x0, y1, x1), image.shape):
            expected = known.get((i, j), "")
            if not expected and not replay:
                continue
            chunk = self._replayed(db, image, i, j) if replay else self._content(db, image, i, j, expected)
            there = np.s_[part[0] - y0 : part[2] - y0, part[1] - x0 : part[3] - x0]
            here = np.s_[part[0] - i * height : part[2] - i * height, part[1] - j * width : part[3] - j * width]
            labels[there], ids[there] = chunk.labels[here], chunk.instances[here]
        return Mask(labels, ids if ids.any() else None)

    def damaged(self, db: sqlite3.Connection, image: ImageRow) -> list[tuple[int, int]]:
        """Chunks whose files do not hold what the journal says, or whose history does not lead there."""
        return [
            at
            for at, expected in self._digests(db, image).items()
            if (chunk := self._on_disk(image, *at)) is None
            or not chunk.digest == expected == self._replayed(db, image, *at).digest
        ]

    def _patch(
        self, db: sqlite3.Connection, image: ImageRow, edit: int, at: tuple[int, int], part: Box4, new: Mask
    ) -> Chunk | None:
        """Record one chunk's share of an edit; the chunk's new content, None if nothing changes."""
        (i, j), (height, width) = at, chunk_shape(image.shape)
        row = db.execute("SELECT digest FROM chunks WHERE image = ? AND i = ? AND j = ?", (image.id, i, j)).fetchone()
        chunk = self._content(db, image, i, j, row[0] if row else "")
        y0, x0, y1, x1 = part[0] - i * height, part[1] - j * width, part[2] - i * height, part[3] - j * width
        here = np.s_[y0:y1, x0:x1]
        new_ids = np.zeros(new.labels.shape, np.uint32) if new.instances is None else new.instances
        if (chunk.labels[here] == new.labels).all() and (chunk.instances[here] == new_ids).all():
            return None
        with_ids = bool(new_ids.any() or chunk.instances[here].any())
        blobs = (
            _pack(chunk.labels[here], "<u2"),
            _pack(new.labels, "<u2"),
            _pack(chunk.instances[here], "<u4") if with_ids else None,
            _pack(new_ids, "<u4") if with_ids else None,
        )
        db.execute(
            "INSERT INTO patches (edit, image, i, j, y0, x0, y1, x1, old_labels, new_labels, old_instances,"
            " new_instances) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (edit, image.id, i, j, y0, x0, y1, x1, *blobs),
        )
        chunk.labels[here], chunk.instances[here] = new.labels, new_ids
        db.execute(
            "INSERT INTO chunks (image, i, j, digest, pixels, folded) VALUES (?,?,?,?,?,0) ON CONFLICT DO UPDATE"
            " SET digest = excluded.digest, pixels = excluded.pixels, folded = 0",
            (image.id, i, j, chunk.digest, int(np.count_nonzero(chunk.labels))),
        )
        return chunk

    def _content(self, db: sqlite3.Connection, image: ImageRow, i: int, j: int, expected: str) -> Chunk:
        """A chunk as the journal's digest says it is: from its files, else from the journal."""
        if not expected:
            return _empty(image)
        chunk = self._on_disk(image, i, j)
        return chunk if chunk is not None and chunk.digest == expected else self._replayed(db, image, i, j)

    def _on_disk(self, image: ImageRow, i: int, j: int) -> Chunk | None:
        labels, instances = (array.read(i, j) for array in self._arrays(image))
        return None if labels is None or instances is None else Chunk(labels, instances)

    def _replayed(self, db: sqlite3.Connection, image: ImageRow, i: int, j: int) -> Chunk:
        """A chunk from every edit that touched it, oldest first."""
        chunk = _empty(image)
        for y0, x0, y1, x1, labels, ids in db.execute(
            "SELECT y0, x0, y1, x1, new_labels, new_instances FROM patches WHERE image = ? AND i = ? AND j = ?"
            " ORDER BY edit",
            (image.id, i, j),
        ):
            chunk.labels[y0:y1, x0:x1] = _unpack(labels, "<u2", (y0, x0, y1, x1))
            chunk.instances[y0:y1, x0:x1] = _unpack(ids, "<u4", (y0, x0, y1, x1))
        return chunk

    def _digests(self, db: sqlite3.Connection, image: ImageRow) -> dict[tuple[int, int], str]:
        rows = db.execute("SELECT i, j, digest FROM chunks WHERE image = ? ORDER BY i, j", (image.id,))
        return {(i, j): text for i, j, text in rows}

    def _arrays(self, image: ImageRow) -> tuple[ChunkedArray, ChunkedArray]:
        folder = self._folder / image.file_key
        return (
            ChunkedArray(folder / "labels.zarr", image.shape, "uint16"),
            ChunkedArray(folder / "instances.zarr", image.shape, "uint32"),
        )


def checked(labels: Labels, instances: Instances | None, box: Box4, image: ImageRow, n_classes: int) -> Mask:
    """A mask for a box of an image, refused where it does not fit.

    Raises
    ------
    UsageError
        Box outside the image, arrays of another size or type, or a class that the project has not.
    """
    y0, x0, y1, x1 = box
    if not (0 <= y0 < y1 <= image.shape[0] and 0 <= x0 < x1 <= image.shape[1]):
        raise UsageError(
            f"{image.name}: box {box} lies outside the image of {image.shape[0]} x {image.shape[1]} or is empty"
        )
    for what, array in (("mask", labels), ("instance", instances)):
        if array is not None and array.shape != (y1 - y0, x1 - x0):
            raise UsageError(
                f"{image.name}: a {what} array of {array.shape} does not fit a box of {(y1 - y0, x1 - x0)}"
            )
        if array is not None and array.dtype.kind not in "ui":
            raise UsageError(f"{image.name}: a {what} array of {array.dtype} holds no whole numbers")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > n_classes:
        wrong = lowest if lowest < 0 else highest
        raise UsageError(f"{image.name}: the mask holds class {wrong}, but the project's classes are 1 to {n_classes}")
    if instances is not None and not 0 <= int(instances.min()) <= int(instances.max()) < 2**32:
        raise UsageError(f"{image.name}: object ids must lie between 0 and {2**32 - 1}")
    ids = None if instances is None else instances.astype(np.uint32, copy=False)
    return Mask(labels.astype(np.uint16, copy=False), ids)


def cropped(new: Mask, box: Box4, old: Mask | None, image: ImageRow) -> Mask:
    """The part of ``new`` inside a box, its object ids distinct from those of other objects of ``old`` outside.

    An id in use outside names the same object if both masks have it on a common pixel out there.
    """
    part = np.s_[max(box[0], 0) : box[2], max(box[1], 0) : box[3]]
    ids = None if new.instances is None else new.instances[part].copy()
    if ids is not None and new.instances is not None and old is not None and old.instances is not None:
        outside = old.instances.copy()
        outside[part] = 0
        same = np.unique(outside[outside == new.instances])
        clashes = np.setdiff1d(np.intersect1d(ids, outside), np.append(same, 0))
        free = int(max(new.instances.max(), old.instances.max())) + 1
        for offset, taken in enumerate(clashes):
            ids[new.instances[part] == taken] = free + offset
    return checked(new.labels[part], ids, box, image, int(new.labels.max()))


def live_edits(db: sqlite3.Connection, image: ImageRow) -> list[int]:
    """Provenance rows of the edits that the mask now comes from, oldest first.

    An edit of the whole image makes all earlier ones irrelevant; what was undone does not count.
    """
    rows = db.execute(
        "SELECT y0, x0, y1, x1, provenance FROM edits WHERE image = ? AND kind <> 'undo' AND undone_by IS NULL"
        " ORDER BY id",
        (image.id,),
    ).fetchall()
    whole = [n for n, row in enumerate(rows) if row[:4] == (0, 0, *image.shape)]
    return [row[4] for row in rows[whole[-1] if whole else 0 :]]


def unfolded_images(db: sqlite3.Connection) -> list[int]:
    """Row ids of the images whose array files are behind the journal."""
    return [row[0] for row in db.execute("SELECT DISTINCT image FROM chunks WHERE folded = 0")]


def _insert_edit(db: sqlite3.Connection, image: int, kind: Kind, box: Box4, by: int) -> int:
    cursor = db.execute(
        "INSERT INTO edits (image, kind, y0, x0, y1, x1, provenance) VALUES (?,?,?,?,?,?,?)",
        (image, kind, *(int(v) for v in box), by),
    )
    return int(cursor.lastrowid or 0)


def _empty(image: ImageRow) -> Chunk:
    shape = chunk_shape(image.shape)
    return Chunk(np.zeros(shape, np.uint16), np.zeros(shape, np.uint32))


def _pack(values: Labels | Instances, dtype: str) -> bytes:
    return zlib.compress(np.ascontiguousarray(values, dtype).tobytes(), 1)


def _unpack(blob: bytes | None, dtype: str, box: Box4) -> np.ndarray[tuple[int, int], np.dtype[np.unsignedinteger]]:
    shape = (box[2] - box[0], box[3] - box[1])
    if blob is None:
        return np.zeros(shape, dtype)
    return np.frombuffer(zlib.decompress(blob), dtype).reshape(shape)
