"""What every reader of label files shares: who finds images, what comes out, and how wrong rows are told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from napari_wsss.errors import WsssError
from napari_wsss.types import Classes, Georeference, ImportedLabels, digest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image (plane) that labels may speak of: its record's name, (h, w) and where it lies."""

    name: str
    shape: tuple[int, int]
    georeference: Georeference | None = None


class ImageFinder(Protocol):
    """Finds images by the names that people write: with or without ending, the bare stem while unique."""

    def find(self, name: str) -> FoundImage:
        """One image or one plane ``NAME@t3z12``; WsssError where there is none or more than one."""
        ...

    def planes(self, name: str) -> Sequence[FoundImage]:
        """The planes of a stack in order (one for an image that is no stack); WsssError as above."""
        ...

    def all(self) -> Iterable[FoundImage]:
        """Every image; vectors ask for those that have a georeference."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class ReadLabels:
    """Labels read from one file or folder.

    Attributes
    ----------
    by_image : dict of record name to ImportedLabels
    digest : str
        Hash of what was read and as which kind: equal digests, equal labels.
    left_out : int
        Wrong rows (or files, or features) that were skipped.
    """

    by_image: dict[str, ImportedLabels]
    digest: str
    left_out: int


class WrongRow(Exception):
    """A row that cannot be taken; the message is the reason alone."""


@dataclass
class WrongRows:
    """Collects wrong rows: raises them together at the end, or counts them when they may be skipped."""

    skip: bool
    reasons: list[str] = field(default_factory=list)

    def attempt(self, where: str, read: Callable[[], T]) -> T | None:
        """What ``read`` returns; None, with the reason kept, where it raises WrongRow or WsssError."""
        try:
            return read()
        except (WrongRow, WsssError) as error:
            self.reasons.append(f"{where}: {error}")
            return None

    def finish(self) -> int:
        """How many were left out.

        Raises
        ------
        WsssError
            If there were wrong rows and they may not be skipped.
        """
        if self.reasons and not self.skip:
            more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
            raise WsssError(f"{self.reasons[0]}{more}; nothing was imported, correct it or use --skip-bad-rows")
        return len(self.reasons)


def class_id(classes: Classes, name: str) -> int:
    """Id of the class of this name, or WrongRow that lists the project's classes."""
    found = classes.id_of(name)
    if found is None:
        raise WrongRow(f"unknown class {name!r}; the project has {', '.join(classes.names)}")
    return found


def read_bytes(path: Path) -> bytes:
    """A file's content, or WsssError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise WsssError(f"{path}: cannot be read ({error.strerror})") from error


def digest_of(kind: str, files: Iterable[tuple[str, bytes]]) -> str:
    """Digest of label files read as one kind (tags, points, ...)."""
    parts = [part for name, data in sorted(files) for part in (name, hashlib.sha256(data).digest())]
    return digest("labels", kind, *parts)
