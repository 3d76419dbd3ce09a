"""Finding an image's file again: by path while it is there unchanged, else by its content's hash."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from napari_wsss.images import content_hash
from napari_wsss.project.rows import ImageRow

_MOST_FILES = 200_000
"""Files looked at below one folder when searching: a project may lie in somebody's home folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a file is now; ``size`` and ``mtime_ns`` tell later whether it must be hashed again."""

    path: Path
    size: int
    mtime_ns: int

    def is_news_for(self, row: ImageRow, project: Path) -> bool:
        """Whether the journal has something else."""
        now = (str(self.path), relative_to(self.path, project), self.size, self.mtime_ns)
        return now != (row.path, row.relative, row.size, row.mtime_ns)


@dataclass(slots=True)
class Finder:
    """Searches for the files of one project, remembering what lies in the folders it walked through."""

    project: Path
    _by_size: dict[Path, dict[int, list[Path]]] = field(default_factory=dict)

    def where_it_was(self, row: ImageRow) -> Found | None:
        """The file with the row's content at a recorded place; hashed only if its time of change is news."""
        for path in self._recorded(row):
            size, mtime_ns = signature(path)
            if (size, mtime_ns) == (row.size, row.mtime_ns) or self._is(path, size, row):
                return Found(path, size, mtime_ns)
        return None

    def search(self, row: ImageRow, folders: Iterable[Path]) -> Found | None:
        """A file with the row's content anywhere below the folders; only files of its size are hashed."""
        for folder in folders:
            for path in self._index(folder).get(row.size, ()):
                if path.exists() and self._is(path, row.size, row):
                    return Found(path, *signature(path))
        return None

    def changed_file(self, row: ImageRow) -> Path | None:
        """The file at the recorded place, if there is one (asked when the row's content is nowhere: it changed)."""
        return next(self._recorded(row), None)

    def forget(self) -> None:
        """Look at the folders anew."""
        self._by_size.clear()

    def _recorded(self, row: ImageRow) -> Iterator[Path]:
        # The path within or beside the project first: a copied project must not read the original's images.
        for text in (row.relative, row.path):
            path = Path(os.path.normpath(self.project / text)) if text else None
            if path is not None and path.exists():
                yield path

    def _is(self, path: Path, size: int, row: ImageRow) -> bool:
        return size == row.size and content_hash(path) == row.sha256

    def _index(self, folder: Path) -> dict[int, list[Path]]:
        if folder not in self._by_size:
            index: dict[int, list[Path]] = {}
            for number, path in enumerate(_files_below(folder)):
                if number >= _MOST_FILES:
                    break
                index.setdefault(signature(path)[0], []).append(path)
            self._by_size[folder] = index
        return self._by_size[folder]


def signature(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change (ns) of a file, or of all files of a zarr folder together."""
    if not path.is_dir():
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    inside = [Path(folder, name).stat() for folder, _, names in os.walk(path) for name in names]
    return sum(s.st_size for s in inside), max((s.st_mtime_ns for s in inside), default=0)


def relative_to(file: Path, project: Path) -> str:
    """The file's path as seen from the project folder, with ``/``; empty on another Windows drive."""
    try:
        return Path(os.path.relpath(file, project)).as_posix()
    except ValueError:
        return ""


def _files_below(folder: Path) -> Iterator[Path]:
    """Files and zarr folders; folders that cannot be listed are passed over, as by ``os.walk``."""
    for parent, below, names in os.walk(folder):
        zarrs = [name for name in below if name.lower().endswith(".zarr")]
        below[:] = sorted(name for name in below if name not in zarrs and not name.startswith("."))
        for name in sorted([*zarrs, *names]):
            path = Path(parent, name)
            if path.exists():  # not a link to nothing
                yield path
