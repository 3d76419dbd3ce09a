"""Files that are whole or not there: written beside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

TEMPORARY = "tmp"
"""Folder of a project that holds files being written; what a killed process left there is swept."""

_STALE_AFTER = 24 * 3600.0


def write_bytes(target: Path, data: bytes, temporary: Path, durable: bool = True) -> None:
    """Write ``data`` to ``target`` so that a reader, or a crash of the program, sees the old file or the new one.

    ``temporary`` is a folder on the same file system; it and the target's folder are made if missing.
    ``durable`` waits until a power cut cannot take the new file away either.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary / f"{os.getpid()}-{os.urandom(6).hex()}"
    try:
        with beside.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    if durable:
        _flush_folder(target.parent)


def sweep(folder: Path, keep: frozenset[str] = frozenset(), older_than: float = _STALE_AFTER) -> None:
    """Remove the files of ``folder`` (not below) that are not in ``keep`` and older than so many seconds.

    The age is there because another process may be about to rename or to record a younger file.
    """
    if not folder.is_dir():
        return
    oldest = time.time() - older_than
    for entry in os.scandir(folder):
        # Another process may sweep at the same time: a file that went meanwhile is what we wanted.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if entry.name not in keep and entry.is_file() and entry.stat().st_mtime < oldest:
                os.unlink(entry.path)


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such call, and its renames are journalled."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
