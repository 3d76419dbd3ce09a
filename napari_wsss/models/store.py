"""Weights on this machine: where they lie, how they get there, and whether they are what they claim."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_wsss._resources import resource
from napari_wsss.errors import MissingModel, UsageError, WsssError
from napari_wsss.home import home
from napari_wsss.models.catalogue import Entry, entries, entry
from napari_wsss.models.checkpoint import file_hash
from napari_wsss.types import Progress, no_progress

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One line of ``models list``: the entry, where its file lies or would lie, and whether it is there."""

    entry: Entry
    path: Path
    present: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a file is what the catalogue says.

    ``unverifiable``: the file is there, but no hash was ever published for it. ``detail`` is one line
    for a person; ``expected`` and ``found`` are hashes, '' where unknown.
    """

    name: str
    status: Literal["ok", "wrong", "unverifiable", "absent"]
    detail: str
    expected: str = ""
    found: str = ""


def listing() -> tuple[Row, ...]:
    """Every model of the catalogue, in its order."""
    return tuple(Row(e, _place(e), _place(e).is_file()) for e in entries().values())


def path(name: str) -> Path:
    """File of a model of the catalogue. Never downloads.

    Raises
    ------
    MissingModel
        If it is not on this machine; names the command that gets it.
    UsageError
        If the catalogue has no such name.
    """
    model = entry(name)
    place = _place(model)
    if not place.is_file():
        raise MissingModel(f"the model {name} is not on this machine; get it with: {_command(model)}")
    return place


def resolve(name_or_path: str | Path) -> tuple[Path, str]:
    """File and SHA-256 of a model given by a path on disk or by its name in the catalogue.

    Raises
    ------
    MissingModel
        If the catalogue knows it and it is not on this machine.
    WsssError
        If the file of a catalogue name is not the one that was published.
    UsageError
        If it is neither a file nor a name of the catalogue.
    """
    given = Path(name_or_path).expanduser()
    if given.is_file():
        return given, file_hash(given)
    name = str(name_or_path)
    if name not in entries():
        if given.suffix or len(given.parts) > 1:
            raise UsageError(f"{given}: no such file")
        raise UsageError(f"{name!r} is neither a file nor a model; models are: {', '.join(entries())}")
    place = path(name)
    model, note = entry(name), _noted(place)
    if note is not None and note.of(place) and _agrees(model, note.sha256):
        return place, note.sha256  # unchanged since it was hashed: a large file is not read again
    verdict = verify(name)
    if verdict.status == "wrong":
        raise WsssError(f"{place}: {verdict.detail}; get it again with: {_command(model)}")
    return place, verdict.found


def verify(name: str) -> Verdict:
    """Compare a model's file with the published hash, or else with the one noted when it came in.

    Raises
    ------
    UsageError
        If the catalogue has no such name.
    """
    model = entry(name)
    place = _place(model)
    if not place.is_file():
        return Verdict(name, "absent", f"not on this machine; get it with: {_command(model)}", model.sha256)
    found = file_hash(place)
    if model.sha256:
        if not _agrees(model, found):
            return Verdict(name, "wrong", _mismatch(model.sha256, found), model.sha256, found)
        return Verdict(name, "ok", model.checksum, model.sha256, found)
    note = _noted(place)
    if note is not None and note.sha256 != found:
        detail = f"changed since it was fetched: {_mismatch(note.sha256, found)}"
        return Verdict(name, "wrong", detail, note.sha256, found)
    since = "; unchanged since it was fetched" if note is not None else ""
    return Verdict(name, "unverifiable", f"{model.checksum}{since} (sha256 {found})", "", found)


def fetch(name: str, from_file: Path | None = None, progress: Progress = no_progress) -> Verdict:
    """Bring a model into the cache: from a file of the user's, or by one download.

    The file appears in the cache whole and checked, or not at all.

    Parameters
    ----------
    name : str
        Name in the catalogue.
    from_file : Path, optional
        A copy of the published file; without it the catalogue's address is asked, then its mirror.
    progress : callable
        Bytes done and in total; may raise Cancelled.

    Raises
    ------
    WsssError
        If the file is absent, no address is known, the download fails, or the hash is another one
        (the message shows both).
    UsageError
        If the catalogue has no such name, or the model ships with the product.
    """
    model = entry(name)
    if model.built_in:
        raise UsageError(f"the model {name} ships with napari-wsss; there is nothing to fetch")
    place = _place(model)
    with _incoming(place) as part:
        if from_file is not None:
            _copy(Path(from_file).expanduser(), part, name, progress)
        else:
            _download(model, part, progress)
        found = _digest(part)
        if not _agrees(model, found):
            source = from_file or model.url
            raise WsssError(f"{source}: is not the model {name}, refused: {_mismatch(model.sha256, found)}")
        _note(place, part, found)
        os.replace(part, place)
    return verify(name)


def _place(model: Entry) -> Path:
    if model.built_in:
        return resource("models", model.file)
    return home() / "models" / model.file


def _command(model: Entry) -> str:
    if model.built_in:
        return "pip install --force-reinstall --no-deps napari-wsss"
    command = f"napari-wsss models fetch {model.name}"
    return command if model.url else f"{command} --from FILE ({model.obtain})"


def _agrees(model: Entry, found: str) -> bool:
    return found.startswith(model.sha256.lower())


def _mismatch(expected: str, found: str) -> str:
    return f"sha256 should be {expected} and is {found}"


@dataclass(frozen=True, slots=True)
class _Note:
    """What was noted of a file when it came in: its hash, size and time of change."""

    sha256: str
    size: int
    mtime_ns: int

    def of(self, place: Path) -> bool:
        """Whether the file still has that size and time."""
        stat = place.stat()
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def _note_place(place: Path) -> Path:
    return place.with_name(place.name + ".sha256")


def _noted(place: Path) -> _Note | None:
    file = _note_place(place)
    words = file.read_text(encoding="ascii", errors="replace").split() if file.is_file() else []
    if len(words) != 3 or not (words[1].isdigit() and words[2].isdigit()):
        return None
    return _Note(words[0], int(words[1]), int(words[2]))


def _note(place: Path, part: Path, found: str) -> None:
    stat = part.stat()
    _note_place(place).write_text(f"{found} {stat.st_size} {stat.st_mtime_ns}\n", encoding="ascii")


@contextmanager
def _incoming(place: Path) -> Iterator[Path]:
    """A temporary file beside the place it will be moved to; gone afterwards if it was not moved."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=place.parent)
    except OSError as error:
        raise WsssError(f"{place.parent}: cannot be written: {error.strerror or error}") from error
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _copy(source: Path, part: Path, name: str, progress: Progress) -> None:
    try:
        total, done = source.stat().st_size, 0
        with source.open("rb") as reader, part.open("wb") as writer:
            while chunk := reader.read(_CHUNK):
                writer.write(chunk)
                done += len(chunk)
                progress(done, total, name)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise WsssError(f"{source}: cannot be copied: {error.strerror or error}") from error


class _Meter:
    """The interface that pooch expects of a progress bar, told to ours."""

    def __init__(self, name: str, size: int, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self.total, self._done = size, 0

    def update(self, n: int) -> None:
        self._done += n
        self._progress(self._done, max(self.total, self._done), self._name)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""


def _download(model: Entry, part: Path, progress: Progress) -> None:
    import pooch
    import requests

    if not model.url:
        raise WsssError(f"the model {model.name} has no public address ({model.obtain}); use: {_command(model)}")
    faults = []
    for url in filter(None, (model.url, model.mirror)):
        meter = _Meter(model.name, model.size, progress)
        try:
            pooch.HTTPDownloader(progressbar=meter, timeout=30)(url, str(part), None)
        except (requests.RequestException, OSError) as error:
            faults.append(f"{url}: {type(error).__name__}")
        else:
            return
    raise WsssError(
        f"the model {model.name} could not be downloaded ({'; '.join(faults)}); "
        f"with a copy of {model.file} use: napari-wsss models fetch {model.name} --from FILE"
    )


def _digest(file: Path) -> str:
    with file.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
