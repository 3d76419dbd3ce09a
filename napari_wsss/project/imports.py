"""Taking in label files: a whole file is one transaction, and a file taken in before changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from napari_wsss.errors import UsageError
from napari_wsss.project import labels, masks
from napari_wsss.project.rows import ImageRow, row_numbered
from napari_wsss.types import ImportedLabels, Mark


def is_known(db: sqlite3.Connection, digest: str) -> bool:
    """Whether this content was taken in before."""
    return db.execute("SELECT 1 FROM imports WHERE digest = ?", (digest,)).fetchone() is not None


def record_import(db: sqlite3.Connection, source: str, digest: str, maker: int) -> int:
    """Note that a file is taken in; its row id."""
    cursor = db.execute("INSERT INTO imports (digest, source, provenance) VALUES (?,?,?)", (digest, source, maker))
    return int(cursor.lastrowid or 0)


def take_in(
    db: sqlite3.Connection,
    store: masks.MaskStore,
    image: ImageRow,
    said: ImportedLabels,
    n_classes: int,
    imported: int,
    maker: int,
) -> tuple[masks.Fresh, bool]:
    """Add what a file says of one image: (mask chunks to fold, whether its labels changed).

    Tags are merged with those the image has; marks that an earlier import gave are not given again; a
    mask replaces the accepted one; ``instances`` alone give the accepted mask its ids.
    """
    check_marks(image, said.marks, n_classes)
    if said.tags is not None:
        labels.check_tags(said.tags, n_classes)
        labels.insert_tags(db, image.id, labels.merged(labels.live_tags(db, image.id)[0], said.tags), maker)
    labels.insert_marks(db, image.id, labels.new_to(db, image.id, said.marks), maker, imported)
    fresh: masks.Fresh = {}
    if said.mask is not None or said.instances is not None:
        box = (0, 0, *image.shape)
        mask = store.read(db, image).labels if said.mask is None else said.mask
        new = masks.checked(mask, said.instances, box, image, n_classes)
        fresh = store.edit(db, image, "import", box, new, maker)
    labels.refresh_digest(db, image.id)
    return fresh, row_numbered(db, image.id).labels_digest != image.labels_digest


def check_marks(image: ImageRow, marks: Sequence[Mark], n_classes: int) -> None:
    """Refuse marks that do not fit the image or the classes, naming the image."""
    for mark in marks:
        try:
            labels.check_mark(mark, image.shape, n_classes)
        except UsageError as error:
            raise UsageError(f"{image.name}: {error}") from error
