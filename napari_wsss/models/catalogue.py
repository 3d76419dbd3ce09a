"""The list of known model weights, ``resources/models.toml``: what each is, and where it comes from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from napari_wsss._resources import resource
from napari_wsss.errors import UsageError, WsssError


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of weights.

    Attributes
    ----------
    name : str
        What a person types.
    architecture : str
        The network that the weights fit, e.g. ``torchvision/mobilenet_v2`` or ``sam/vit_b``.
    task : str
        ``backbone``, ``sam``, ``clip``, ``promptable`` or ``reference``.
    file : str
        Name of the file in the cache.
    size : int
        Bytes, rounded where no exact size is published; 0 = not known.
    licence : str
        Licence of the weights.
    good_for : str
        One line for the person who chooses.
    input : str
        What the network expects of its input.
    url, mirror : str
        Where the file is downloaded; '' = from no public address.
    sha256 : str
        The whole hash (64 hex digits), or only the first digits where no more is published, or ''.
    hash_source : str
        Where the hash was read.
    obtain : str
        How a person gets the file where there is no address.
    built_in : bool
        It ships with the product, in ``resources/models``, and is never fetched.
    mean, std : tuple of 3 float, or ()
        What is subtracted from and divides RGB in 0..1; () = the architecture's own.
    """

    name: str
    architecture: str
    task: str
    file: str
    size: int
    licence: str
    good_for: str
    input: str
    url: str = ""
    mirror: str = ""
    sha256: str = ""
    hash_source: str = ""
    obtain: str = ""
    built_in: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def checksum(self) -> str:
        """How far the file can be verified, in words."""
        if not self.sha256:
            return "cannot be verified: no published hash"
        if len(self.sha256) < _FULL:
            return f"sha256 {self.sha256}… (only the first {len(self.sha256)} digits are published)"
        return f"sha256 {self.sha256}"


_FULL = 64


@cache
def entries() -> dict[str, Entry]:
    """All entries by name, in the order of the file.

    Raises
    ------
    WsssError
        If ``models.toml`` is damaged; names the entry.
    """
    return read(resource("models.toml"))


def read(path: Path) -> dict[str, Entry]:
    """Entries of a catalogue file: one table a model, its name the table's.

    Raises
    ------
    WsssError
        If the file cannot be parsed, or an entry lacks a field or has an unknown one.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WsssError(f"{path}: cannot be read as a model catalogue: {error}") from error
    known = {f.name for f in fields(Entry)} - {"name"}
    found: dict[str, Entry] = {}
    for name, table in tables.items():
        unknown = set(table) - known
        if unknown:
            raise WsssError(f"{path}: {name} has unknown fields: {', '.join(sorted(unknown))}")
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
            found[name] = Entry(name=name, **values)
        except TypeError as error:
            raise WsssError(f"{path}: {name} is incomplete: {error}") from error
    return found


def entry_of_hash(sha256: str) -> Entry | None:
    """The entry whose file has this hash, for a file that a person gives by its path; None if unknown."""
    return next((e for e in entries().values() if e.sha256 and sha256.startswith(e.sha256)), None)


def entry(name: str) -> Entry:
    """The entry of this name.

    Raises
    ------
    UsageError
        If there is none; lists those that are.
    """
    try:
        return entries()[name]
    except KeyError:
        raise UsageError(f"no model named {name!r}; there are: {', '.join(entries())}") from None
