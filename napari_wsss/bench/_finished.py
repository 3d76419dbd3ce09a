"""What a benchmark finished, one JSON line each, so that an interrupted table goes on where it was ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_wsss.errors import WsssError


class Finished:
    """Rows by key in a file of JSON lines; each is on the disk when :meth:`put` returns.

    A line that was cut off by the end of a process does not count: that row is made again. Rows of the other parts of
    the same benchmark (``NAME.PART.jsonl`` beside ``NAME.jsonl``) are read too.

    Parameters
    ----------
    file : Path
    what : str
        The benchmark, for messages.
    part : str or None
        Write to this part's file instead, so that several processes never write to one.

    Raises
    ------
    WsssError
        If the file cannot be read or written, or a whole line of it holds no row with a key.
    """

    def __init__(self, file: Path, what: str, part: str | None = None) -> None:
        self.file = file if part is None else file.with_name(f"{file.stem}.{part}{file.suffix}")
        self._what = what
        self._found: dict[str, dict[str, Any]] = {}
        parts = {file, *file.parent.glob(f"{file.stem}.*{file.suffix}")} - {self.file}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for one in (*sorted(parts), self.file):
                self._take(one)
        except OSError as error:
            raise WsssError(f"{error.filename or file}: {error.strerror or error}") from error

    def _take(self, file: Path) -> None:
        """Read a file's whole lines. A line that another process may be writing now is left alone."""
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        whole, newline, cut_off = text.rpartition("\n")
        if cut_off and file == self.file:
            file.write_text(whole + newline, encoding="utf-8")
        for number, line in enumerate(whole.splitlines(), 1):
            row = self._read(file, line, number)
            self._found[row["key"]] = row

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of this key, or None where it has not been made."""
        return self._found.get(key)

    def put(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Write one row; it is given back with its key."""
        made = {"key": key, **row}
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(made, ensure_ascii=False) + "\n")
        except OSError as error:
            raise WsssError(f"{self.file}: {error.strerror or error}") from error
        self._found[key] = made
        return made

    def _read(self, file: Path, line: str, number: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
            if isinstance(row["key"], str):
                return row
        except (ValueError, KeyError, TypeError):
            pass
        raise WsssError(f"{file}, line {number}: is no result of bench {self._what}; remove the file")
