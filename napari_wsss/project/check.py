"""Whether a project's files agree with one another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from napari_wsss.errors import WsssError
from napari_wsss.project import labels
from napari_wsss.project.masks import MaskStore
from napari_wsss.project.results import STAGES, ResultStore
from napari_wsss.project.rows import ImageRow, all_rows


def problems(db: sqlite3.Connection, masks: MaskStore, results: ResultStore) -> Iterator[str]:
    """What is wrong, one line each: journal, digests, mask files, result files."""
    yield from (f"journal: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok")
    yield from (f"journal: a row of {row[0]} points nowhere" for row in db.execute("PRAGMA foreign_key_check"))
    for image in all_rows(db):
        if labels.current_digest(db, image.id) != (image.labels_digest, image.accepted_pixels):
            yield f"{image.name}: its digest is not that of its labels"
        for i, j in masks.damaged(db, image):
            yield f"{image.name}: chunk {i}, {j} of its mask is not what the journal says"
        yield from _result_problems(db, results, image)


def _result_problems(db: sqlite3.Connection, results: ResultStore, image: ImageRow) -> Iterator[str]:
    for stage in STAGES:
        file = results.named(db, image, stage)
        if file is None:
            continue
        try:
            missing = results.read(stage, file) is None
        except WsssError as error:
            yield f"{image.name}: {error}"
        else:
            if missing:
                yield f"{image.name}: the file of its {stage} result is gone"
