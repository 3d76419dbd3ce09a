"""The journal: one SQLite file in WAL that knows images, labels, edits, results and who made them.

A transaction that has ended is on the disk (``synchronous=FULL``). Writers take the lock at the start
(``BEGIN IMMEDIATE``), so two processes never fail half-way for having read before they wrote; readers
never wait. Nothing stored here is executed: numbers, text, JSON and compressed rasters only.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.project.settings import FORMAT
from napari_wsss.types import Provenance

FILE = "journal.sqlite"
_LOCK_SECONDS = 60.0
_USER_VERSION_AT = 60  # offset of user_version in an SQLite file's header, four bytes, big-endian

_REGIONS = """
CREATE TABLE regions (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    score REAL NOT NULL, impurity REAL NOT NULL, uncertainty REAL NOT NULL, classes TEXT NOT NULL,
    why TEXT NOT NULL, strategy TEXT NOT NULL, status TEXT NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance, answered INTEGER REFERENCES provenance);
CREATE INDEX regions_by_status ON regions (status, id);
"""

_SCHEMA = (
    """
CREATE TABLE provenance (
    id INTEGER PRIMARY KEY, made_by TEXT NOT NULL, name TEXT NOT NULL, made_when TEXT NOT NULL,
    params TEXT NOT NULL, model TEXT NOT NULL, sources TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE images (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, plane TEXT NOT NULL, sha256 TEXT NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL,
    path TEXT NOT NULL, relative TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    contrast TEXT, skipped INTEGER NOT NULL DEFAULT 0,
    labels_digest TEXT NOT NULL DEFAULT '', accepted_pixels INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sha256, plane));
CREATE TABLE folders (path TEXT PRIMARY KEY);
CREATE TABLE imports (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance);
CREATE TABLE tags (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images, present TEXT NOT NULL, absent TEXT NOT NULL,
    complete INTEGER NOT NULL, provenance INTEGER NOT NULL REFERENCES provenance);
CREATE INDEX tags_of_image ON tags (image, id);
CREATE TABLE marks (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images, kind TEXT NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    class INTEGER NOT NULL, extra INTEGER NOT NULL, raster BLOB, digest TEXT NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance, import INTEGER REFERENCES imports,
    removed INTEGER REFERENCES provenance);
CREATE INDEX live_marks_of_image ON marks (image, id) WHERE removed IS NULL;
CREATE TABLE edits (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images, kind TEXT NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance, undone_by INTEGER REFERENCES edits);
CREATE INDEX edits_of_image ON edits (image, id);
CREATE TABLE patches (
    edit INTEGER NOT NULL REFERENCES edits, image INTEGER NOT NULL, i INTEGER NOT NULL, j INTEGER NOT NULL,
    y0 INTEGER NOT NULL, x0 INTEGER NOT NULL, y1 INTEGER NOT NULL, x1 INTEGER NOT NULL,
    old_labels BLOB NOT NULL, new_labels BLOB NOT NULL, old_instances BLOB, new_instances BLOB,
    PRIMARY KEY (image, i, j, edit)) WITHOUT ROWID;
CREATE INDEX patches_of_edit ON patches (edit);
CREATE TABLE chunks (
    image INTEGER NOT NULL REFERENCES images, i INTEGER NOT NULL, j INTEGER NOT NULL,
    digest TEXT NOT NULL, pixels INTEGER NOT NULL, folded INTEGER NOT NULL,
    PRIMARY KEY (image, i, j)) WITHOUT ROWID;
CREATE INDEX chunks_to_fold ON chunks (folded) WHERE folded = 0;
CREATE TABLE results (
    image INTEGER NOT NULL REFERENCES images, stage TEXT NOT NULL, key TEXT NOT NULL, file TEXT NOT NULL,
    provenance INTEGER NOT NULL REFERENCES provenance, PRIMARY KEY (image, stage)) WITHOUT ROWID;
"""
    + _REGIONS
)


def _with_regions(db: sqlite3.Connection) -> None:
    for statement in _REGIONS.split(";"):
        db.execute(statement)


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _with_regions}
"""``MIGRATIONS[n]`` brings a journal from version n to n + 1, inside one transaction. Version 2 has regions."""


class Journal:
    """An open journal; safe to call from several threads, one transaction at a time.

    Raises
    ------
    UsageError
        The file is missing or was made by a newer version; it is left untouched.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / FILE
        if not file.is_file():
            raise UsageError(f"{folder} has no {FILE}; the project is incomplete, restore it from a copy")
        _refuse_newer(version_in_file(file), folder)
        self._file, self._lock = file, threading.RLock()
        self._db = _connect(file)
        try:
            _refuse_newer(self.version, folder)
            self._migrate(folder)
        except BaseException:
            self._db.close()
            raise

    @property
    def version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def copy_to(self, file: Path) -> None:
        """A copy as of this moment, others may write meanwhile. It may lie anywhere: one file, in nobody's use."""
        with self._lock, closing(sqlite3.connect(file)) as copy:
            self._db.backup(copy)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the journal, however much others write meanwhile."""
        with self._lock:
            if self._db.in_transaction:  # inside a write or another read: the same view
                yield self._db
                return
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._roll_back()

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: on the disk when the block ends, undone if it raises.

        ``durable=False`` is for what can be made again: a power cut may undo it, a crash may not.

        Raises
        ------
        WsssError
            It could not be saved (disk full, no rights, another program keeps the lock).
        """
        with self._lock:
            try:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                _begin_immediate(self._db)
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise WsssError(f"{self._file}: not saved ({error}); free disk space, or check the rights") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # some errors of SQLite have ended it already
            self._db.execute("ROLLBACK")

    def _migrate(self, folder: Path) -> None:
        """Bring an older journal up to date in one transaction."""
        if self.version == FORMAT:
            return
        with self.write() as db:
            for version in range(self.version, FORMAT):  # read again: another process may have been faster
                if version not in MIGRATIONS:
                    raise UsageError(f"{folder}: this version cannot read a project of format {version}")
                MIGRATIONS[version](db)
                db.execute(f"PRAGMA user_version = {version + 1}")
        # The version must stand in the file itself, where an older product looks before it opens it.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def create_journal(folder: Path) -> None:
    """A new, empty journal in ``folder``."""
    db = _connect(folder / FILE)
    try:
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {FORMAT};COMMIT;")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()


def version_in_file(file: Path) -> int:
    """Version of a journal, read from its header without opening it as a database."""
    with file.open("rb") as stream:
        header = stream.read(100)
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:
        raise WsssError(f"{file} is damaged (not an SQLite file); restore the project from a copy")
    return int.from_bytes(header[_USER_VERSION_AT : _USER_VERSION_AT + 4], "big")


def put_provenance(db: sqlite3.Connection, by: Provenance) -> int:
    """Record who made something; the row's id."""
    row = (by.made_by, by.name, by.when, _json(by.params), by.model, _json(list(by.sources)), by.version)
    cursor = db.execute(
        "INSERT INTO provenance (made_by, name, made_when, params, model, sources, version) VALUES (?,?,?,?,?,?,?)", row
    )
    return int(cursor.lastrowid or 0)


def get_provenances(db: sqlite3.Connection, ids: set[int]) -> dict[int, Provenance]:
    """Those provenances by row id."""
    marks = ",".join("?" * len(ids))
    rows = db.execute(
        f"SELECT id, made_by, name, made_when, params, model, sources, version FROM provenance WHERE id IN ({marks})",
        tuple(ids),
    )
    return {
        number: Provenance(made_by, name, when, json.loads(params), model, tuple(json.loads(sources)), version)
        for number, made_by, name, when, params, model, sources, version in rows
    }


def _json(value: Mapping[str, Any] | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=isinstance(value, Mapping), default=_plain)


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, anything else that JSON does not know as text (paths)."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        db.close()
        raise WsssError(f"{file} cannot be used ({error}); check the rights, or restore it from a copy") from error
    return db


def _refuse_newer(version: int, folder: Path) -> None:
    if version > FORMAT:
        raise UsageError(
            f"{folder} was made by a newer version (format {version}, this one reads up to {FORMAT}); update"
        )


def _begin_immediate(db: sqlite3.Connection) -> None:
    """Take the write lock, asking often: SQLite's own waits grow to 0.1 s, which a person feels.

    Raises
    ------
    WsssError
        Another program held the lock for a minute.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    db.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the low byte: any kind of busy
                    raise
                if time.monotonic() > deadline:
                    raise WsssError("another program keeps the project locked; end it and try again") from error
                time.sleep(random.uniform(0.0005, 0.003))  # spreads the askers
    finally:
        db.execute(f"PRAGMA busy_timeout = {int(1000 * _LOCK_SECONDS)}")
