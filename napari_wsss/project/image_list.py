"""The project's images: adding them, calling them by name, finding and opening their files."""

from __future__ import annotations

import difflib
import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from napari_wsss import images
from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.project.atomic import TEMPORARY
from napari_wsss.project.image_reader import ImageReader
from napari_wsss.project.journal import Journal
from napari_wsss.project.relink import Finder, Found, relative_to, signature
from napari_wsss.project.rows import ImageRow, ImageState, all_rows, row_named, rows_of_content
from napari_wsss.project.settings import Settings
from napari_wsss.types import Float, Image, Progress, digest, written_stem

COPIES = "images"
"""Folder of a project for copied images."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image (a plane of a stack is an image) as others see it.

    ``file`` is where the file is now, or was last seen; ``key`` equals ``Image.key``: it changes with
    the content, the plane and the contrast settings. ``labels_digest`` changes with the labels and is
    empty while there are none.
    """

    name: str
    plane: str
    file: Path
    sha256: str
    key: str
    shape: tuple[int, int]
    state: ImageState
    labels_digest: str
    accepted_pixels: int = 0

    @property
    def is_whole(self) -> bool:
        """Every pixel is accepted: nothing is left to be found out."""
        return self.accepted_pixels >= self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True)
class AddReport:
    """Names that are new, names that the project already had, and a line for each file that cannot be read."""

    added: tuple[str, ...]
    known: tuple[str, ...]
    unreadable: tuple[str, ...]


class ImageList:
    """The images of one project."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder, self._journal = folder, journal
        self._finder = Finder(folder)
        self._callable: tuple[object, dict[str, set[str]]] = (None, {})

    def row(self, db: sqlite3.Connection, name: str) -> ImageRow:
        """The image of this name, or of this name without its ending, or of this bare stem while unique.

        Raises
        ------
        UsageError
            No such image, or several; names them.
        """
        row = row_named(db, name)
        if row is None:
            full = self._full_names(db).get(name, set())
            if len(full) > 1:
                raise UsageError(
                    f"{name!r} is the name of several images: {', '.join(sorted(full))}; give one of these"
                )
            row = row_named(db, next(iter(full))) if full else None
        if row is None:
            raise UsageError(f"the project has no image named {name!r}; {self._like(db, name)}")
        return row

    def _like(self, db: sqlite3.Connection, name: str) -> str:
        names = [row[0] for row in db.execute("SELECT name FROM images ORDER BY name")]
        close = difflib.get_close_matches(name, names) or names[:3]
        return f"it has {len(names)}, such as {', '.join(close)}" if names else "it has no images yet, add some"

    def records(self, settings: Settings, look: bool = True) -> list[ImageRecord]:
        """Every image in name order. Hashes only files whose size or time of change is not the recorded one.

        Without ``look`` no file is looked for: ``file`` is where each was last seen.
        """
        with self._journal.read() as db:
            rows = all_rows(db)
        located = self._locate(rows) if look else [None] * len(rows)
        return [self._record(row, found, settings) for row, found in zip(rows, located)]

    def record(self, name: str, settings: Settings) -> ImageRecord:
        """One image by name, as :meth:`row` understands it."""
        with self._journal.read() as db:
            row = self.row(db, name)
        return self._record(row, self._locate([row])[0], settings)

    def open(self, name: str) -> tuple[ImageRow, images.ImageSource]:
        """The image's file, opened.

        Raises
        ------
        UsageError
            No such image.
        UnreadableImage
            The file is nowhere, its content changed since it was added, or it cannot be read.
        """
        row, file = self._row_and_file(name)
        return row, images.open_source(file)

    def _row_and_file(self, name: str) -> tuple[ImageRow, Path]:
        """The image and where its file is now; raises what :meth:`open` raises, the file is not read."""
        with self._journal.read() as db:
            row = self.row(db, name)
        found = self._locate([row])[0]
        if found is not None:
            return row, found.path
        changed = self._finder.changed_file(row)
        if changed is not None:
            raise UnreadableImage(
                f"{row.name}: the content of {changed} changed since it was added, its labels may not fit;"
                " bring the old file back, or add the new one under another name"
            )
        raise UnreadableImage(f"{row.name}: its file is gone (was {row.path}); add it again from where it is now")

    def image(self, name: str, settings: Settings) -> Image:
        """The image as every method sees it, its contrast measured once and kept."""
        return self.reader(name, settings)(None)

    def reader(self, name: str, settings: Settings) -> ImageReader:
        """What reads boxes of an image (None = all of it), its file opened once; each has the whole's contrast."""
        row, file = self._row_and_file(name)
        contrast = _kept_contrast(row, settings) or self._measured(row, images.open_source(file), settings)
        return ImageReader(file, row.plane, row.name, _image_key(row, settings), contrast, settings.rgb_channels)

    def add(self, paths: Iterable[Path], copy: bool, settings: Settings, progress: Progress) -> AddReport:
        """Add files, and the images of folders; each file is saved before the next is read."""
        added: list[str] = []
        known: list[str] = []
        unreadable: list[str] = []
        files = images.image_files([Path(os.path.abspath(path)) for path in paths])
        for number, (file, common) in enumerate(files):
            progress(number, len(files), file.name)
            try:
                old, new = self._add_file(file, common, copy, settings)
            except UnreadableImage as error:
                unreadable.append(str(error))
            except OSError as error:
                unreadable.append(f"{file}: cannot be read ({error.strerror or error}); check the file and its rights")
            else:
                known += old
                added += new
        progress(len(files), len(files), "")
        return AddReport(tuple(added), tuple(dict.fromkeys(known)), tuple(unreadable))

    def relink(self, folder: Path) -> tuple[str, ...]:
        """Search this folder too from now on; the names of images that are still nowhere."""
        with self._journal.write() as db:
            db.execute("INSERT OR IGNORE INTO folders (path) VALUES (?)", (os.path.abspath(folder),))
            rows = all_rows(db)
        self._finder.forget()
        located = self._locate(rows)
        return tuple(row.name for row, found in zip(rows, located) if found is None)

    def _add_file(self, file: Path, common: Path, copy: bool, settings: Settings) -> tuple[list[str], list[str]]:
        """Names of the file's planes: (those known, those added)."""
        size, mtime_ns = signature(file)
        sha256 = images.content_hash(file)
        with self._journal.read() as db:
            known = list(rows_of_content(db, sha256))
        if known:
            self._note(known, Found(file, size, mtime_ns))
            return [row.name for row in known], []
        source = images.open_source(file)
        # Reading one plane now shows a truncated file when it is added, not in the middle of a run.
        readable, contrast = _first_contrast(source, settings)
        kept = self._copied(file, sha256) if copy else file
        if copy:
            size, mtime_ns = signature(kept)
        name = images.image_name(file, common)
        with self._journal.write() as db:
            if next(rows_of_content(db, sha256), None):  # another process added it meanwhile
                return [row.name for row in rows_of_content(db, sha256)], []
            name = _free_name(db, name, file)
            names = [f"{name}@{plane}" if plane else name for plane in source.planes]
            where = (str(kept), relative_to(kept, self._folder), size, mtime_ns)
            for plane, full in zip(source.planes, names):
                measured = _contrast_json(contrast, settings) if plane == readable else None
                db.execute(
                    "INSERT INTO images (name, plane, sha256, height, width, path, relative, size, mtime_ns, contrast)"
                    " VALUES (?,?,?,?,?,?,?,?,?,?)",
                    (full, plane, sha256, *(int(v) for v in source.shape), *where, measured),
                )
        return [], names

    def _note(self, known: Sequence[ImageRow], file: Found) -> None:
        """An added file whose content the project has: if the project lost its own, this is where it is now."""
        if self._locate(known[:1])[0] is None:
            self._update(known, [file] * len(known))

    def _locate(self, rows: Sequence[ImageRow]) -> list[Found | None]:
        """Where the images' files are now; the journal learns what is news."""
        files: dict[object, Found | None] = {}  # the planes of a stack share one
        for row in rows:
            if _file_of(row) not in files:
                files[_file_of(row)] = self._finder.where_it_was(row)
        if not all(files.values()):
            folders = self._folders()
            for row in rows:
                files[_file_of(row)] = files[_file_of(row)] or self._finder.search(row, folders)
        located = [files[_file_of(row)] for row in rows]
        self._update(rows, located)
        return located

    def _update(self, rows: Sequence[ImageRow], located: Sequence[Found | None]) -> None:
        news = [
            (str(found.path), relative_to(found.path, self._folder), found.size, found.mtime_ns, row.id)
            for row, found in zip(rows, located)
            if found is not None and found.is_news_for(row, self._folder)
        ]
        if news:
            with self._journal.write(durable=False) as db:
                db.executemany("UPDATE images SET path = ?, relative = ?, size = ?, mtime_ns = ? WHERE id = ?", news)

    def _measured(self, row: ImageRow, source: images.ImageSource, settings: Settings) -> tuple[Float, Float]:
        measured = images.contrast(source, row.plane, settings.percentiles)
        with self._journal.write() as db:
            db.execute("UPDATE images SET contrast = ? WHERE id = ?", (_contrast_json(measured, settings), row.id))
        return measured

    def _copied(self, file: Path, sha256: str) -> Path:
        """A copy inside the project, named by content; whole or not there."""
        ending = ".ome" * file.stem.lower().endswith(".ome") + file.suffix
        target = self._folder / COPIES / (sha256[:32] + ending)
        beside = self._folder / TEMPORARY / f"{os.getpid()}-{sha256[:32]}{ending}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            beside.parent.mkdir(exist_ok=True)
            if file.is_dir():
                shutil.copytree(file, beside, dirs_exist_ok=True)
            else:
                shutil.copyfile(file, beside)
            os.replace(beside, target)
        return target

    def _record(self, row: ImageRow, found: Found | None, settings: Settings) -> ImageRecord:
        file = found.path if found else Path(row.path)
        key = _image_key(row, settings)
        return ImageRecord(
            row.name, row.plane, file, row.sha256, key, row.shape, row.state, row.labels_digest, row.accepted_pixels
        )

    def _folders(self) -> list[Path]:
        """Where lost images are searched: what :meth:`relink` was told, then around the project."""
        with self._journal.read() as db:
            told = [Path(row[0]) for row in db.execute("SELECT path FROM folders ORDER BY path")]
        return [*told, self._folder.parent]

    def _full_names(self, db: sqlite3.Connection) -> dict[str, set[str]]:
        """Full names by every shorter way to say them; made again when the list of images grew."""
        grown = db.execute("SELECT count(*), max(id) FROM images").fetchone()
        if self._callable[0] != grown:
            short: dict[str, set[str]] = {}
            for (name,) in db.execute("SELECT name FROM images").fetchall():
                for said in _ways_to_say(name):
                    short.setdefault(said, set()).add(name)
            self._callable = (grown, short)
        return self._callable[1]


def _file_of(row: ImageRow) -> object:
    return row.sha256, row.path, row.relative, row.size, row.mtime_ns


def _ways_to_say(name: str) -> set[str]:
    """``a/b.ome.tif@t3``: also ``b.ome.tif@t3``, ``a/b@t3``, ``b@t3`` and, as files are written, ``a__b@t3``."""
    file, at, plane = name.partition("@")
    folder, slash, base = file.rpartition("/")
    stem = written_stem(base)
    return {base + at + plane, folder + slash + stem + at + plane, stem + at + plane, written_stem(name)}


def _free_name(db: sqlite3.Connection, name: str, file: Path) -> str:
    """The name, or, where another image has it, the name below as many parent folders as it takes."""
    if not _is_taken(db, name):
        return name
    parts = file.parts[1:]
    longer = ("/".join(parts[-length:]) for length in range(name.count("/") + 2, len(parts) + 1))
    numbered = (f"{n}/{name}" for n in itertools.count(2))
    return next(candidate for candidate in itertools.chain(longer, numbered) if not _is_taken(db, candidate))


def _is_taken(db: sqlite3.Connection, name: str) -> bool:
    """Whether an image, or a stack by its planes ``name@…``, has this name ("A" is the letter after "@")."""
    return bool(
        db.execute(
            "SELECT 1 FROM images WHERE name = ? OR (name >= ? AND name < ?)", (name, name + "@", name + "A")
        ).fetchone()
    )


def _first_contrast(source: images.ImageSource, settings: Settings) -> tuple[str, tuple[Float, Float]]:
    """The first plane that can be read and has a valid pixel, and its contrast.

    Raises
    ------
    UnreadableImage
        Of the first plane, if there is no such plane.
    """
    first: UnreadableImage | None = None
    for plane in source.planes:
        try:
            return plane, images.contrast(source, plane, settings.percentiles)
        except UnreadableImage as error:
            first = first or error
    raise first or UnreadableImage(f"{source.path}: it has no planes; nothing to label")


def _image_key(row: ImageRow, settings: Settings) -> str:
    """Equal keys, equal arrays: content, plane and contrast settings."""
    return _key(row.sha256, row.plane, settings.percentiles)


@lru_cache(2**16)
def _key(sha256: str, plane: str, percentiles: tuple[float, float]) -> str:
    return digest(sha256, plane, json.dumps([float(p) for p in percentiles]))


def _kept_contrast(row: ImageRow, settings: Settings) -> tuple[Float, Float] | None:
    """What the journal has, if it was measured with these percentiles."""
    kept = json.loads(row.contrast) if row.contrast else {}
    if kept.get("percentiles") != list(settings.percentiles):
        return None
    return np.array(kept["lo"], np.float32), np.array(kept["hi"], np.float32)


def _contrast_json(contrast: tuple[Float, Float], settings: Settings) -> str:
    lo, hi = ([float(v) for v in limits] for limits in contrast)
    return json.dumps({"percentiles": list(settings.percentiles), "lo": lo, "hi": hi})
