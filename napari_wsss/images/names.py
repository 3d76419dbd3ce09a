"""Which files a person means, what their images are called, and the hash of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from napari_wsss.errors import UsageError
from napari_wsss.images._header import reading
from napari_wsss.images._zarr import is_zarr

ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".btf", ".tf8", ".zarr")


def image_files(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Each image file that a person named, with the common folder of all that was named.

    A file is taken as given; a folder is searched with its subfolders for image endings, in the
    order of names, leaving out hidden files and folders. A zarr folder is one image.

    Raises
    ------
    UsageError
        A path that does not exist.
    """
    named = [Path(os.path.abspath(path)) for path in paths]
    for path in named:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
    if not named:
        return []
    common = _common([path if _is_folder(path) else path.parent for path in named])
    files = dict.fromkeys(file for path in named for file in _below(path))
    return [(file, common) for file in files]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not _is_zarr_image(path)


def _is_zarr_image(path: Path) -> bool:
    return path.suffix.lower() == ".zarr" or is_zarr(path)


def _common(folders: list[Path]) -> Path:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:  # two drives
        raise UsageError("the images lie on different drives; add each drive's by itself") from error


def _below(path: Path) -> Iterator[Path]:
    if not _is_folder(path):
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink() and not _is_zarr_image(entry):
            yield from _below(entry)
        elif entry.suffix.lower() in ENDINGS or (entry.is_dir() and is_zarr(entry)):
            yield entry


def image_name(file: Path, common: Path) -> str:
    """The image's name: its path below the common folder, with ``/`` on every system."""
    file, common = Path(os.path.abspath(file)), Path(os.path.abspath(common))
    return file.relative_to(common).as_posix() if file != common and file.is_relative_to(common) else file.name


def content_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; of a zarr folder: of its files' paths, sizes and bytes in order of path."""
    sha = hashlib.sha256()
    with reading(path):
        if not path.is_dir():
            _feed(sha, path)
            return sha.hexdigest()
        files = sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*") if f.is_file())
        for name, file in files:
            sha.update(f"{name}\0{file.stat().st_size}\0".encode())
            _feed(sha, file)
    return sha.hexdigest()


def _feed(sha: hashlib._Hash, file: Path) -> None:
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
